"""A memory task: an early cue says which way to turn later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from ...errors import InvalidTask
from ...options import Allowed, Number
from ..senses import SENSES, Sense, SenseKind
from ..setting import Envs, Setting
from .task import Task


class CueTurn(Task):
    """Turn to the side that a cue indicated, after the cue has ended.

    For `cue_steps`, the sense `cue` is +1 (turn right) or -1 (left), each in half of the episodes; then it is 0. After
    `delay_steps` more, the sense `go` changes from 0 to 1. Before the go signal the motors are disconnected, so that
    the cue cannot be stored in the body's posture. After it, the reward is the angle turned to the cued side in units
    of `success_angle`, clipped to [-1, 1]. An episode is a success if it ends at 1, and correct if it ends above 0. A
    policy without memory acts independently of the cue: half of its turns are correct, and at most half of its
    episodes are successes.

    The angle turned is the rotation, since the go signal, of the direction from centre of mass to nose.

    Args:
        envs: the environments.
        cue_steps: control steps for which the cue is shown.
        delay_steps: control steps between the end of the cue and the go signal.
        success_angle: angle of a full turn, rad.

    Raises:
        InvalidTask: the episode has no step left after the go signal.
    """

    senses: ClassVar[tuple[str, ...]] = ("joint_pos", "cue", "go", "body_velocities")
    essential: ClassVar[tuple[str, ...]] = ("cue",)
    success = "success"
    default_steps = 100
    allowed: ClassVar[Mapping[str, Allowed]] = {
        "cue_steps": Number(1, is_whole=True),
        "delay_steps": Number(0, is_whole=True),
        "success_angle": Number(0, above=True),
    }
    metric_units: ClassVar[Mapping[str, str]] = {**Task.metric_units, "turn": "rad"}

    def __init__(self, envs: Envs, cue_steps: int = 10, delay_steps: int = 20, success_angle: float = 0.4) -> None:
        if envs.episode_steps <= cue_steps + delay_steps:
            raise InvalidTask(
                f"episode_steps is {envs.episode_steps} and the go comes after {cue_steps + delay_steps}; "
                "give more steps"
            )
        super().__init__(envs)
        self.cue_steps, self.go_step, self.success_angle = cue_steps, cue_steps + delay_steps, success_angle
        n_envs = envs.n_envs
        self._side, self._facing, self._turn = np.ones(n_envs), np.zeros(n_envs), np.zeros(n_envs)

    def cue(self) -> Float[np.ndarray, " envs"]:
        """Return the cue: 1 or -1 while it is shown, then 0."""
        return np.where(self.envs.elapsed < self.cue_steps, self._side, 0.0)

    def go(self) -> Float[np.ndarray, " envs"]:
        """Return the go signal: 0 before it, then 1."""
        return (self.envs.elapsed >= self.go_step).astype(float)

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes, each with a random side."""
        super().reset(ids, rngs)
        self._side[ids] = [1.0 if rng.uniform() < 0.5 else -1.0 for rng in rngs]
        self._turn[ids] = 0.0
        self._facing[ids] = self._nose_angle()[ids]

    def before_step(self, actions: Float[np.ndarray, "envs joints"]) -> Float[np.ndarray, "envs joints"]:
        """Disconnect the motors before the go signal."""
        return np.where(self.envs.elapsed[:, None] < self.go_step, 0.0, super().before_step(actions))

    def reward(self) -> Float[np.ndarray, " envs"]:
        """Return the angle turned to the cued side in units of `success_angle`, clipped to [-1, 1]; 0 before the go."""
        now = self._nose_angle()
        turned = (now - self._facing + np.pi) % (2 * np.pi) - np.pi
        self._facing = now
        acts = self.envs.elapsed > self.go_step
        self._turn += np.where(acts, turned, 0.0)
        return np.where(acts, np.clip(self._cued_turn() / self.success_angle, -1.0, 1.0), 0.0)

    @property
    def reward_threshold(self) -> float | None:
        """Half of the largest possible return; without memory the expected return is 0."""
        return 0.5 * (self.envs.episode_steps - self.go_step)

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed (m/s), the angle turned to the cued side (rad), and `correct` and `success` so far (0 or
        1).
        """
        turn = self._cued_turn()
        choice = {"correct": (turn > 0).astype(float), "success": (turn >= self.success_angle).astype(float)}
        return {**super().metrics(), "turn": turn, **choice}

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the task's state, including the cued side."""
        held = {"side": self._side.copy(), "facing": self._facing.copy(), "turn": self._turn.copy()}
        return {**super().get_state(), **held}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        self._side[:], self._facing[:], self._turn[:] = state["side"], state["facing"], state["turn"]

    def _cued_turn(self) -> Float[np.ndarray, " envs"]:
        # Seen from above, with z up, a turn to the right is clockwise: the angle falls.
        return -self._side * self._turn

    def _nose_angle(self) -> Float[np.ndarray, " envs"]:
        forward = self.physics.read("nose_pos") - self.physics.read("com_pos")
        return np.arctan2(forward[:, 1], forward[:, 0])


class Cue(SenseKind):
    """The side to turn to in `CueTurn`: 1 is right, -1 left, 0 once it has gone."""

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        return sensed_in(CueTurn, setting, Sense("cue", 1, -1.0, 1.0, ""))

    def read(self, envs: Envs) -> Float[np.ndarray, "envs 1"]:
        """Return the cue."""
        assert isinstance(envs.task, CueTurn)
        return envs.task.cue()[:, None]


class Go(SenseKind):
    """Whether the body may turn in `CueTurn`, 0 or 1."""

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        return sensed_in(CueTurn, setting, Sense("go", 1, 0.0, 1.0, ""))

    def read(self, envs: Envs) -> Float[np.ndarray, "envs 1"]:
        """Return the go."""
        assert isinstance(envs.task, CueTurn)
        return envs.task.go()[:, None]


def sensed_in(task: type[Task], setting: Setting, sense: Sense) -> Sense:
    """Return a sense of a task.

    Raises:
        InvalidTask: the setting has another task.
    """
    if not issubclass(setting.task, task):
        raise InvalidTask(f"task {setting.task.__name__} has no {sense.name} to sense; sense it in {task.__name__}")
    return sense


SENSES["cue"], SENSES["go"] = Cue(), Go()
