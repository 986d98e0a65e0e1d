"""Swim to a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from ...errors import InvalidTask
from ..senses import MAX_DISTANCE, SENSES, Sense, SenseKind
from ..setting import Envs, Setting
from .task import Task


class Navigate(Task):
    """Reach a target with the nose: dm_control's swimmer task.

    The target stands within 2 m, in one episode out of five within 0.3 m. The reward is 1 inside the
    target's radius and falls with a long tail, to 0.1 at five radii from its rim.
    """

    senses = ("joint_pos", "to_target", "body_velocities")
    essential = ("to_target",)
    metric_units: ClassVar[Mapping[str, str]] = {**Task.metric_units, "target_distance": "m"}
    target_radius = 0.1  # m

    def __init__(self, envs: Envs) -> None:
        super().__init__(envs)
        self._target = np.ones((envs.n_envs, 2))

    def to_target(self) -> Float[np.ndarray, "envs 2"]:
        """Return the vector from nose to target, in the head's frame, m."""
        offset = self._target - self.physics.read("nose_pos")
        return np.einsum("nap,np->na", self.physics.read("head_axes"), offset)

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in the environments of these numbers, each with its own target."""
        super().reset(ids, rngs)
        for index, rng in zip(ids, rngs, strict=True):
            box = 0.3 if rng.uniform() < 0.2 else 2.0
            self._target[index] = rng.uniform(-box, box, size=2)

    def reward(self) -> Float[np.ndarray, " envs"]:
        """Return the reward of the step, from 0 to 1; see the class."""
        beyond = np.maximum(self._distance() - self.target_radius, 0.0) / (5 * self.target_radius)
        return 1.0 / ((3.0 * beyond) ** 2 + 1.0)

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed, m/s, and the distance from nose to target, m."""
        return {**super().metrics(), "target_distance": self._distance()}

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

    def _distance(self) -> Float[np.ndarray, " envs"]:
        offset = self.to_target()
        distance: Float[np.ndarray, " envs"] = np.sqrt((offset * offset).sum(1))
        return distance


class ToTarget(SenseKind):
    """The vector from the nose to the target of `Navigate`, in the head's frame."""

    def describe(self, setting: Setting) -> Sense:
        """Return what it is; see `SenseKind`."""
        if not issubclass(setting.task, Navigate):
            raise InvalidTask(f"task {setting.task.__name__} has no target to sense; sense to_target in Navigate")
        return Sense("to_target", 2, -MAX_DISTANCE, MAX_DISTANCE, "m")

    def read(self, envs: Envs) -> Float[np.ndarray, "envs 2"]:
        """Return the vector, m."""
        assert isinstance(envs.task, Navigate)
        return envs.task.to_target()


SENSES["to_target"] = ToTarget()
