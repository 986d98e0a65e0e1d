"""Chemotaxis: find the source of an odour from its changes over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int

from ...errors import InvalidTask
from ...options import Allowed, ListOf, Number
from ..setting import Envs
from .targets import Scented

_ARRIVED, _DISC = 0.25, 0.5  # of the body's length, and of the distance at the start
_SUMS = ("steps", "half_plane", "relative", "late_steps", "late_relative", "near", "disc", "mirror_disc")


class Chemotaxis(Scented):
    """Find the source of an odour; the nose senses the logarithm of the concentration.

    The source lies in a random direction from the nose, at one of several distances. The reward of a step is the
    concentration at the nose divided by that at the source. Reaching the source does not end an episode.

    Metrics, with d the distance from nose to source, and the mirror image being the source reflected at the start:

    - `half_plane`: share of time closer to the source than to its mirror image, minus the share of time closer to the
      mirror image; from -1 to 1, and 0 on average for a path that does not depend on the source.
    - `chemotaxis_index`: 1 - mean d / d(0) (Izquierdo and Lockery 2010); has no lower bound.
    - `late_index`: the same over the last third of the episode.
    - `disc_index`: time within d(0) / 2 of the source, minus the time within d(0) / 2 of the mirror image, divided by
      their sum; 0 where `disc_entered` is 0.
    - `reached` and the other metrics of `Targeted` count a quarter of a body length around the source as reached.

    Args:
        envs: the environments.
        distances: possible distances of the source from the nose, in body lengths; one is drawn per episode.
        spread: size of the source, in body lengths; see `Source`.
        form: shape of the source, "gaussian" or "cone".
        odour_noise: standard deviation of multiplicative sensor noise, drawn in each control step.
        shuffled: control condition: each environment smells the odour along another environment's path.
    """

    senses = ("joint_pos", "odour", "body_velocities")
    default_steps = 2000
    allowed: ClassVar[Mapping[str, Allowed]] = {
        **Scented.allowed, "distances": ListOf(Number(0, above=True), "[1.7, 3.4]"),
    }  # fmt: skip

    def __init__(
        self,
        envs: Envs,
        distances: Sequence[float] = (1.7, 3.4),
        spread: float = 1.7,
        form: Literal["gaussian", "cone"] = "gaussian",
        odour_noise: float = 0.0,
        shuffled: bool = False,
    ) -> None:
        super().__init__(envs, spread, form, odour_noise, shuffled)
        if not distances:
            raise InvalidTask("distances is empty; give one or more, such as [1.7, 3.4]")
        self.distances, self.strata = tuple(distances), sorted(distances)
        self.target_radius = _ARRIVED * self.length
        self._sums = {name: np.zeros(envs.n_envs) for name in _SUMS}

    def draw_target(
        self,
        index: int,  # noqa: ARG002
        nose: Float[np.ndarray, " 2"],
        rng: np.random.Generator,
    ) -> Float[np.ndarray, " 2"]:
        """Draw a position in a random direction from the nose, m."""
        distance = self.distances[int(rng.integers(len(self.distances)))] * self.length
        angle = rng.uniform(-np.pi, np.pi)
        return nose + distance * np.array([np.cos(angle), np.sin(angle)])

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in some environments, each with its own source."""
        super().reset(ids, rngs)
        for values in self._sums.values():
            values[ids] = 0.0

    def paid(self) -> Float[np.ndarray, " envs"]:
        """Return the concentration at the nose, from 0 to 1."""
        return self.concentration()

    def follow(self, ids: Int[np.ndarray, " some"]) -> None:
        """Update the metrics after a step."""
        super().follow(ids)
        source, elapsed = self._target[ids], self.envs.elapsed[ids]
        nose = self.physics.read("nose_pos")[ids]
        near, far = (np.linalg.norm(nose - place, axis=1) for place in (source, 2 * self._start[ids] - source))
        begun, is_late = self.start_distance()[ids], elapsed > 2 * self.envs.episode_steps / 3
        found = {
            "steps": 1.0, "half_plane": np.sign(far - near), "relative": near / begun, "late_steps": is_late,
            "late_relative": is_late * near / begun, "near": near < self.spread / 2, "disc": near < _DISC * begun,
            "mirror_disc": far < _DISC * begun,
        }  # fmt: skip
        for name, values in found.items():
            self._sums[name][ids] += values

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed (m/s), the metrics of reaching the source, and the indices; see the class.

        `near` is the share of time within half the spread of the source.
        """
        sums = self._sums
        steps, late = np.maximum(sums["steps"], 1), np.maximum(sums["late_steps"], 1)
        discs = sums["disc"] + sums["mirror_disc"]
        return {
            **super().metrics(),
            "half_plane": sums["half_plane"] / steps,
            "chemotaxis_index": 1 - sums["relative"] / steps,
            "late_index": np.where(sums["late_steps"] > 0, 1 - sums["late_relative"] / late, 0.0),
            "disc_index": (sums["disc"] - sums["mirror_disc"]) / np.maximum(discs, 1),
            "disc_entered": (discs > 0).astype(float),
            "near": sums["near"] / steps,
        }

    def place_target(self, index: int, place: Float[np.ndarray, " 2"]) -> None:
        """Move the source of an environment to a position, m; metrics then refer to it."""
        super().place_target(index, place)
        self._first[index] = place

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the task's state."""
        return {**super().get_state(), **{name: value.copy() for name, value in self._sums.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        for name, values in self._sums.items():
            values[:] = state[name]
