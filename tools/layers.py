"""Which file imports which, and whether every import goes from a room to one below it.

python tools/layers.py                         # list imports that go the wrong way, and circles, if any
python tools/layers.py --draw docs/layers.svg  # draw the rooms and their imports
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A room imports only from those named before it, and from the files of the ground floor, which import no room.
ROOMS = (
    "circuits", "drawing", "envs", "agents", "training/runs", "training/rollouts", "training/learning",
    "training/probes", "training/studies", "videos", "worm", "pages", "sharing", "testing", "benchmarks", "cli",
    "benchmarks/results",
)  # fmt: skip
GROUND = ("errors.py", "registry.py", "files.py", "intervals.py", "extras.py", "progress.py", "version.py", "memory.py",
          "lane_functions.py", "laws.py", "lazy.py", "moved.py", "options.py", "plain_files.py", "threads.py",
          "vectors.py")  # fmt: skip
# What a room may not import although it lies below, and what it may import of a room in part.
NEVER = {("envs", "circuits")}
ONLY = {("drawing", "circuits"): {"circuits/contract.py", "circuits/__init__.py"}}
IMPORT_BENCHMARKS = ("cli", "benchmarks/results")


@dataclasses.dataclass(frozen=True, order=True)
class Import:
    """A file that imports another, both as paths below the root; inside a function or when it is imported itself."""

    source: str
    target: str
    in_function: bool

    def __str__(self) -> str:
        return f"{self.source} imports {self.target}{' inside a function' if self.in_function else ''}"


def product_files(root: Path = ROOT) -> list[Path]:
    """Return every file of the package."""
    rooms = {room.split("/")[0] for room in ROOMS}
    found = [path for room in sorted(rooms) for path in (root / room).rglob("*.py")]
    return sorted([*root.glob("*.py"), *found])


def imports(root: Path = ROOT) -> list[Import]:
    """Return every import between files of the package, those inside functions and for type checkers too."""
    files = {path.relative_to(root).as_posix() for path in product_files(root)}
    found = set()
    for name in files:
        for node, in_function in _import_statements(ast.parse((root / name).read_text(encoding="utf-8"))):
            found |= {Import(name, target, in_function) for target in _targets(node, name, files)}
    return sorted(found)


def foreign_imports_in_functions(root: Path = ROOT) -> set[tuple[str, str]]:
    """Return (file, library) for every import inside a function of what is not this package."""
    found = set()
    for path in product_files(root):
        for node, in_function in _import_statements(ast.parse(path.read_text(encoding="utf-8"))):
            if not in_function or (isinstance(node, ast.ImportFrom) and node.level):
                continue
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found |= {(path.relative_to(root).as_posix(), name.split(".")[0]) for name in names}
    return found


def room_of(name: str) -> str:
    """Return the room of a file; an empty string on the ground floor."""
    return max((room for room in ROOMS if name.startswith(f"{room}/")), key=len, default="")


def wrong_way(found: list[Import]) -> list[Import]:
    """Return the imports that the order of rooms does not allow."""
    return [each for each in found if not _is_allowed(each)]


def circles(found: list[Import]) -> list[list[str]]:
    """Return every group of files that import one another (strongly connected components, Tarjan 1972)."""
    edges: dict[str, set[str]] = {}
    for each in found:
        edges.setdefault(each.source, set()).add(each.target)
        edges.setdefault(each.target, set())
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for following in sorted(edges[node]):
            if following not in order:
                visit(following)
                low[node] = min(low[node], low[following])
            elif following in stack:
                low[node] = min(low[node], order[following])
        if low[node] == order[node]:
            group = [stack.pop()]
            while group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1 or node in edges[node]:
                groups.append(sorted(group))

    for node in sorted(edges):
        if node not in order:
            visit(node)
    return sorted(groups)


def _import_statements(tree: ast.AST, in_function: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, in_function
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _import_statements(node, inside)


def _targets(node: ast.Import | ast.ImportFrom, name: str, files: set[str]) -> set[str]:
    """Return the files that an import statement of the file `name` names."""
    if isinstance(node, ast.Import):
        wanted = [alias.name.split(".")[1:] for alias in node.names if alias.name.split(".")[0] == "nervecord"]
        return {target for parts in wanted if (target := _file(parts, files))}
    if node.level:
        folder = name.split("/")[:-1]
        base = folder[: len(folder) - node.level + 1]
    elif (node.module or "").split(".")[0] == "nervecord":
        base = []
    else:
        return set()
    module = (node.module or "").split(".") if node.level else (node.module or "").split(".")[1:]
    parts = [*base, *filter(None, module)]
    found = set()
    for alias in node.names:
        # `from . import snapshot` names a file; `from .snapshot import take` names what is in one.
        target = _file([*parts, alias.name], files) or _file(parts, files)
        if target:
            found.add(target)
    return found


def _file(parts: list[str], files: set[str]) -> str | None:
    path = "/".join(parts)
    for candidate in (f"{path}.py", f"{path}/__init__.py" if path else "__init__.py"):
        if candidate in files:
            return candidate
    return None


def _is_allowed(each: Import) -> bool:
    source, target = room_of(each.source), room_of(each.target)
    if each.source in ("__init__.py", "__main__.py"):
        return True  # the package's own doors: what users call, from every room, and the command line
    if not source:
        return not target
    if not target or source == target:
        return each.target != "__init__.py"
    if (source, target) in NEVER or (target == "benchmarks" and source not in IMPORT_BENCHMARKS):
        return False
    if (source, target) in ONLY and each.target not in ONLY[source, target]:
        return False
    return ROOMS.index(target) < ROOMS.index(source)


def draw(found: list[Import], path: Path) -> None:
    """Draw the rooms from the ground floor up, each with its number of files, and how many imports lead to which."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    floors = [room for room in ROOMS if any(room_of(each.source) == room for each in found)]
    height = {room: index + 1 for index, room in enumerate(floors)} | {"": 0}
    counts: dict[tuple[str, str], int] = {}
    for each in found:
        pair = (room_of(each.source), room_of(each.target))
        if pair[0] != pair[1] and each.source != "__init__.py":
            counts[pair] = counts.get(pair, 0) + 1
    size = dict.fromkeys(height, 0)
    for file in product_files():
        size[room_of(file.relative_to(ROOT).as_posix())] += 1
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(height) + 0.6))
    figure.patch.set_facecolor("white")
    names = ["", *floors]
    for row in names:
        label = row or "ground floor"
        axes.text(-0.7, height[row], f"{label}  ({size[row]})", ha="right", va="center", fontsize=10)
        for column in names:
            if number := counts.get((row, column)):
                axes.scatter(height[column], height[row], s=40 + 6 * number, color="#2f6f9f", zorder=3)
                axes.annotate(str(number), (height[column], height[row]), (0, 9), textcoords="offset points",
                              ha="center", va="bottom", fontsize=7, color="#444444")  # fmt: skip
    axes.plot([-0.5, len(floors) + 0.5], [-0.5, len(floors) + 0.5], color="#bbbbbb", linewidth=1)
    axes.set_xticks(range(len(names)), [name.split("/")[-1] or "ground floor" for name in names], rotation=45,
                    ha="right", fontsize=9)  # fmt: skip
    axes.set_yticks([])
    axes.set_xlim(-0.6, len(floors) + 0.6)
    axes.set_ylim(-0.6, len(floors) + 0.8)
    axes.set_title("A dot: the room of the row imports from the room of the column. None may lie below the line.",
                   fontsize=10, loc="right")  # fmt: skip
    for side in axes.spines.values():
        side.set_visible(False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def main() -> int:
    """List what is wrong, or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", type=Path, help="write a picture of the rooms here")
    arguments = parser.parse_args()
    found = imports()
    wrong, round_trips = wrong_way(found), circles(found)
    for each in wrong:
        print(f"wrong way: {each}")
    for group in round_trips:
        print(f"circle: {', '.join(group)}")
    print(f"{len(found)} imports, {len(wrong)} the wrong way, {len(round_trips)} circles")
    if arguments.draw:
        draw(found, arguments.draw)
    return 1 if wrong or round_trips else 0


if __name__ == "__main__":
    sys.exit(main())
