"""Ranges from which environments draw their bodies: what they may be, and what lies in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ..errors import InvalidTask, UnknownName
from ..options import Number, wrong_value
from .physics.physics import PARAMETERS

Range = tuple[float, float] | tuple[float, float, Literal["log"]]
# With factors beyond these, numbers of bodies leave what physics can compute with.
_SMALLEST = 1e-6
_FACTOR = Number(0, 1e9)
_ABOVE_0 = ("link_mass", "link_length")


class _Range:
    """Two factors, which an option may be."""

    def takes(self, value: Any) -> bool:
        """Return whether a value is a range."""
        if not isinstance(value, list | tuple) or list(value[2:]) not in ([], ["log"]) or len(value) < 2:
            return False
        low, high = value[:2]
        return _FACTOR.takes(low) and _FACTOR.takes(high) and low <= high and (low == 0 or low >= _SMALLEST)

    def __str__(self) -> str:
        return (
            f"two factors, low and high, each 0 or {_SMALLEST:g} to {_FACTOR.high:g}, and perhaps 'log', such as "
            "[0.8, 1.2]"
        )


_RANGE = _Range()


def wrong_range(ranges: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the first range that is none, and what would be right; None if all are."""
    for name, bounds in ranges.items():
        if isinstance(bounds, list | tuple) and len(bounds) > 1 and all(map(_FACTOR.takes, bounds[:2])):
            low, high = bounds[:2]
            if low > high:
                return f"randomize {name} is {low:g} to {high:g}, and low is above high; give {high:g} and {low:g}"
    named = {f"randomize {name}": bounds for name, bounds in ranges.items()}
    if wrong := wrong_value(named, dict.fromkeys(named, _RANGE)):
        return wrong
    for name, (low, _, *kind) in ranges.items():
        if name == "drag_ratio" and low < 1:
            return f"randomize drag_ratio begins at {low:g}, and a medium's is 1 or more; give such as [1.5, 40]"
        if low == 0 and (kind or name in _ABOVE_0):
            why = "its logarithm is drawn" if kind else "no body has none"
            return f"randomize {name} begins at 0, and {why}; give a low above 0, such as [0.8, 1.2]"
    return None


def checked_ranges(ranges: Mapping[str, Any]) -> dict[str, Range]:
    """Return ranges as numbers, of the parameters of a physics.

    Raises:
        UnknownName: there is no such parameter.
        InvalidTask: a range that is none, or begins at 0 where a body would have no length or mass, or the logarithm no
            value.
    """
    if wrong := wrong_range(ranges):
        raise InvalidTask(wrong)
    found: dict[str, Range] = {}
    for name, (low, high, *kind) in ranges.items():
        if name not in PARAMETERS:
            raise UnknownName("randomisation", name, PARAMETERS)
        found[name] = (float(low), float(high), "log") if kind else (float(low), float(high))
    return found


def placed(bounds: Range, shares: Float[np.ndarray, " some"]) -> Float[np.ndarray, " some"]:
    """Return what lies at these shares of the way from low to high, or from the logarithm of one to the other's.

    It is a factor without a unit, or a viscosity in Pa s.
    """
    low, high, *kind = bounds
    if not kind:
        return low + (high - low) * shares
    low, high = math.log(low), math.log(high)
    return np.array([math.exp(value) for value in low + (high - low) * shares])
