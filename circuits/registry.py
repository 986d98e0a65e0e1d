"""The circuits by name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..errors import CircuitMismatch, UnknownName
from .circuit import Circuit
from .mlp import MLP
from .navigator import Navigator
from .ncap import NCAP


@dataclasses.dataclass(frozen=True)
class _Entry:
    build: Callable[..., Circuit]
    doc: str
    needs: tuple[str, ...]


_entries: dict[str, _Entry] = {}


def register_circuit(name: str, build: Callable[..., Circuit], doc: str, needs: tuple[str, ...] = ()) -> None:
    """Add a circuit for every command and agent to find.

    Args:
        name: what it is called.
        build: called as `build(senses, n_motors, rng=..., **options)`, where `senses` maps the name of
            each sense in the observation to its size; its keyword arguments are the circuit's options.
        doc: one line for listings.
        needs: senses without which it cannot work.
    """
    _entries[name] = _Entry(build, doc, needs)


def make_circuit(
    name: str,
    senses: Mapping[str, int],
    n_motors: int,
    options: Mapping[str, Any] | None = None,
    rng: torch.Generator | None = None,
) -> Circuit:
    """Build the circuit of that name for what there is to sense and to move.

    Raises:
        UnknownName: no such circuit, or no such option.
        CircuitMismatch: a sense it needs is missing, or an option is out of range.
    """
    if name not in _entries:
        raise UnknownName("circuit", name, _entries)
    entry = _entries[name]
    if missing := [sense for sense in entry.needs if sense not in senses]:
        raise CircuitMismatch(
            f"circuit {name!r} senses {missing[0]!r}, and the observation holds only {', '.join(senses)}"
        )
    known = [
        key
        for key, parameter in inspect.signature(entry.build).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and key != "rng"
    ]
    for option in options or {}:
        if option not in known:
            raise UnknownName(f"option of {name}", option, known)
    try:
        return entry.build(senses, n_motors, rng=rng, **(options or {}))
    except (TypeError, ValueError) as error:
        raise CircuitMismatch(f"options {dict(options or {})} do not fit circuit {name!r}: {error}") from error


def circuit_names() -> dict[str, str]:
    """Return every circuit's name and one-line description."""
    return {name: entry.doc for name, entry in _entries.items()}


def _along_body(kind: type[NCAP] | type[Navigator]) -> Callable[..., Circuit]:
    """Build a circuit that has one unit set per joint and reads the time where it is observed."""

    def build(senses: Mapping[str, int], n_motors: int, **options: Any) -> Circuit:
        if senses["joint_pos"] != n_motors:
            raise CircuitMismatch(f"{senses['joint_pos']} joints are sensed and {n_motors} are moved; give as many")
        return kind(n_motors, observe_time="time" in senses, **options)

    signature = inspect.signature(kind)
    shown = [item for item in signature.parameters.values() if item.name != "observe_time"]
    build.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return build


register_circuit("ncap", _along_body(NCAP), "C. elegans swimming circuit, 4 shared weights", ("joint_pos",))
register_circuit(
    "navigator",
    _along_body(Navigator),
    "ncap steered towards a target, 6 shared weights",
    ("joint_pos", "to_target"),
)
register_circuit("mlp", MLP, "multilayer perceptron, hidden=(64, 64)")
