"""Find which platforms can install nervecord, and each of its extras, from wheels alone.

python tools/wheels.py            # print the table; exit 1 if a platform cannot install the package itself
python tools/wheels.py --write    # and put it into docs/platforms.md

Builds the wheel, then resolves it for every Python and platform with `uv pip compile`, which evaluates markers for the
target (pip's dry run evaluates them for the Python that runs it). Needs `pip install -e ".[release]"`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from email.message import Message
from email.parser import Parser
from itertools import product
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "platforms.md"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


class Platform(NamedTuple):
    """A platform as uv names it, and the values of its markers."""

    uv: str
    machine: str
    system: str


PLATFORMS = {
    "Linux x86_64": Platform("x86_64-manylinux_2_28", "x86_64", "linux"),
    "Linux aarch64": Platform("aarch64-manylinux_2_28", "aarch64", "linux"),
    "macOS arm64": Platform("aarch64-apple-darwin", "arm64", "darwin"),
    "Windows x86_64": Platform("x86_64-pc-windows-msvc", "AMD64", "win32"),
}
MACOS = "14.0"  # the oldest supported
BEGIN, END = "<!-- table: python tools/wheels.py --write -->", "<!-- end of table -->"


def main() -> int:
    """Resolve everything and print the table; return 1 if a platform cannot install the package itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    write = parser.parse_args().write
    rows = ["| platform | Python | nervecord | extras | left out |", "| --- | --- | --- | --- | --- |"]
    broken = False
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        metadata = metadata_of(wheel)
        for platform, python in product(PLATFORMS, PYTHONS):
            own, lacking = resolve(wheel, metadata.get_all("Provides-Extra", []), platform, python)
            broken |= bool(own)
            extras = "; ".join(f"no `{extra}`: {reason}" for extra, reason in lacking.items())
            left_out = ", ".join(left_out_by_markers(metadata.get_all("Requires-Dist", []), platform, python))
            rows.append(f"| {platform} | {python} | {own or 'yes'} | {extras or 'all'} | {left_out or 'nothing'} |")
            print(rows[-1], flush=True)
    if write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        table = "\n".join(rows)
        PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")
    return 1 if broken else 0


def build_wheel(folder: Path) -> Path:
    """Build this checkout's wheel into `folder` from its source archive, without files of old build folders."""
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def metadata_of(wheel: Path) -> Message:
    """Read a wheel's metadata."""
    with ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def resolve(wheel: Path, extras: list[str], platform: str, python: str) -> tuple[str, dict[str, str]]:
    """Return the packages without a wheel on a platform: for nervecord itself, and for each extra that needs them."""
    if not missing(wheel, extras, platform, python):
        return "", {}
    own = missing(wheel, [], platform, python)
    return own, {extra: reason for extra in extras if (reason := missing(wheel, [extra], platform, python))}


def missing(wheel: Path, extras: list[str], platform: str, python: str) -> str:
    """Resolve a wheel with some of its extras for a platform; return the packages without a wheel there, if any."""
    resolved = subprocess.run(
        ["uv", "pip", "compile", "--quiet", "--only-binary", ":all:", "--python-version", python,
         "--python-platform", PLATFORMS[platform].uv, "-"],
        input=f"nervecord[{','.join(extras)}] @ {wheel.as_uri()}",
        capture_output=True, text=True, env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": MACOS},
    )  # fmt: skip
    if resolved.returncode == 0:
        return ""
    words = " ".join(resolved.stderr.split())
    lacking = re.findall(r"Wheels are required for `([\w.-]+)`", words)
    return ", ".join(sorted(set(lacking))) or words


def left_out_by_markers(requirements: list[str], platform: str, python: str) -> list[str]:
    """Return the requirements on Linux x86_64 with the oldest Python that this platform does not have."""
    found = []
    for requirement in map(Requirement, requirements):
        if requirement.marker is None:
            continue
        extra = next(iter(re.findall(r'extra == "([^"]+)"', str(requirement.marker))), "")
        here, there = (environment(*where, extra) for where in ((platform, python), ("Linux x86_64", PYTHONS[0])))
        if requirement.marker.evaluate(there) and not requirement.marker.evaluate(here):
            found.append(f"{requirement.name}{f' of `{extra}`' if extra else ''}")
    return found


def environment(platform: str, python: str, extra: str) -> dict[str, str]:
    """Return the values of a platform's markers."""
    where = PLATFORMS[platform]
    return {"python_version": python, "platform_machine": where.machine, "sys_platform": where.system, "extra": extra}


if __name__ == "__main__":
    sys.exit(main())
