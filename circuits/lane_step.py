"""A circuit's control step as one function over vectors: what lets whole episodes run without leaving compiled code."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import nn


@dataclasses.dataclass(frozen=True)
class LaneStep:
    """One control step of a circuit for W environments side by side, each with weights and a memory of its own.

    `function(numbers, weights, sensors, memory, motors, room)` is compiled by numba, which infers its types: `numbers`
    is an array, the rest are rows of W lanes (see `nervecord.vectors` and `nervecord.lane_functions` for what can be
    done with them). It reads `weights[i]` and `sensors[i]`, reads and writes `memory[i]` and `room[i]`, and writes
    every `motors[i]`. Nothing checks its bounds. It is a function of a module, not a method or a lambda, and what it
    calls stands in the same file or in nervecord: numba keeps what it compiled until that file changes.

    Attributes:
        function: the step; equal to `Circuit.forward` but for rounding.
        n_weights: rows of `weights`: the circuit's parameters in the order of `parameters()`, each flattened.
        n_memory: rows of `memory`: the state in the order of its names, each tensor flattened.
        n_room: rows of `room`, of which nothing is known before a step.
        numbers: what the function has to know of the circuit, such as sizes and constants.
    """

    function: Callable[..., None]
    n_weights: int
    n_memory: int = 0
    n_room: int = 0
    numbers: tuple[float, ...] = ()


def places_of(circuit: nn.Module) -> dict[str, int]:
    """Return where each parameter begins in a row of flat weights, by name."""
    places, end = {}, 0
    for name, parameter in circuit.named_parameters():
        places[name] = end
        end += parameter.numel()
    return places
