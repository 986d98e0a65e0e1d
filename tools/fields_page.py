"""Write tables of a class's fields into the pages that ask for them, so that they cannot differ from the code.

mkdocs calls it for every page. A page asks with a line of its own:

    <!-- options: ppo -->                              an algorithm's options, their defaults and SB3's
    <!-- defaults: ppo -->                             the defaults that depend on the circuit
    <!-- schema: nervecord.training.runs:Result -->    the fields of a dataclass and their types
    <!-- arrays: recording -->                         the arrays of a recording's file
    <!-- quantities: physics -->                       what physics can read of a body
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from typing import Any

import numpy as np
import stable_baselines3
from nervecord import RunConfig
from nervecord.agents.algorithms import algorithm_named
from nervecord.circuits import CIRCUITS
from nervecord.envs.physics.physics import QUANTITIES
from nervecord.errors import NervecordError
from nervecord.training.rollouts import recording
from nervecord.training.runs import resolve
from nervecord.training.studies.markdown import markdown_table

_MARK = re.compile(r"^<!-- (options|defaults|schema|arrays|quantities): ([\w.:]+) -->$", re.MULTILINE)
# `name, other: what it is`, and further lines of it, indented.
_ATTRIBUTE = re.compile(r"^ {4}(\w+(?:, \w+)*): (.+(?:\n {8}.+)*)", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables in a page, as mkdocs asks for each page before it is drawn."""
    return _MARK.sub(lambda found: _WRITERS[found[1]](found[2]), markdown)


def options_table(algorithm: str) -> str:
    """Return the options of an algorithm with their defaults, and those of SB3's algorithm of that name, if it has one.

    Raises:
        ValueError: an option is not in the docstring.
    """
    kind = algorithm_named(algorithm).Options
    theirs = getattr(stable_baselines3, algorithm.upper(), None)
    known = inspect.signature(theirs).parameters if theirs else {}
    rows = []
    for field in dataclasses.fields(kind):
        has_other = field.name in known and known[field.name].default is not inspect.Parameter.empty
        other = [f"`{_text(known[field.name].default)}`" if has_other else ""] if theirs else []
        rows.append([f"`{field.name}`", f"`{_text(field.default)}`", *other, _meaning(kind, field.name)])
    return markdown_table(["option", "default", *(["SB3's default"] if theirs else []), "what it is"], *rows)


def schema_table(where: str) -> str:
    """Return the fields of a dataclass, `module:Class`, with their types and what its docstring says of each.

    Raises:
        ValueError: a field is not in the docstring.
    """
    module, _, name = where.partition(":")
    kind = getattr(importlib.import_module(module), name)
    rows = [
        [f"`{field.name}`", f"`{field.type}`".replace(" | ", " or "), _meaning(kind, field.name)]
        for field in dataclasses.fields(kind)
    ]
    return markdown_table(["field", "type", "what it is"], *rows)


def defaults_table(algorithm: str) -> str:
    """Return the options of an algorithm whose default is another one for some circuits."""
    general = vars(algorithm_named(algorithm).Options())
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for circuit in sorted(CIRCUITS):
        try:
            found = resolve(RunConfig(circuit, algorithm)).options
        except NervecordError:  # it needs options or other senses, or this algorithm does not train it
            continue
        differing = tuple((name, _text(value)) for name, value in found.items() if value != general[name])
        groups.setdefault(differing, []).append(circuit)
    rows = [
        [", ".join(f"`{circuit}`" for circuit in circuits),
         ", ".join(f"`{name}={value}`" for name, value in differing) or "none"]
        for differing, circuits in sorted(groups.items(), key=lambda group: group[1])
    ]  # fmt: skip
    return markdown_table(["circuits", "other defaults"], *rows)


def arrays_table(_: str) -> str:
    """Return the arrays of a recording's file: axes, unit and type."""
    rows = [
        [f"`{name}`", ", ".join(axes), recording.UNITS[name], np.dtype(recording.TYPES[name]).name]
        for name, axes in recording.AXES.items()
    ]
    return markdown_table(["array", "axes", "unit", "type"], *rows)


def quantities_table(_: str) -> str:
    """Return what physics can read: shape, and unit with what it is."""
    rows = [
        [f"`{name}`", f"[{', '.join(['envs', *shape.split()])}]", meaning]
        for name, (shape, meaning) in QUANTITIES.items()
    ]
    return markdown_table(["quantity", "shape", "unit and meaning"], *rows)


def _meaning(kind: type, name: str) -> str:
    for base in kind.__mro__:
        # Up to Python 3.12 docstrings keep the indentation of the source.
        _, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        for names, meaning in _ATTRIBUTE.findall(attributes.split("\n\n")[0]):
            if name in names.split(", "):
                return " ".join(meaning.split()).rstrip(".")
    raise ValueError(f"{kind} does not say what {name} is")


def _text(value: Any) -> str:
    is_large = isinstance(value, int) and abs(value) >= 10_000
    return f"{value:_}" if is_large else repr(value)


_WRITERS = {
    "options": options_table, "defaults": defaults_table, "schema": schema_table, "arrays": arrays_table,
    "quantities": quantities_table,
}  # fmt: skip
