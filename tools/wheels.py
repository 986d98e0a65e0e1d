"""Which platforms can install nervecord, and each of its extras, from wheels alone.

python tools/wheels.py            # print the table; exit 1 if a platform cannot install the package itself
python tools/wheels.py --write    # and put it into docs/platforms.md

Builds the wheel, then resolves it for every Python and platform with `uv pip compile`, which evaluates markers for the
target (pip's dry run evaluates them for the Python that runs it). Needs `pip install -e ".[release]"`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from email.parser import Parser
from itertools import product
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "platforms.md"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "Linux x86_64": "x86_64-manylinux_2_28",
    "Linux aarch64": "aarch64-manylinux_2_28",
    "macOS arm64": "aarch64-apple-darwin",
    "Windows x86_64": "x86_64-pc-windows-msvc",
}
BEGIN, END = "<!-- table: python tools/wheels.py --write -->", "<!-- end of table -->"


def main() -> int:
    """Resolve everything, print the table, and say whether the package itself installs everywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        extras = ["", *extras_of(wheel)]
        cases = list(product(PLATFORMS, PYTHONS, extras))
        with ThreadPoolExecutor(4) as pool:
            found = dict(zip(cases, pool.map(lambda case: missing(wheel, *case), cases), strict=True))
    table = as_markdown(found)
    print(table)
    if write:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.split(END)[1]}")
    broken = [case for case, reason in found.items() if reason and not case[2]]
    for platform, python, _ in broken:
        print(f"{platform}, Python {python}: {found[platform, python, '']}", file=sys.stderr)
    return 1 if broken else 0


def build_wheel(folder: Path) -> Path:
    """Build this checkout's wheel into `folder`, from its source archive, so that no old build folder gets into it."""
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def extras_of(wheel: Path) -> list[str]:
    """Read the names of a wheel's extras."""
    with ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Provides-Extra", [])


def missing(wheel: Path, platform: str, python: str, extra: str) -> str:
    """Resolve a wheel, or one of its extras, for a platform; return what has no wheel there, or nothing."""
    resolved = subprocess.run(
        ["uv", "pip", "compile", "--quiet", "--only-binary", ":all:", "--python-version", python,
         "--python-platform", PLATFORMS[platform], "-"],
        input=f"nervecord{f'[{extra}]' if extra else ''} @ {wheel.as_uri()}",
        capture_output=True, text=True,
    )  # fmt: skip
    if resolved.returncode == 0:
        return ""
    words = " ".join(resolved.stderr.split())
    lacking = re.findall(r"([\w.-]+)(?:[<>=!][^\s]*)? (?:has no wheels|has no usable wheels)", words)
    return ", ".join(dict.fromkeys(lacking)) or words


def as_markdown(found: dict[tuple[str, str, str], str]) -> str:
    """Write a row for every platform and Python, and in it the extras that it lacks, with the package at fault."""
    rows = ["| platform | Python | nervecord | extras that it lacks |", "| --- | --- | --- | --- |"]
    for platform, python in product(PLATFORMS, PYTHONS):
        own = found[platform, python, ""]
        lacking = [
            f"`{extra}` ({reason})"
            for (where, which, extra), reason in found.items()
            if (where, which) == (platform, python) and extra and reason
        ]
        rows.append(f"| {platform} | {python} | {own or 'yes'} | {', '.join(lacking) or 'none'} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
