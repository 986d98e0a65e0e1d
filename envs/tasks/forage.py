"""Foraging: find one food after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int

from ...options import Allowed, Number
from ..arenas.fields import ring
from ..setting import Envs
from .targets import Scented

_SOONEST = 0.5  # body lengths: no food comes back nearer to a link
_TRIES = 1000


class Forage(Scented):
    """Eat as often as possible: food is eaten when the nose is within its radius, and then reappears elsewhere.

    The first food lies within `far` of the nose, each later one between half a body length and `far` from the nearest
    link. The reward of a step is the decrease of the nose's distance from the food, divided by that distance when the
    food appeared, plus 1 for eating. Episodes end only by their number of steps.

    Metrics: `eaten`, the number of foods eaten, and those of `Targeted`, which refer to the first food.

    Args:
        envs: the environments.
        far: largest distance of food, in body lengths.
        radius: radius of the food, in body lengths.
        spread: size of its odour, in body lengths; see `Source`.
        form: shape of the odour, "gaussian" or "cone".
        odour_noise: standard deviation of multiplicative sensor noise, drawn in each control step.
        shuffled: control condition: each environment senses the food along another environment's path.
    """

    senses = ("joint_pos", "to_target", "body_velocities")
    default_steps = 2000
    strata = (0.0, 0.5, 1.5)
    allowed: ClassVar[Mapping[str, Allowed]] = {
        **Scented.allowed, "far": Number(1.0), "radius": Number(0, 0.5, above=True),
    }  # fmt: skip

    def __init__(
        self,
        envs: Envs,
        far: float = 2.5,
        radius: float = 0.25,
        spread: float = 1.7,
        form: Literal["gaussian", "cone"] = "gaussian",
        odour_noise: float = 0.0,
        shuffled: bool = False,
    ) -> None:
        super().__init__(envs, spread, form, odour_noise, shuffled)
        self.far, self.target_radius = far * self.length, radius * self.length
        n = envs.n_envs
        self._eaten, self._nearest, self._begun, self._reward = (np.zeros(n) for _ in range(4))

    def draw_target(
        self,
        index: int,  # noqa: ARG002
        nose: Float[np.ndarray, " 2"],
        rng: np.random.Generator,
    ) -> Float[np.ndarray, " 2"]:
        """Draw a position within `far` of the nose, m."""
        return nose + ring(rng, 0.0, self.far)

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in some environments, each with its own food."""
        super().reset(ids, rngs)
        self._eaten[ids] = self._reward[ids] = 0.0
        self._comes(ids)

    def follow(self, ids: Int[np.ndarray, " some"]) -> None:
        """Update distances and eaten food after a step."""
        super().follow(ids)
        now = self.distance()[ids]
        is_eaten = now < self.target_radius
        self._reward[:] = 0.0
        self._reward[ids] = (self._nearest[ids] - now) / self._begun[ids] + is_eaten
        self._nearest[ids] = now
        for index in ids[is_eaten]:
            self._eaten[index] += 1
            self._target[index] = self._elsewhere(int(index))
        self._comes(ids[is_eaten])

    def paid(self) -> Float[np.ndarray, " envs"]:
        """Return the reward: the relative decrease of the distance, plus 1 for eating; see the class."""
        return self._reward.copy()

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed (m/s), the metrics of reaching the first food, and the number eaten."""
        return {**super().metrics(), "eaten": self._eaten.copy()}

    def place_target(self, index: int, place: Float[np.ndarray, " 2"]) -> None:
        """Move the food of an environment to a position, m."""
        super().place_target(index, place)
        self._comes(np.array([index]))

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the task's state."""
        own = {name: getattr(self, f"_{name}").copy() for name in ("eaten", "nearest", "begun")}
        return {**super().get_state(), **own}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        for name in ("eaten", "nearest", "begun"):
            getattr(self, f"_{name}")[:] = state[name]

    def _comes(self, ids: Int[np.ndarray, " some"]) -> None:
        """Take note of how far new food is."""
        self._nearest[ids] = self.distance()[ids]
        self._begun[ids] = np.maximum(self._nearest[ids], self.target_radius)

    def _elsewhere(self, index: int) -> Float[np.ndarray, " 2"]:
        """Draw a place for the next food of an environment, m."""
        rng, links = self.envs.rngs[index], self.physics.read("link_pos")[index]
        assert rng is not None
        middle, least = links.mean(0), _SOONEST * self.length
        for _ in range(_TRIES):
            place = middle + ring(rng, 0.0, self.far + self.length / 2)
            if least <= np.sqrt(((links - place) ** 2).sum(1)).min() <= self.far:
                return place
        return middle + ring(rng, self.far, self.far)
