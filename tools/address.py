"""Write the project's address wherever it belongs, from the one place where it is set.

python tools/address.py            # write
python tools/address.py --check    # exit 1 and name the files that differ from what would be written
python tools/address.py --release  # write the README as a package shows it, where a path leads nowhere; not to be kept

The place is `address` of [tool.nervecord] in pyproject.toml. Made from it: [project.urls], the badges of the README,
the cell that installs in each notebook, the address in CITATION.cff, and the link of the docs. While it is not set,
there are none of these, and notebooks install the checkout that they are in.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_COLAB = "https://colab.research.google.com"
_INSTALL = "install"  # the tag of the cell that installs


def address_of(root: Path) -> str:
    """Return the project's address, "" while it is not set.

    Raises:
        ValueError: it is no address that can be made into links.
    """
    address: str = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["nervecord"]["address"]
    if address and not re.fullmatch(r"https://[\w.-]+(/[\w.-]+){2}", address):
        raise ValueError(f"address is {address!r}; give https://HOST/OWNER/NAME, without a slash at the end")
    return address


def files(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Yield every file that depends on the address, and what belongs in it."""
    address = address_of(root)
    yield from (
        (root / name, change((root / name).read_text(encoding="utf-8"), address))
        for name, change in (
            ("pyproject.toml", _with_urls), ("README.md", _with_badges), ("CITATION.cff", _with_code),
            ("mkdocs.yml", _with_repository),
        )
    )  # fmt: skip
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        yield path, _with_install(path.read_text(encoding="utf-8"), address)


def _with_urls(text: str, address: str) -> str:
    text = re.sub(r"\[project\.urls\]\n(?:\w.*\n)+\n", "", text)
    if not address:
        return text
    urls = {"Source": address, "Issues": f"{address}/issues", "Changelog": f"{address}/blob/main/CHANGELOG.md"}
    lines = "".join(f'{name} = "{url}"\n' for name, url in urls.items())
    return text.replace("[tool.nervecord]\n", f"[project.urls]\n{lines}\n[tool.nervecord]\n", 1)


def _with_badges(text: str, address: str) -> str:
    text = re.sub(r"(?<=^# nervecord\n\n)(?:\[!\[.*\n)+\n", "", text)
    if not address:
        return text
    host, owner, name = address.removeprefix("https://").split("/")
    badges = [f"[![tests]({address}/actions/workflows/test.yml/badge.svg)]({address}/actions/workflows/test.yml)"]
    if host == "github.com":
        notebook = f"{_COLAB}/github/{owner}/{name}/blob/main/notebooks/teach.ipynb"
        badges.append(f"[![open in Colab]({_COLAB}/assets/colab-badge.svg)]({notebook})")
    lines = "".join(f"{badge}\n" for badge in badges)
    return text.replace("# nervecord\n\n", f"# nervecord\n\n{lines}\n", 1)


def _with_code(text: str, address: str) -> str:
    text = re.sub(r"^repository-code: .*\n", "", text, flags=re.MULTILINE)
    return text.replace("license: MIT\n", f'license: MIT\nrepository-code: "{address}"\n', 1) if address else text


def _with_repository(text: str, address: str) -> str:
    text = re.sub(r"^repo_url: .*\n", "", text, flags=re.MULTILINE)
    return text.replace("docs_dir: docs\n", f"repo_url: {address}\ndocs_dir: docs\n", 1) if address else text


def _with_install(text: str, address: str) -> str:
    """Set the cell that installs; a notebook without one stays as it is."""
    notebook = json.loads(text)
    where = f'"nervecord @ git+{address}"' if address else "..  # the checkout that this notebook is in"
    lines = ["import importlib.util\n", "\n", 'if importlib.util.find_spec("nervecord") is None:\n']
    for cell in notebook["cells"]:
        if _INSTALL in cell["metadata"].get("tags", ()):
            cell["source"] = [*lines, f"    %pip install -q {where}"]
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def for_a_package(readme: str, address: str) -> str:
    """Return the README with whole addresses for paths in the repository: pictures as files, all else as pages.

    Raises:
        ValueError: the address is not set.
    """
    if not address:
        raise ValueError("address is not set; set it in pyproject.toml, under [tool.nervecord]")

    def whole(link: re.Match[str]) -> str:
        kind = "raw" if link["picture"] else "blob"
        return f"{link['picture']}[{link['text']}]({address}/{kind}/main/{link['path']})"

    return re.sub(r"(?P<picture>!?)\[(?P<text>[^][]*)\]\((?P<path>(?!https?:|#)[^)\s]+)\)", whole, readme)


def main() -> int:
    """Write, or check; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and name the files that differ")
    parser.add_argument("--release", action="store_true", help="write the README with whole addresses, for a package")
    arguments = parser.parse_args()
    if arguments.release:
        readme = ROOT / "README.md"
        text = for_a_package(readme.read_text(encoding="utf-8"), address_of(ROOT))
        readme.write_text(text, encoding="utf-8")
        return 0
    check = arguments.check
    differing = [(path, text) for path, text in files() if path.read_text(encoding="utf-8") != text]
    for path, text in differing:
        if not check:
            path.write_text(text, encoding="utf-8")
        print(f"{'differs' if check else 'wrote'}: {path.relative_to(ROOT)}")
    return int(check and bool(differing))


if __name__ == "__main__":
    sys.exit(main())
