"""What a body is asked to do, written once for all environments and every API."""

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
    """Where an episode starts, what is observed and rewarded, and when it ends; batched over environments.

    Rewards have no unit. `ids` are numbers of environments, from 0. `self.envs` is the batch, `self.physics` what
    steps it; what a task draws comes from the generators that it is handed, one for each environment.

    Attributes:
        senses: what is observed by default, by name and in order.
        essential: senses without which no agent can solve it; one that lacks them all is said to learn blind.
        default_steps: control steps per episode where none are given.
        allowed: what the task's own options may be, by name, where their types do not say all.
        files: options that may be the path of a file, each with what reads its content as JSON types; a run holds that
            in place of the path.
        success: which of `metrics` says by 1 or 0 whether an episode was a success; "" where none does.
        metric_units: the unit of each of `metrics`, for tables; those without a unit are left out.
        com_start: [envs, 2], where the centre of mass was at the reset, m.

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
        """Return the arena of the task where none is named but the open one."""
        return Arena()

    @abstractmethod
    def reward(self) -> Float[np.ndarray, " envs"]:
        """Return the reward of the step just taken, without a unit."""

    def pay(self) -> Pay | None:
        """Say what `reward` returns where it is this simple, so that fast physics can pay by itself; None elsewhere."""
        return None

    @property
    def reward_threshold(self) -> float | None:
        """The return from which gymnasium calls the task solved, without a unit; None where nobody has said."""
        return None

    def terminated(self) -> Bool[np.ndarray, " envs"]:
        """Return which episodes have ended for good, so that nothing more can be earned in them."""
        return np.zeros(self.envs.n_envs, bool)

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes: bodies are placed, and randomised ones drawn."""
        heading, joint_pos = self.start_pose(rngs)
        self.envs.draw_bodies(ids, rngs)
        self.envs.put(ids, rngs, heading, joint_pos)
        self.com_start[ids] = self._com_before[ids] = self.physics.read("com_pos")[ids]

    def start_pose(
        self, rngs: Sequence[np.random.Generator]
    ) -> tuple[Float[np.ndarray, " some"], Float[np.ndarray, "some joints"]]:
        """Draw heading and joint angles, rad: anywhere, or near the reference pose where gravity acts in the plane."""
        low, high = joint_range(self.envs.body).T
        if self.envs.body.parts.is_upright:
            heading = np.array([rng.uniform(-_NEAR, _NEAR) for rng in rngs])
            near = [rng.uniform(np.maximum(low, -_NEAR), np.minimum(high, _NEAR)) for rng in rngs]
            return heading, np.array(near)
        # What `uniform` gives, bit for bit, in a tenth of its time: it checks its bounds in every call.
        draws = np.array([rng.random(1 + len(low)) for rng in rngs])
        return -np.pi + 2 * np.pi * draws[:, 0], low + (high - low) * draws[:, 1:]

    def before_step(self, actions: Float[np.ndarray, "envs joints"]) -> Float[np.ndarray, "envs joints"]:
        """Return the actions that the motors get, in units of their range; remember where the bodies are."""
        self._com_before[:] = self.physics.read("com_pos")
        return actions

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed of the centre of mass since the reset, m/s: how far it really got."""
        travelled = self.physics.read("com_pos") - self.com_start
        seconds = np.maximum(self.envs.elapsed, 1) * self.envs.dt
        return {"net_speed": np.sqrt((travelled * travelled).sum(1)) / seconds}

    def place_target(self, index: int, place: Float[np.ndarray, " 2"]) -> None:  # noqa: ARG002
        """Put the target of an environment at a place, m.

        Raises:
            InvalidTask: the task has none.
        """
        raise InvalidTask(f"{type(self).__name__} has no target to put anywhere; take forage, chemotaxis or navigate")

    @property
    def target_pos(self) -> Float[np.ndarray, "envs target"]:
        """The target in the plane, m; no columns if there is none."""
        return np.zeros((self.envs.n_envs, 0))

    def forward_com_speed(self) -> Float[np.ndarray, " envs"]:
        """Return the speed of the centre of mass in the last step, from tail to head, m/s.

        Forward is the line from the last link to the head, or the plane's first axis for a body that is no chain.
        """
        moved = self.physics.read("com_pos") - self._com_before
        if not self.envs.body.parts.is_chain:
            speed: Float[np.ndarray, " envs"] = moved[:, 0] / self.envs.dt
            return speed
        links = self.physics.read("link_pos")
        axis = links[:, 0] - links[:, -1]
        length = np.maximum(np.linalg.norm(axis, axis=1), 1e-9)
        return (moved * axis).sum(1) / (length * self.envs.dt)

    def get_state(self) -> dict[str, Any]:
        """Return copies of what the task remembers between steps."""
        return {"com_start": self.com_start.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        self.com_start[:] = state["com_start"]
