"""What stands around a body, as drawings need it: outlines in the plane, and where they are."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Obstacles:
    """K outlines at T instants.

    Attributes:
        outlines: corners of each, convex and in order, m, in its own frame.
        colours: of each, as #rrggbb.
        pose: place, m, and angle, rad, of each at each instant.
        tile: how far copies of the last `n_tiled` are apart, along both axes of their own frame, m; there is no end.
        n_tiled: how many are repeated.
        touch: force on each link at each instant, N; no columns where nothing can be touched.
    """

    outlines: tuple[Float[np.ndarray, "corners 2"], ...]
    colours: tuple[str, ...]
    pose: Float[np.ndarray, "T K 3"]
    tile: tuple[float, float] = (0.0, 0.0)
    n_tiled: int = 0
    touch: Float[np.ndarray, "T links"] = dataclasses.field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def is_whole(self) -> bool:
        """Whether outlines, colours and poses are of as many obstacles, and the outlines have corners."""
        shapes = all(outline.ndim == 2 and outline.shape[0] > 2 and outline.shape[1] == 2 for outline in self.outlines)
        finite = all(np.isfinite(outline).all() for outline in self.outlines)
        are_colours = all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in self.colours)
        tiled = 0 <= self.n_tiled <= len(self.outlines) and (not self.n_tiled or min(self.tile) > 0)
        n = self.pose.shape[1]
        return shapes and finite and are_colours and tiled and n == len(self.outlines) == len(self.colours)

    def between(self, start: int, stop: int) -> Obstacles:
        """Return the instants from `start` up to `stop`."""
        return dataclasses.replace(self, pose=self.pose[start:stop], touch=self.touch[start:stop])

    def seen(
        self, instant: int, low: Float[np.ndarray, " 2"], high: Float[np.ndarray, " 2"]
    ) -> Float[np.ndarray, "n 4"]:
        """Return number, place, m, and angle, rad, of all that may be seen in a rectangle, with all copies in it."""
        found = []
        for index, (outline, (x, y, angle)) in enumerate(zip(self.outlines, self.pose[instant], strict=True)):
            reach, places = float(np.abs(outline).max()) * math.sqrt(2), np.array([[x, y]])
            if index >= len(self.outlines) - self.n_tiled:
                turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
                # Copies that a circle around the rectangle may hold.
                away = turn @ ((low + high) / 2 - (x, y)) / self.tile
                span = (float(np.linalg.norm(high - low)) / 2 + reach) / np.array(self.tile)
                ranges = [np.arange(math.ceil(a - s), math.floor(a + s) + 1) for a, s in zip(away, span, strict=True)]
                places = places + np.stack(np.meshgrid(*ranges), -1).reshape(-1, 2) * self.tile @ turn
            is_seen = ((places > low - reach) & (places < high + reach)).all(1)
            found += [(index, *place, angle) for place in places[is_seen].tolist()]
        return np.array(found).reshape(-1, 4)

    def corners(
        self, instant: int, low: Float[np.ndarray, " 2"], high: Float[np.ndarray, " 2"]
    ) -> list[tuple[Float[np.ndarray, "corners 2"], str]]:
        """Return corners, m, and colour of all that may be seen in a rectangle."""
        found = []
        for index, x, y, angle in self.seen(instant, low, high):
            turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
            found.append((self.outlines[int(index)] @ turn + (x, y), self.colours[int(index)]))
        return found

    def to_json(self) -> dict[str, Any]:
        """Return what does not change with time, as JSON types."""
        return {
            "outlines": [np.round(outline, 5).tolist() for outline in self.outlines],
            "colours": list(self.colours), "tile": list(self.tile), "n_tiled": self.n_tiled,
        }  # fmt: skip

    @classmethod
    def from_json(
        cls, values: Mapping[str, Any], pose: Float[np.ndarray, "T K 3"], touch: Float[np.ndarray, "T links"]
    ) -> Obstacles:
        """Return what `to_json` returned, at the instants of poses, m and rad, with touches, N."""
        outlines = tuple(np.array(outline, float) for outline in values["outlines"])
        tile = (float(values["tile"][0]), float(values["tile"][1]))
        return cls(outlines, tuple(values["colours"]), pose, tile, int(values["n_tiled"]), touch)
