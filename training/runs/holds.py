"""What a folder holds, by its config.json, said without loading what runs need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import InvalidRun
from ...files import read_json
from ...plain_files import check_plain
from .shipped import folder_of


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
    values = read_json(path / "config.json", f"{path} is no {kind} folder")
    if not isinstance(values, dict):
        raise InvalidRun(f"{path} is damaged: config.json holds no names and values")
    if "library_name" in values:
        raise InvalidRun(f"{path} is an exported agent; nervecord import {path} --out runs/imported makes a run of it")
    return values
