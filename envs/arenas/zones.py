"""Zones: regions of an arena with their own medium and a soft edge."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from ...errors import InvalidArena
from ...options import Instance, Number, OneOf, wrong_value
from .media import PLACE, Drag, gel, medium_of

Shape = Literal["half-plane", "disc", "ramp"]
SHAPES = get_args(Shape)
_FINITE = Number(-math.inf, math.inf)
_FIELDS = {
    "shape": OneOf(SHAPES),
    "medium": Instance(Drag, "a Drag, or a table of its across and ratio"),
    "x": PLACE, "y": PLACE, "heading": _FINITE,
    "size": Number(0, above=True),
    "edge": Number(0, above=True),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Zone:
    """A region with its own medium.

    Attributes:
        shape: "half-plane": everything beyond (x, y) in the direction `heading`; "disc": a disc of radius `size` around
            (x, y); "ramp": a gradual change to the medium that starts at (x, y) and ends `size` m further in the
            direction `heading`.
        medium: the drag in the zone.
        x, y: position, m.
        heading: direction, rad from the x axis.
        size: radius of a disc or length of a ramp, m.
        edge: width of the soft edge of a half-plane or a disc, m; at least the length of a link.

    Raises:
        InvalidArena: a value is out of range.
    """

    shape: Shape = "half-plane"
    medium: Drag = gel(1.0)  # noqa: RUF009
    x: float = 0.0
    y: float = 0.0
    heading: float = 0.0
    size: float = 1.0
    edge: float = 0.1

    def __post_init__(self) -> None:
        if isinstance(self.medium, Mapping):
            object.__setattr__(self, "medium", medium_of(self.medium))
        if wrong := wrong_value(vars(self), _FIELDS):
            raise InvalidArena(f"a zone: {wrong}")

    def share(self, places: Float[np.ndarray, "*some 2"]) -> Float[np.ndarray, "*some"]:
        """Return the share of the zone's medium at some places (m), from 0 to 1."""
        away = places - np.array([self.x, self.y])
        if self.shape == "disc":
            inside = self.size - np.sqrt((away**2).sum(-1))
        else:
            inside = away @ np.array([math.cos(self.heading), math.sin(self.heading)])
        if self.shape == "ramp":
            return np.clip(inside / self.size, 0.0, 1.0)
        return 0.5 + 0.5 * np.tanh(0.5 * inside / self.edge)


def drag_at(
    medium: Drag, zones: Sequence[Zone], places: Float[np.ndarray, "*some 2"]
) -> tuple[Float[np.ndarray, "*some"], Float[np.ndarray, "*some"]]:
    """Return drag across, N s/m^2, and its ratio at some places of a medium with zones in it."""
    shape = np.zeros(places.shape[:-1])
    across, ratio = shape + math.log(medium.across), shape + math.log(medium.ratio)
    for zone in zones:
        share = zone.share(places)
        across += share * (math.log(zone.medium.across) - across)
        ratio += share * (math.log(zone.medium.ratio) - ratio)
    return np.exp(across), np.exp(ratio)
