"""Tasks: where an episode starts, what is observed and what is rewarded, batched over environments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ...errors import InvalidTask
from ..physics.simulation import Simulation
from ..senses import Layout, Sense

# Bounds of the observation space. No body here reaches them; they are finite because learners that
# scale observations by their bounds, and gymnasium's checker, want them so.
MAX_ANGLE, MAX_VELOCITY, MAX_DISTANCE = 2 * np.pi, 1e3, 1e3


class Task(ABC):
    """What a body is asked to do; written once for the single and the vector environment.

    Observations are in the units that `layout` names. Rewards have no unit. `ids` are numbers of
    environments, from 0.

    Args:
        simulation: the bodies.
        episode_steps: control steps per episode, after which it is truncated.
        observe_time: add the seconds since the reset to the observation.
    """

    def __init__(self, simulation: Simulation, episode_steps: int = 1000, observe_time: bool = False) -> None:
        if episode_steps < 1:
            raise InvalidTask(f"episode_steps is {episode_steps}; give 1 or more")
        self.simulation, self.episode_steps, self.observe_time = simulation, episode_steps, observe_time
        dt = simulation.body.control_dt
        senses = [
            Sense("joint_pos", simulation.n_joints, -MAX_ANGLE, MAX_ANGLE, "rad"),
            *self.extra_senses(),
        ]
        senses.append(Sense("body_velocities", 3 * simulation.body.n_links, -MAX_VELOCITY, MAX_VELOCITY, "m/s, rad/s"))
        if observe_time:
            senses.append(Sense("time", 1, 0.0, episode_steps * dt, "s"))
        self.layout = Layout.of(senses, simulation.joint_limit, dt)
        self.elapsed = np.zeros(simulation.n_envs, int)
        self._com_start = np.zeros((simulation.n_envs, 2))
        self._com_before = np.zeros((simulation.n_envs, 2))

    def extra_senses(self) -> list[Sense]:
        """Name what the task adds to the observation, after the joints."""
        return []

    def extra_observations(self) -> list[Float[np.ndarray, "envs _"]]:
        """Return the values of `extra_senses`, in order and in the units named there."""
        return []

    @abstractmethod
    def reward(self, com_speed: Float[np.ndarray, " envs"]) -> Float[np.ndarray, " envs"]:
        """Return the reward of the step just taken; `com_speed` is the forward speed of the body, m/s."""

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes: heading uniform on the circle, joints uniform in their range, at rest."""
        low, high = self.simulation.joint_range.T
        heading = np.array([rng.uniform(-np.pi, np.pi) for rng in rngs])
        joint_pos = np.array([rng.uniform(low, high) for rng in rngs])
        self.simulation.reset(ids, heading, joint_pos, rngs)
        self.elapsed[ids] = 0
        self._com_start[ids] = self._com_before[ids] = self.simulation.com[ids]

    def before_step(self) -> None:
        """Remember where the bodies are."""
        self._com_before[:] = self.simulation.com

    def after_step(self, ids: Int[np.ndarray, " some"] | None) -> Float[np.ndarray, " envs"]:
        """Count the step and return its reward; environments outside `ids` did not step."""
        self.elapsed[slice(None) if ids is None else ids] += 1
        return self.reward(self._forward_com_speed() if self.needs_com_speed else self._com_before[:, 0])

    needs_com_speed = False

    def observation(self) -> Float[np.ndarray, "envs obs"]:
        """Return what the agents are shown: angles in rad, lengths in m, velocities in m/s and rad/s, time in s."""
        simulation = self.simulation
        n = simulation.n_envs
        parts = [simulation.joint_pos, *self.extra_observations(), simulation.body_velocities.reshape(n, -1)]
        if self.observe_time:
            parts.append(self.elapsed[:, None] * simulation.body.control_dt)
        return np.concatenate(parts, axis=1)

    def info(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed of the centre of mass since the reset, m/s: how far it really got."""
        travelled = self.simulation.com - self._com_start
        seconds = np.maximum(self.elapsed, 1) * self.simulation.body.control_dt
        return {"net_speed": np.sqrt((travelled * travelled).sum(1)) / seconds}

    @property
    def truncated(self) -> Bool[np.ndarray, " envs"]:
        """Which episodes have reached their last step."""
        return self.elapsed >= self.episode_steps

    @property
    def target_pos(self) -> Float[np.ndarray, "envs target"]:
        """The target in the plane, m; no columns if there is none."""
        return np.zeros((self.simulation.n_envs, 0))

    def get_state(self) -> dict[str, Any]:
        """Return copies of what the task remembers between steps."""
        return {"elapsed": self.elapsed.copy(), "com_start": self._com_start.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        self.elapsed[:] = state["elapsed"]
        self._com_start[:] = state["com_start"]

    def _forward_com_speed(self) -> Float[np.ndarray, " envs"]:
        """Speed of the centre of mass along the line from the tail's link to the head's, m/s."""
        links = self.simulation.link_pos
        axis = links[:, 0] - links[:, -1]
        moved = self.simulation.com - self._com_before
        length = np.maximum(np.linalg.norm(axis, axis=1), 1e-9)
        return (moved * axis).sum(1) / (length * self.simulation.body.control_dt)
