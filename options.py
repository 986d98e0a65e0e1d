"""What values an option may take, said once where the option is declared and checked before anything is done."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Number:
    """A number in a range.

    Attributes:
        low, high: the least and the greatest value.
        is_whole: no fractions.
        above: `low` itself is not in the range.
        also: values that are taken beside numbers, such as None.
    """

    low: float
    high: float = math.inf
    is_whole: bool = False
    above: bool = False
    also: tuple[Any, ...] = ()

    def takes(self, value: Any) -> bool:
        """Return whether a value is one of these."""
        if any(value is other or (isinstance(other, str) and value == other) for other in self.also):
            return True
        # A bool is an int to Python, and a mistake where a number is meant; NaN fails every comparison.
        is_number = isinstance(value, numbers.Integral if self.is_whole else numbers.Real)
        if not is_number or isinstance(value, bool) or (not self.is_whole and not math.isfinite(value)):
            return False
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        what = "a whole number" if self.is_whole else "a number"
        low = f" above {self.low:g}" if self.above else f" from {self.low:g}"
        bounds = low if self.above else f", {self.low:g} or more"
        if self.high < math.inf:
            bounds = f"{low} to {self.high:.10g}"
        others = "".join(f", or {other or 'null'}" for other in self.also)
        return f"{what}{bounds}{others}"


@dataclasses.dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    values: tuple[Any, ...]

    def takes(self, value: Any) -> bool:
        """Return whether a value is one of these."""
        return any(type(value) is type(known) and value == known for known in self.values)

    def __str__(self) -> str:
        return " or ".join({None: "null", True: "true", False: "false"}.get(value, str(value)) for value in self.values)


@dataclasses.dataclass(frozen=True)
class ListOf:
    """Any number of values of one sort."""

    item: Number

    def takes(self, value: Any) -> bool:
        """Return whether a value is one of these."""
        return isinstance(value, list | tuple) and all(map(self.item.takes, value))

    def __str__(self) -> str:
        return f"a list, such as [64,64], each {self.item}"


Allowed = Number | OneOf | ListOf


def option(default: Any, allowed: Allowed) -> Any:
    """Return a dataclass field with a default and the values that it may take; `allowed_values` reads them."""
    return dataclasses.field(default=default, metadata={"allowed": allowed})


def allowed_values(kind: Any) -> dict[str, Allowed]:
    """Return what each `option` of a dataclass may be, by name."""
    return {each.name: each.metadata["allowed"] for each in dataclasses.fields(kind) if "allowed" in each.metadata}


def wrong_value(values: Mapping[str, Any], allowed: Mapping[str, Allowed]) -> str | None:
    """Return what is wrong with the first value that is not allowed, and what would be right; None if all are."""
    for name, value in values.items():
        if name in allowed and not allowed[name].takes(value):
            return f"{name} is {value!r}; give {allowed[name]}"
    return None
