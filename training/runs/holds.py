"""What a folder holds, by its config.json, said without loading what runs need."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from ...errors import InvalidRun
from ...files import read_json
from ...plain_files import check_plain
from .shipped import PREFIX, folder_of, shipped_names


def holds(path: str | Path, trust: bool = False) -> str:
    """Return the kind of training that a folder holds, whose config.json may be a link if it is trusted.

    Raises:
        InvalidRun: it holds none.
        UnknownName: it is the address of an agent that does not come with the package.
    """
    return str(read_facts(folder_of(path), "run", trust).get("holds", "run"))


def read_facts(path: Path, kind: str, trust: bool = False) -> dict[str, Any]:
    """Return what the config.json of a folder says, in which a training of that kind is looked for.

    Raises:
        InvalidRun: there is none, or it is no table, or an export's; or a link, which is not trusted.
    """
    if path.is_file():
        what = f"a recording; nervecord probe {path} reads it" if path.suffix == ".nc" else "a file"
        raise InvalidRun(f"{path} is {what}; give the folder of a {kind}")
    if not trust:
        check_plain(path, "config.json")
    if not path.exists():
        raise InvalidRun(f"{path} is no {kind} folder: config.json is missing; {_meant(path)}")
    values = read_json(path / "config.json", f"{path} is no {kind} folder")
    if not isinstance(values, dict):
        raise InvalidRun(f"{path} is damaged: config.json holds no names and values")
    if "library_name" in values:
        raise InvalidRun(f"{path} is an exported agent; nervecord import {path} --out runs/imported makes a run of it")
    return values


def _meant(path: Path) -> str:
    """Return what to give instead of a folder that does not exist: an agent or a folder of a similar name, if any."""
    known = {name: f"{PREFIX}{name}" for name in shipped_names()} if path.parent == Path() else {}
    known |= {config.parent.name: str(config.parent) for config in path.parent.glob("*/config.json")}
    if near := difflib.get_close_matches(path.name, known, n=1):
        return f"did you mean {known[near[0]]}?"
    return f"there is no folder {path}" if path.is_absolute() else f"there is no folder {path} here"
