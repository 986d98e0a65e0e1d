"""What a folder holds, by its config.json, said without loading what runs need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import InvalidRun
from ...files import read_json


def holds(path: str | Path) -> str:
    """Return the kind of training that a folder holds.

    Raises:
        InvalidRun: it holds none.
    """
    return str(read_facts(Path(path), "run").get("holds", "run"))


def read_facts(path: Path, kind: str) -> dict[str, Any]:
    """Return what the config.json of a folder says, in which a training of that kind is looked for.

    Raises:
        InvalidRun: there is none, or it is no table, or an export's.
    """
    values = read_json(path / "config.json", f"{path} is no {kind} folder")
    if not isinstance(values, dict):
        raise InvalidRun(f"{path} is damaged: config.json holds no names and values")
    if "library_name" in values:
        raise InvalidRun(f"{path} is an exported agent; nervecord import {path} --out runs/imported makes a run of it")
    return values
