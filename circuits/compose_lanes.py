"""A composed circuit over vectors: see `LaneStep`. Imports numba, so it is imported only where lanes run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numba

from ..vectors import below, call_at, full
from .lane_step import LaneStep
from .wires import IN, OUT, Joined, Sum

_compiled = numba.njit(error_model="numpy")


@_compiled
def _gather(numbers: Any, room: Any) -> int:
    """Add up what wires bring to a range of rows; return how many numbers say which.

    numbers: the first row, how many there are and how many terms, then for each term the row that it is added to, its
    own, its gain, and the row of its gate.
    """
    first, n_terms = int(numbers[0]), int(numbers[2])
    for i in range(first, first + int(numbers[1])):
        room[i] = full(room, 0.0)
    for i in range(n_terms):
        term = below(numbers, 3 + 4 * i)
        to = int(term[0])
        room[to] = room[to] + room[int(term[3])] * (term[2] * room[int(term[1])])
    return 3 + 4 * n_terms


def composed(numbers: Any, weights: Any, sensors: Any, memory: Any, motors: Any, room: Any) -> None:
    """Run one control step of `Composed`: each part's own step on what wires bring, one part after another.

    The room holds a row of ones, which is the gate of wires without one; the sensors; what comes out of wires with a
    delay; what each part hears and says, and its weights where they are frozen; the motors; and the parts' room.

    numbers: of sensors, of delayed values, and of parts. For each delayed value the row of its memory, how many rows
    further its next is, its delay, the row where it comes out and that where it goes in. For each part what it hears,
    as `_gather` reads it; the address of its step; the rows of its weights, of its memory, of what it hears and says,
    and of its room; how many of its weights are frozen, and how many numbers it has of its own; these weights, and
    these numbers. Last, what the motors hear.
    """
    n_sensors, n_late, n_parts = int(numbers[0]), int(numbers[1]), int(numbers[2])
    late, rest = below(numbers, 3), below(numbers, 3 + 5 * n_late)
    room[0] = full(room, 1.0)
    for i in range(n_sensors):
        room[1 + i] = sensors[i]
    for i in range(n_late):
        room[int(late[5 * i + 3])] = memory[int(late[5 * i])]
    for _ in range(n_parts):
        rest = below(rest, _gather(rest, room))
        heard, said, scratch = int(rest[3]), int(rest[4]), int(rest[5])
        at, n_frozen, n_numbers = int(rest[1]), int(rest[6]), int(rest[7])
        own = below(weights, at)
        if n_frozen > 0:
            own = below(room, at)
            for i in range(n_frozen):
                own[i] = full(room, rest[8 + i])
        call_at(
            int(rest[0]), below(rest, 8 + n_frozen), own, below(room, heard), below(memory, int(rest[2])),
            below(room, said), below(room, scratch),
        )  # fmt: skip
        rest = below(rest, 8 + n_frozen + n_numbers)
    _gather(rest, room)
    for i in range(int(rest[1])):
        motors[i] = room[int(rest[0]) + i]
    for i in range(n_late):
        oldest, stride, delay = int(late[5 * i]), int(late[5 * i + 1]), int(late[5 * i + 2])
        for k in range(delay - 1):
            memory[oldest + k * stride] = memory[oldest + (k + 1) * stride]
        memory[oldest + (delay - 1) * stride] = room[int(late[5 * i + 4])]


class Part(NamedTuple):
    """A part of a composed circuit: its step, its sizes, and its weights where they are frozen."""

    step: LaneStep
    n_sensors: int
    n_motors: int
    frozen: tuple[float, ...]


def composed_step(
    parts: Mapping[str, Part],
    made_of: Mapping[str, Sequence[Sum]],
    delayed: Sequence[Joined],
    n_sensors: int,
    n_motors: int,
) -> LaneStep:
    """Return the step of parts and wires.

    Args:
        parts: in the order of their weights and states.
        made_of: what each part hears, in an order in which they can step, and at last what the motors hear.
        delayed: wires with a delay.
        n_sensors, n_motors: of the whole.
    """
    sizes = {"": 1, IN: n_sensors, **{each.key: each.source.size for each in delayed}}
    for name, part in parts.items():
        sizes |= {f"{name}/heard": part.n_sensors, name: part.n_motors, f"{name}/frozen": len(part.frozen)}
    room, free = _laid({**sizes, OUT: n_motors})
    weights, n_weights = _laid({name: 0 if part.frozen else part.step.n_weights for name, part in parts.items()})
    memory, n_memory = _laid(
        {name: part.step.n_memory for name, part in parts.items()}
        | {each.key: each.wire.delay * each.source.size for each in delayed}
    )
    numbers: list[Any] = [n_sensors, sum(each.source.size for each in delayed), len(parts)]
    for each in delayed:
        source = room[each.source.part] + each.source.columns.start
        for i in range(each.source.size):
            numbers += [memory[each.key] + i, each.source.size, each.wire.delay, room[each.key] + i, source + i]
    for name, sums in made_of.items():
        if name == OUT:
            numbers += _heard(room[OUT], n_motors, sums, room, sizes)
            continue
        part, heard = parts[name], room[f"{name}/heard"]
        numbers += _heard(heard, part.n_sensors, sums, room, sizes)
        at = room[f"{name}/frozen"] if part.frozen else weights[name]
        numbers += [part.step.function, at, memory[name], heard, room[name], free]
        numbers += [len(part.frozen), len(part.step.numbers), *part.frozen, *part.step.numbers]
    n_room = free + max(part.step.n_room for part in parts.values())
    return LaneStep(composed, n_weights, n_memory, n_room, tuple(numbers))


def _laid(sizes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Return where each range of rows begins, one after another, and where the last one ends."""
    *starts, end = itertools.accumulate(sizes.values(), initial=0)
    return dict(zip(sizes, starts, strict=True)), end


def _heard(
    first: int, size: int, sums: Sequence[Sum], room: Mapping[str, int], sizes: Mapping[str, int]
) -> list[float]:
    """Return what rows from `first` on are the sums of, as `_gather` reads it."""
    terms: list[float] = []
    to, n = first, 0
    for each in sums:
        for term in each:
            columns = term.columns or slice(0, sizes[term.key])
            n = columns.stop - columns.start
            gate = 0 if term.gate is None else room[term.gate.part] + term.gate.columns.start
            for i in range(n):
                terms += [to + i, room[term.key] + columns.start + i, term.gain, gate]
        to += n
    return [first, size, len(terms) // 4, *terms]
