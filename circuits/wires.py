"""Wires between circuits that are composed, and what stands at their ends."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import CircuitMismatch

IN, OUT = "in", "out"
_PORT = re.compile(r"(?P<part>\w+)(\.(?P<sense>\w+))?(:(?P<start>\d+):(?P<stop>\d+))?")


@dataclasses.dataclass(frozen=True)
class Wire:
    """What one part of a composed circuit is given of another.

    Attributes:
        source: "in.SENSE" for what the whole senses, "PART" for the motor commands of a part.
        target: "PART.SENSE" for what a part senses, "out" for the motor commands of the whole. Source and target
            may name some of their values, "PART:START:STOP", from 0 and without STOP. Wires into one target add.
        delay: control steps; 0 is at once. What comes before an episode's start is 0.
        gain: a factor. None is 1, and joins a sense to the same sense or motor commands to "out"; anything else is
            of another unit, and needs a gain that is written out.
        gate: a source of one value, such as "PART:0:1", that multiplies what arrives; None lets everything through.
    """

    source: str
    target: str
    delay: int = 0
    gain: float | None = None
    gate: str | None = None

    def __str__(self) -> str:
        gated = f" gated by {self.gate}" if self.gate else ""
        return f"wire {self.source} -> {self.target}{gated}"


@dataclasses.dataclass(frozen=True)
class End:
    """Columns of what a part, `in` or `out`, gives or gets."""

    part: str
    sense: str
    first: int  # its place in the sense, or among the motors
    columns: slice

    @property
    def size(self) -> int:
        """How many values they are."""
        return self.columns.stop - self.columns.start


@dataclasses.dataclass(frozen=True)
class Joined:
    """A wire whose ends are known."""

    wire: Wire
    source: End
    target: End
    gain: float
    key: str  # where its values are: the name of its source, or its own in the state where it has a delay
    gate: End | None


class Term(NamedTuple):
    """A summand of some of a target's columns: where its values are, which of them, and what multiplies them."""

    key: str
    columns: slice | None  # None is all
    gain: float
    gate: End | None

    def joined(self, other: Term) -> Term | None:
        """Return both as one, if the other's columns follow on this one's and what multiplies them is the same."""
        assert self.columns is not None
        assert other.columns is not None
        if self._replace(columns=other.columns) != other or self.columns.stop != other.columns.start:
            return None
        return self._replace(columns=slice(self.columns.start, other.columns.stop))


# What a target's columns are made of: ranges of them in order.
Sum = tuple[Term, ...]


def read_end(wire: Wire, text: str, right: str) -> tuple[str, str, tuple[int, int] | None]:
    """Read NAME, NAME.SENSE, and with :START:STOP after it."""
    found = _PORT.fullmatch(text)
    if found is None:
        raise CircuitMismatch(f"{wire}: {text!r} is no end of a wire; {right}, and perhaps :START:STOP after it")
    some = None if found["start"] is None else (int(found["start"]), int(found["stop"]))
    return found["part"], found["sense"] or "", some


def part_and_range(text: str) -> tuple[str, tuple[int, int] | None]:
    """Return an end without its range, and the range if it has one."""
    found = _PORT.fullmatch(text)
    if found is None or found["start"] is None:
        return text, None
    return text.partition(":")[0], (int(found["start"]), int(found["stop"]))


def end_of(wire: Wire, part: str, sense: str, some: tuple[int, int] | None, sizes: Mapping[str, int], key: str) -> End:
    """Return the columns of some values of `key`, among those of all `sizes` in order."""
    before = 0
    for name, size in sizes.items():
        if name == key:
            start, stop = some or (0, size)
            if not 0 <= start < stop <= size:
                raise CircuitMismatch(f"{wire}: {start}:{stop} are no values of {size}; give some of 0:{size}")
            return End(part, sense, start, slice(before + start, before + stop))
        before += size
    raise AssertionError(key)
