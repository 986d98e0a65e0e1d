"""Fields: odour and temperature, by place and time."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from ...errors import InvalidArena
from ...options import Number, OneOf, wrong_value
from .media import made_of

Form = Literal["gaussian", "cone"]
FORMS = get_args(Form)
_FINITE = Number(-math.inf, math.inf)
_ABOVE_0 = Number(0, above=True)
_OF_SOURCE = {
    "form": OneOf(FORMS), "x": _FINITE, "y": _FINITE, "amplitude": _ABOVE_0, "size": _ABOVE_0,
    "velocity_x": _FINITE, "velocity_y": _FINITE,
}  # fmt: skip


def strength(form: str, size: float, distance: Float[np.ndarray, "*some"]) -> Float[np.ndarray, "*some"]:
    """Return a source's field over its amplitude at some distances, m; see `Source`."""
    if form == "cone":
        return np.maximum(0.0, 1.0 - distance / size)
    return np.exp(-(distance**2) / (2 * size * size))


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of a field: amplitude exp(-r^2 / (2 size^2)), or amplitude max(0, 1 - r / size) for a cone.

    The logarithm of a gaussian has no slope at its peak, where an animal that follows it goes round; that of a cone has
    the steepest there.

    Attributes:
        form: "gaussian" or "cone".
        x, y: where it is when an episode starts, m.
        amplitude: of the field at its centre.
        size: m.
        velocity_x, velocity_y: m/s.

    Raises:
        InvalidArena: a value is out of range.
    """

    form: Form = "gaussian"
    x: float = 0.0
    y: float = 0.0
    amplitude: float = 1.0
    size: float = 1.0
    velocity_x: float = 0.0
    velocity_y: float = 0.0

    def __post_init__(self) -> None:
        if wrong := wrong_value(vars(self), _OF_SOURCE):
            raise InvalidArena(f"a source: {wrong}")


@dataclasses.dataclass(frozen=True)
class Field:
    """The sum of a base, a slope and sources.

    Attributes:
        sources: in any order; or tables of their fields.
        base: the value at the origin without sources: none for an odour, K for a temperature.
        slope_x, slope_y: per m.

    Raises:
        InvalidArena: a value is out of range, or what is no source.
    """

    sources: tuple[Source, ...] = ()
    base: float = 0.0
    slope_x: float = 0.0
    slope_y: float = 0.0

    def __post_init__(self) -> None:
        numbers = {name: getattr(self, name) for name in ("base", "slope_x", "slope_y")}
        if wrong := wrong_value(numbers, dict.fromkeys(numbers, _FINITE)):
            raise InvalidArena(f"a field: {wrong}")
        if not isinstance(self.sources, list | tuple):
            raise InvalidArena(f"sources is {self.sources!r}; give a list of sources")
        object.__setattr__(self, "sources", tuple(made_of(Source, source) for source in self.sources))

    def at(
        self, places: Float[np.ndarray, "some 2"], seconds: Float[np.ndarray, " some"]
    ) -> Float[np.ndarray, " some"]:
        """Return the field at places, m, and seconds after the reset, in the field's own unit."""
        found = self.base + places @ np.array([self.slope_x, self.slope_y])
        for source in self.sources:
            centre = np.array([source.x, source.y]) + seconds[:, None] * [source.velocity_x, source.velocity_y]
            away = np.sqrt(((places - centre) ** 2).sum(1))
            found = found + source.amplitude * strength(source.form, source.size, away)
        return found
