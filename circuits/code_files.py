"""Circuits from a user's Python file; the code runs if the user names the file or trusts a run that contains it."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import linecache
import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import CircuitMismatch, InvalidRun
from .registry import CIRCUITS

_log = logging.getLogger(__name__)
_FIELDS = ("file", "class", "sha256", "source")


@dataclasses.dataclass(frozen=True)
class CircuitCode:
    """A class of circuits with the text of its file, which may import installed packages and nothing beside it.

    Attributes:
        file: the file's name, without folders.
        kind: the name of the class.
        source: the file's text.
    """

    file: str
    kind: str
    source: str

    @property
    def sha256(self) -> str:
        """The checksum of the text, by which its reader can tell whether it is the one that they know."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @property
    def name(self) -> str:
        """The name of the circuit, which is another one where the text is."""
        return f"{self.file}:{self.kind}@{self.sha256[:12]}"

    def to_json(self) -> dict[str, str]:
        """Return file, class, checksum and text; `code_from_json` takes them back."""
        return dict(zip(_FIELDS, (self.file, self.kind, self.sha256, self.source), strict=True))


# What was loaded in this process, by the circuit's name.
_LOADED: dict[str, CircuitCode] = {}


def names_file(circuit: str) -> bool:
    """Say whether a circuit is given as a file of code, FILE.py:CLASS, and not by its name."""
    return circuit.endswith(".py") or re.search(r"\.py:\w*$", circuit) is not None


def circuit_from_file(place: str) -> str:
    """Run a Python file, register a circuit class that it defines, and return the circuit's name for `RunConfig`.

    A run stores the text of the file, so that it can be repeated without the file. In another process, such a run can
    only be opened with `Run(path, trust=True)`.

    Args:
        place: "FILE.py:CLASS". The class is built as `register_circuit` says; its docstring's first line is shown in
            listings, and its attribute `needs`, if it has one, names senses without which it cannot work.

    Raises:
        CircuitMismatch: the file cannot be read, raises an error, or has no such circuit class.
    """
    file, _, kind = place.rpartition(":") if not place.endswith(".py") else (place, "", "")
    path = Path(file).expanduser()
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise CircuitMismatch(f"circuit {place!r}: {path} cannot be read: {reason}") from error
    return load_code(CircuitCode(path.name, kind, source), str(path.resolve()))


def load_code(code: CircuitCode, place: str | None = None) -> str:
    """Run a file's text, register its class of circuits, and return the circuit's name.

    Args:
        code: what to run.
        place: where it was read from, for tracebacks.

    Raises:
        CircuitMismatch: it fails when it runs, or has no such class of circuits.
    """
    if code.name in CIRCUITS:
        return code.name
    from ..laws import raised

    module = ModuleType(f"nervecord_circuit_{code.sha256}")
    module.__file__ = place = place or f"<{code.file}>"
    lines = code.source.splitlines(keepends=True)
    # What tracebacks and `inspect` show of a text that lies in no file.
    linecache.cache[place] = (len(code.source), None, lines, place)
    # Where dataclasses and pickle look for the names of the module.
    sys.modules[module.__name__] = module
    try:
        exec(compile(code.source, place, "exec"), vars(module))
    except Exception as error:  # whatever the user's code does when it runs
        del sys.modules[module.__name__]
        raise CircuitMismatch(f"{code.file} fails when it runs: {raised(error)}") from error
    from .contract import Circuit

    kinds = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Circuit) and value.__module__ == module.__name__
    }
    if code.kind not in kinds:
        found = f"it has {', '.join(kinds)}" if kinds else "it has no class that is a nervecord.circuits.Circuit"
        example = f"; give {code.file}:{next(iter(kinds))}" if kinds else ""
        asked = f"has no circuit {code.kind!r}" if code.kind else "needs the name of a class"
        raise CircuitMismatch(f"{code.file} {asked}; {found}{example}")
    CIRCUITS[code.name] = kinds[code.kind]  # type: ignore[assignment]  # the registry makes an entry of the class
    _LOADED[code.name] = code
    return code.name


def code_of(circuit: str) -> CircuitCode | None:
    """Return the code of a circuit that was loaded from a file; None of any other."""
    return _LOADED.get(circuit)


def circuit_json(circuit: str) -> str | dict[str, str]:
    """Return a circuit's name, or the code that stands behind it, as JSON types; `circuit_from_json` takes it back."""
    code = code_of(circuit)
    return circuit if code is None else code.to_json()


def circuit_from_json(value: Any, trust: bool = False) -> str:
    """Return the name of a circuit that `circuit_json` wrote; runs its code only if it is trusted.

    Raises:
        InvalidRun: it is code that was not loaded in this process, and is not trusted.
        CircuitMismatch: the code fails when it runs.
    """
    if not isinstance(value, Mapping):
        return value  # what no name is, the config refuses
    code = code_from_json(value)
    if code.name not in CIRCUITS and trust:
        _log.warning("nervecord: running the code of circuit %s (sha256 %s)", code.name, code.sha256)
        load_code(code)
    if code.name not in CIRCUITS:
        raise InvalidRun(
            f"its circuit {code.name} is code of the file {code.file} (sha256 {code.sha256}), which would be run; if "
            "you know who made it, give --trust, or in Python Run(PATH, trust=True)"
        )
    return code.name


def code_from_json(value: Mapping[str, Any]) -> CircuitCode:
    """Return the code that `CircuitCode.to_json` wrote; runs nothing.

    Raises:
        InvalidRun: it is damaged.
    """
    if set(value) != set(_FIELDS) or not all(isinstance(each, str) for each in value.values()):
        raise InvalidRun(f"its circuit is damaged: a circuit of code has the texts {', '.join(_FIELDS)}")
    code = CircuitCode(value["file"], value["class"], value["source"])
    if not re.fullmatch(r"[\w.-]+\.py", code.file) or not code.kind.isidentifier() or code.sha256 != value["sha256"]:
        raise InvalidRun(f"its circuit {value['file']}:{code.kind} is damaged: names or checksum do not fit the code")
    return code
