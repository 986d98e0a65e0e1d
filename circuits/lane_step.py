"""A circuit's vectorised control step, with which whole episodes run in compiled code."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import FunctionType

from torch import nn

# Attributes that a subclass may override without changing a step.
_BESIDE_STEPS = {
    *("__init__", "facts", "wiring", "after_update", "changes_after_update"),
    *("restructure", "restructures_every", "active"),
}


@dataclasses.dataclass(frozen=True)
class LaneStep:
    """One control step of a circuit for W environments side by side, each with its own weights and memory.

    `function(numbers, weights, sensors, memory, motors, room)` is compiled by numba, which infers its types: `numbers`
    is an array, the rest are rows of W lanes (`nervecord.vectors` and `nervecord.lane_functions` list the operations on
    them). It reads `weights[i]` and `sensors[i]`, reads and writes `memory[i]` and `room[i]`, and writes
    every `motors[i]`. Indices are not checked. It must be a module-level function, not a method or a lambda, and may
    call only functions of the same file or of nervecord: numba caches the compiled code until that file changes.

    Attributes:
        function: the step; equal to `Circuit.forward` up to rounding.
        n_weights: rows of `weights`: the circuit's parameters in the order of `parameters()`, each flattened.
        n_memory: rows of `memory`: the state in the order of its names, each tensor flattened.
        n_room: rows of `room`, scratch space with undefined values before a step.
        numbers: sizes and constants of the circuit that the function needs. A function among them, with the same
            arguments, is compiled too, and replaced by its address for `nervecord.vectors.call_at`.
    """

    function: Callable[..., None]
    n_weights: int
    n_memory: int = 0
    n_room: int = 0
    numbers: tuple[float | Callable[..., None], ...] = ()


def steps_as(circuit: nn.Module, owner: type) -> bool:
    """Return whether a circuit steps as its base class `owner` does: no subclass in between overrides a method."""
    for kind in type(circuit).__mro__:
        if kind is owner:
            return True
        methods = (name for name, value in vars(kind).items() if isinstance(value, FunctionType | property))
        if set(methods) - _BESIDE_STEPS:
            return False
    return False


def lane_step_of(circuit: nn.Module) -> LaneStep | None:
    """Return a circuit's `lane_step`.

    None where it has none, where a subclass overrides methods of its class, or where what its step reads as weights is
    frozen.
    """
    if circuit.frozen:
        return None
    owner = next(kind for kind in type(circuit).__mro__ if "lane_step" in vars(kind))
    step: LaneStep | None = circuit.lane_step() if steps_as(circuit, owner) else None  # type: ignore[operator]
    return step


def places_of(circuit: nn.Module) -> dict[str, int]:
    """Return where each parameter begins in a row of flat weights, by name."""
    places, end = {}, 0
    for name, parameter in circuit.named_parameters():
        places[name] = end
        end += parameter.numel()
    return places
