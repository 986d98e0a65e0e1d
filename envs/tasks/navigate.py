"""Swim to a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ..physics.simulation import Simulation
from ..senses import Sense
from .task import MAX_DISTANCE, Task


class Navigate(Task):
    """Reach a target with the nose: dm_control's swimmer task.

    The target stands within 2 m, in one episode out of five within 0.3 m. The reward is 1 inside the
    target's radius and falls with a long tail, to 0.1 at five radii from its rim.
    """

    target_radius = 0.1  # m

    def __init__(self, simulation: Simulation, **task: Any) -> None:
        self._target = np.ones((simulation.n_envs, 2))
        super().__init__(simulation, **task)

    def extra_senses(self) -> list[Sense]:
        """Name the vector from nose to target, in the head's frame."""
        return [Sense("to_target", 2, -MAX_DISTANCE, MAX_DISTANCE, "m")]

    def extra_observations(self) -> list[Float[np.ndarray, "envs 2"]]:
        """Return the vector from nose to target, in the head's frame, m."""
        return [self.simulation.to_head_frame(self._target)]

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in the environments of these numbers, each with its own target."""
        super().reset(ids, rngs)
        for index, rng in zip(ids, rngs, strict=True):
            box = 0.3 if rng.uniform() < 0.2 else 2.0
            self._target[index] = rng.uniform(-box, box, size=2)

    def reward(self, com_speed: Float[np.ndarray, " envs"]) -> Float[np.ndarray, " envs"]:  # noqa: ARG002
        """Return the reward of the step, from 0 to 1; see the class."""
        offset = self.simulation.to_head_frame(self._target)
        distance = np.sqrt((offset * offset).sum(1))
        beyond = np.maximum(distance - self.target_radius, 0.0) / (5 * self.target_radius)
        return 1.0 / ((3.0 * beyond) ** 2 + 1.0)

    def info(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed, m/s, and the distance from nose to target, m."""
        offset = self.simulation.to_head_frame(self._target)
        return {**super().info(), "target_distance": np.sqrt((offset * offset).sum(1))}

    @property
    def target_pos(self) -> Float[np.ndarray, "envs 2"]:
        """The target in the plane, m."""
        return self._target

    def get_state(self) -> dict[str, Any]:
        """Return copies of what the task remembers, the target included."""
        return {**super().get_state(), "target": self._target.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        self._target[:] = state["target"]
