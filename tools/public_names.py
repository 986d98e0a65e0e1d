"""Write docs/reference/index.md: all public names with their docstrings' first lines, from each `__all__`."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "index.md"
# Rooms in the order in which a reader meets them, and the page that documents each.
ROOMS = {
    "": "nervecord",
    "envs": "envs",
    "circuits": "circuits",
    "agents": "agents",
    "agents.algorithms": "agents",
    "training.runs": "training",
    "training.learning": "training",
    "training.rollouts": "training",
    "training.studies": "training",
    "training.studies.bricks": "training",
    "training.probes": "probes",
    "videos": "videos",
    "drawing": "drawing",
    "pages": "pages",
    "sharing": "sharing",
    "worm": "worm",
    "testing": "testing",
}
_HEAD = """# Public names

Names on this page are public: they follow [semantic versioning](../versions.md), and a renamed one is forwarded with a
warning for one minor release. All other names are private and may change without notice.

`nervecord` itself has one function for each command, and the objects that these take and return. The packages below
it have the parts.
"""


def page() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD]
    for room, reference in ROOMS.items():
        module = f"nervecord.{room}".rstrip(".")
        parts.append(_table(module, reference, {name: _summary(room, name) for name in exports(room)}))
    errors = {node.name: _first_line(node) for node in _tree("errors").body if isinstance(node, ast.ClassDef)}
    return "".join([*parts, _table("nervecord.errors", "errors", errors)])


def exports(room: str) -> list[str]:
    """Return the names that a room's `__init__` exports, without importing it."""
    for node in _tree(room).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _table(module: str, reference: str, names: dict[str, str]) -> str:
    rows = "".join(f"| [`{name}`]({reference}.md#{module}.{name}) | {says} |\n" for name, says in names.items())
    return f"\n## {module}\n\n| name | |\n| --- | --- |\n{rows}"


def _summary(room: str, name: str) -> str:
    """Return the first line of a name's docstring, or of the comment above a constant, found through imports."""
    tree, source = _tree(room), _path(room).read_text(encoding="utf-8").splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in (alias.name for alias in node.names):
            package = room if _path(room).name == "__init__.py" else room.rpartition(".")[0]
            for _ in range(node.level - 1):
                package = package.rpartition(".")[0]
            return _summary(f"{package}.{node.module}".strip("."), name)
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return _first_line(node)
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in ast.unparse(node).split("=")[0]:
            above = source[node.lineno - 2].strip()
            return above.removeprefix("# ") if above.startswith("# ") else ""
    raise LookupError(f"{room} exports {name} and does not define it")


def _first_line(node: ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0]


def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _path(module: str) -> Path:
    place = ROOT / module.replace(".", "/")
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
