"""The base class of tasks: start, observation, reward and end of episodes, for all environment APIs."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from ...errors import InvalidTask
from ...options import Allowed
from ..arenas.arena import Arena
from ..bodies.body import Body, joint_range
from ..setting import Envs

_NEAR = 0.1  # rad and m/s of the reference pose, where bodies under gravity start


@dataclasses.dataclass(frozen=True)
class Pay:
    """A reward that is one number of the physics in some unit, within bounds.

    Attributes:
        quantity: which of `QUANTITIES`.
        index: which of its numbers, from 0.
        unit: how much of it earns 1, in the quantity's unit.
        least: what no reward falls below.
        most: what no reward exceeds.
    """

    quantity: str
    index: int
    unit: float
    least: float
    most: float


class Task(ABC):
    """A task: how episodes start, what is observed and rewarded, and when episodes end; batched over environments.

    `ids` are indices of environments. `self.envs` is the batch and `self.physics` its simulator. Random draws must
    come from the generators that are passed in, one for each environment.

    Attributes:
        senses: names of the senses observed by default, in order.
        essential: senses without which no agent can solve the task; training without any of them gives a warning.
        default_steps: default number of control steps per episode.
        allowed: allowed values of the task's options, by name, where the type alone does not say.
        files: options that may be the path of a file, each with a function that reads its content as JSON types; a
            run stores the content in place of the path.
        success: name of the metric that is 1 for a successful episode and 0 otherwise; "" if there is none.
        metric_units: unit of each metric, for tables; dimensionless metrics are left out.
        com_start: [envs, 2], position of the centre of mass at the reset, m.

    Args:
        envs: the environments.
    """

    senses: ClassVar[tuple[str, ...]] = ("joint_pos", "body_velocities")
    essential: ClassVar[tuple[str, ...]] = ()
    default_steps: ClassVar[int] = 1000
    allowed: ClassVar[Mapping[str, Allowed]] = {}
    files: ClassVar[Mapping[str, Callable[[str | Path], Mapping[str, Any]]]] = {}
    success: ClassVar[str] = ""
    metric_units: ClassVar[Mapping[str, str]] = {"net_speed": "m/s", "penetration": "m"}

    def __init__(self, envs: Envs) -> None:
        self.envs, self.physics = envs, envs.physics
        self.com_start = np.zeros((envs.n_envs, 2))
        self._com_before = np.zeros((envs.n_envs, 2))

    @classmethod
    def own_arena(cls, body: Body) -> Arena:  # noqa: ARG003
        """Return the arena that the task uses in place of the open arena."""
        return Arena()

    @abstractmethod
    def reward(self) -> Float[np.ndarray, " envs"]:
        """Return the reward of the last step."""

    def pay(self) -> Pay | None:
        """Return the reward as a formula that lanes can compute; None if it has no such form."""
        return None

    @property
    def reward_threshold(self) -> float | None:
        """The return from which gymnasium regards the task as solved; None if there is none."""
        return None

    def terminated(self) -> Bool[np.ndarray, " envs"]:
        """Return which episodes have terminated, so that no further reward is possible."""
        return np.zeros(self.envs.n_envs, bool)

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes: draw randomised bodies, and place all bodies."""
        heading, joint_pos = self.start_pose(rngs)
        self.envs.draw_bodies(ids, rngs)
        self.envs.put(ids, rngs, heading, joint_pos)
        self.com_start[ids] = self._com_before[ids] = self.physics.read("com_pos")[ids]

    def start_pose(
        self, rngs: Sequence[np.random.Generator]
    ) -> tuple[Float[np.ndarray, " some"], Float[np.ndarray, "some joints"]]:
        """Draw heading and joint angles (rad): uniformly, or near the reference pose if gravity acts in the plane."""
        low, high = joint_range(self.envs.body).T
        if self.envs.body.parts.is_upright:
            heading = np.array([rng.uniform(-_NEAR, _NEAR) for rng in rngs])
            near = [rng.uniform(np.maximum(low, -_NEAR), np.minimum(high, _NEAR)) for rng in rngs]
            return heading, np.array(near)
        # What `uniform` gives, bit for bit, in a tenth of its time: it checks its bounds in every call.
        draws = np.array([rng.random(1 + len(low)) for rng in rngs])
        return -np.pi + 2 * np.pi * draws[:, 0], low + (high - low) * draws[:, 1:]

    def before_step(self, actions: Float[np.ndarray, "envs joints"]) -> Float[np.ndarray, "envs joints"]:
        """Return the actions that reach the motors, in units of their range; called before each step."""
        self._com_before[:] = self.physics.read("com_pos")
        return actions

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the metrics; the base class has the net speed of the centre of mass since the reset, m/s."""
        travelled = self.physics.read("com_pos") - self.com_start
        seconds = np.maximum(self.envs.elapsed, 1) * self.envs.dt
        return {"net_speed": np.sqrt((travelled * travelled).sum(1)) / seconds}

    def place_target(self, index: int, place: Float[np.ndarray, " 2"]) -> None:  # noqa: ARG002
        """Move the target of an environment to a position, m.

        Raises:
            InvalidTask: the task has no target.
        """
        raise InvalidTask(f"{type(self).__name__} has no target to put anywhere; take forage, chemotaxis or navigate")

    @property
    def target_pos(self) -> Float[np.ndarray, "envs target"]:
        """The target's position, m; without columns if the task has no target."""
        return np.zeros((self.envs.n_envs, 0))

    def forward_com_speed(self) -> Float[np.ndarray, " envs"]:
        """Return the forward speed of the centre of mass in the last step, m/s.

        Forward is the direction from the last link to the head, or the plane's first axis if the body is not a chain.
        """
        moved = self.physics.read("com_pos") - self._com_before
        if not self.envs.body.parts.is_chain:
            speed: Float[np.ndarray, " envs"] = moved[:, 0] / self.envs.dt
            return speed
        links = self.physics.read("link_pos")
        axis = links[:, 0] - links[:, -1]
        length = np.maximum(np.linalg.norm(axis, axis=1), 1e-9)
        return (moved * axis).sum(1) / (length * self.envs.dt)

    def one_length(self) -> float:
        """Return the length of the bodies, m, of a task whose distances are in body lengths.

        Raises:
            InvalidTask: the batch has bodies of several lengths.
        """
        lengths = [float(body.link_sizes[0].sum()) for body in self.envs.bodies]
        if not np.allclose(lengths, lengths[0]):
            raise InvalidTask(
                f"{type(self).__name__} measures in body lengths, and {' and '.join(b.name for b in self.envs.bodies)} "
                "differ in length; give each environments of its own"
            )
        return lengths[0]

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the task's state."""
        return {"com_start": self.com_start.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        self.com_start[:] = state["com_start"]
