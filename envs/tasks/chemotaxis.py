"""Swim up an odour that has to be followed by its change in time."""

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
    """Find the source of an odour, of which the nose smells the logarithm of the concentration.

    The source lies in a random direction, at one of several distances from the nose. The reward of a step is the
    concentration at the nose over that at the source. An episode goes on when the source is reached.

    Its indices, of the distance d of the nose from the source: `half_plane`, the time nearer to the source than to its
    mirror image through the start, less the time nearer to that, over all time: from -1 to 1, and 0 for a path that
    does not depend on the source; `chemotaxis_index`, 1 - mean d / d(0) (Izquierdo and Lockery 2010), without bound
    below for one that swims away; `late_index`, the same of the last third; `disc_index`, the time within d(0) / 2 of
    the source less that around the mirror image, over their sum, and 0 where `disc_entered` is 0. `reached` and what
    belongs to it are about a quarter of a body length around the source.

    Args:
        envs: the environments.
        distances: of the source from the nose, in body lengths; each episode has one of them.
        spread: size of the source, in body lengths; see `Source`.
        form: "gaussian" or "cone".
        odour_noise: standard deviation of a factor on the concentration, new in each control step.
        shuffled: each environment smells the odour of another's path: a control, in which nothing can be found.
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
        """Return a place in a random direction from the nose, m."""
        distance = self.distances[int(rng.integers(len(self.distances)))] * self.length
        angle = rng.uniform(-np.pi, np.pi)
        return nose + distance * np.array([np.cos(angle), np.sin(angle)])

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in the environments of these numbers, each with its own source."""
        super().reset(ids, rngs)
        for values in self._sums.values():
            values[ids] = 0.0

    def paid(self) -> Float[np.ndarray, " envs"]:
        """Return the concentration at the nose, from 0 to 1."""
        return self.concentration()

    def follow(self, ids: Int[np.ndarray, " some"]) -> None:
        """Take note of a step, and add where noses are now to the indices."""
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
        """Return the net speed, m/s, the measures of reaching the source, and the indices; see the class.

        `near` is the share of time within half the spread.
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
        """Put the source of an environment at a place, m; indices are then about that one."""
        super().place_target(index, place)
        self._first[index] = place

    def get_state(self) -> dict[str, Any]:
        """Return copies of what the task remembers between steps."""
        return {**super().get_state(), **{name: value.copy() for name, value in self._sums.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        for name, values in self._sums.items():
            values[:] = state[name]
