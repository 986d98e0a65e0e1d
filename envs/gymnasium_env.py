"""The environments as gymnasium wants them: one body, or many in a vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float, UInt8

from ..drawing.top_view import TopView
from ..errors import InvalidAction, InvalidTask, MissingDependency, UnknownName
from .env_batch import EnvBatch
from .physics.lanes import reason_not_compiled
from .registration import IDS, LANES_IDS

_PICTURE = (480, 360)  # pixels


def _mode(name: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(name)
    except ValueError as error:
        raise UnknownName("autoreset mode", name, [mode.value for mode in AutoresetMode]) from error


class SwimmerVectorEnv(VectorEnv):
    """A gymnasium vector environment: many environments stepped together.

    Observations are in the units that `layout` names, actions in units of the motor's range. Rewards have no unit.

    Args:
        num_envs: number of environments; environment i of `reset(seed=s)` is seeded with s + i.
        task: its name; see `TASKS`.
        autoreset_mode: gymnasium's NEXT_STEP (default), SAME_STEP or DISABLED, after which ended environments must be
            reset with `options={"reset_mask": ...}`.
        max_episode_steps: gymnasium's name for `episode_steps`.
        options: arguments of `EnvBatch` and of the task.

    Raises:
        InvalidAction: a step of an environment that has ended, in the mode DISABLED.
        UnknownName: no such mode.
    """

    def __init__(
        self,
        num_envs: int = 1,
        task: str = "swim",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **options: Any,
    ) -> None:
        if max_episode_steps is not None:
            options["episode_steps"] = max_episode_steps
        self.batch = EnvBatch(task, num_envs, **options)
        self.num_envs, self.layout, self.body = num_envs, self.batch.layout, self.batch.body
        self.autoreset_mode = _mode(autoreset_mode)
        self.metadata = {"autoreset_mode": self.autoreset_mode, "render_modes": []}
        self.single_observation_space = self.batch.observation_space
        self.single_action_space = self.batch.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._everyone = np.arange(num_envs)
        self._ended = np.zeros(num_envs, bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Float[np.ndarray, "envs obs"], dict[str, Any]]:
        """Start new episodes; `options={"reset_mask": ...}` restarts only some of them."""
        if seed is None or isinstance(seed, (int, np.integer)):
            seed = [None if seed is None else int(seed) + index for index in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise InvalidTask(f"{len(seed)} seeds for {self.num_envs} environments; give one each")
        self.batch.seed(seed)
        ids = self._everyone
        if options and "reset_mask" in options:
            ids = np.flatnonzero(options["reset_mask"])
        observation = self.batch.reset(ids)
        self._ended[ids] = False
        return observation, self._info(self.batch.metrics())

    def step(
        self, actions: Any
    ) -> tuple[
        Float[np.ndarray, "envs obs"],
        Float[np.ndarray, " envs"],
        Bool[np.ndarray, " envs"],
        Bool[np.ndarray, " envs"],
        dict[str, Any],
    ]:
        """Step every environment; one that ended resets as the autoreset mode says."""
        if self._ended.any():
            return self._step_where_some_wait(actions)
        observation, rewards, terminated, truncated, metrics = self.batch.step(actions)
        ended = terminated | truncated
        info = self._info(metrics)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            if ended.any():
                info = self._final(ended, observation, info)
                observation = self.batch.reset(np.flatnonzero(ended))
                info = {**self._info(self.batch.metrics()), **info}
        else:
            self._ended = ended
        return observation, rewards, terminated, truncated, info

    def _step_where_some_wait(self, actions: Any) -> Any:
        waiting, going = self._ended, np.flatnonzero(~self._ended)
        if self.autoreset_mode is AutoresetMode.DISABLED:
            raise InvalidAction(
                f"environment {np.flatnonzero(waiting)[0]} has ended, and autoreset is disabled; "
                'call reset(options={"reset_mask": ended})'
            )
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        if len(going):
            step = self.batch.step(actions, going)
            rewards = np.where(waiting, 0.0, step.reward)
            terminated, truncated = step.terminated & ~waiting, step.truncated & ~waiting
        observation = self.batch.reset(np.flatnonzero(waiting))
        self._ended = terminated | truncated
        return observation, rewards, terminated, truncated, self._info(self.batch.metrics())

    def _final(self, ended: Bool[np.ndarray, " envs"], observation: np.ndarray, info: dict[str, Any]) -> dict[str, Any]:
        """Return what episodes that ended showed last."""
        final_obs = np.full(self.num_envs, None, dtype=object)
        for index in np.flatnonzero(ended):
            final_obs[index] = observation[index]
        final_info = {key: value for key, value in info.items() if not key.startswith("_")}
        masks = {f"_{key}": ended for key in final_info}
        return {
            "final_obs": final_obs,
            "_final_obs": ended,
            "final_info": {**final_info, **masks},
            "_final_info": ended,
        }

    def _info(self, metrics: Mapping[str, np.ndarray]) -> dict[str, Any]:
        present = np.ones(self.num_envs, bool)
        info: dict[str, Any] = {}
        for key, value in metrics.items():
            info[key], info[f"_{key}"] = value, present
        return info

    def get_state(self) -> dict[str, Any]:
        """Return everything that the future depends on; `set_state` continues from it bit for bit."""
        return {**self.batch.get_state(), "ended": self._ended.copy()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        self.batch.set_state(state)
        self._ended = np.array(state["ended"])

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002
        """Free the native threads."""
        self.batch.close()


class SwimmerEnv(gymnasium.Env):
    """A gymnasium environment with one body: a batch of size one.

    Observations are in the units that `layout` names, actions in units of the motor's range. Rewards have no unit.

    Args:
        task: its name; see `TASKS`.
        render_mode: None or "rgb_array" (a 2-D view, drawn without OpenGL).
        options: arguments of `EnvBatch` and of the task.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 33}  # noqa: RUF012

    def __init__(self, task: str = "swim", render_mode: str | None = None, **options: Any) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InvalidTask(f"render_mode is {render_mode!r}; give None or 'rgb_array'")
        self.render_mode = render_mode
        self.batch = EnvBatch(task, 1, **options)
        self.layout, self.body = self.batch.layout, self.batch.body
        self.observation_space, self.action_space = self.batch.observation_space, self.batch.action_space
        self._first = np.array([0])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, " obs"], dict[str, Any]]:
        """Start a new episode."""
        super().reset(seed=seed, options=options)
        self.batch.rngs[0] = self.np_random
        observation = self.batch.reset(self._first)
        return observation[0], _of_first(self.batch.metrics())

    def step(self, action: Any) -> tuple[Float[np.ndarray, " obs"], float, bool, bool, dict[str, Any]]:
        """Apply an action, [n_joints] in [-1, 1], for one control step."""
        action = np.asarray(action)
        if action.ndim != 1:
            raise InvalidAction(f"action has shape {action.shape}; {self.body.name} needs ({self.body.n_joints},)")
        observation, reward, terminated, truncated, metrics = self.batch.step(action[None])
        return observation[0], reward.item(), terminated.item(), truncated.item(), _of_first(metrics)

    def render(self) -> UInt8[np.ndarray, "height width 3"] | None:
        """Return a picture of the body, RGB from 0 to 255; None without a render mode."""
        if self.render_mode is None:
            return None
        return TopView(self.batch.poses(), size=_PICTURE, clock=False).frame(0)

    def get_state(self) -> dict[str, Any]:
        """Return everything that the future depends on; `set_state` continues from it bit for bit."""
        return self.batch.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        self.batch.set_state(state)
        if self.batch.rngs[0] is not None:
            self.np_random = self.batch.rngs[0]

    def close(self) -> None:
        """Free the native threads."""
        self.batch.close()


def single_on_lanes(task: str, physics: str = "auto", **options: Any) -> SwimmerEnv:
    """Make an environment of version 1: on lanes where they cover the body, else on MuJoCo, and says so.

    Raises:
        MissingDependency: numba cannot compile lanes here; names the id of version 0.
    """
    _require_lanes(task, physics)
    return SwimmerEnv(task, physics=physics, **options)


def vector_on_lanes(num_envs: int = 1, task: str = "swim", physics: str = "auto", **options: Any) -> SwimmerVectorEnv:
    """Make a vector of environments of version 1; see `single_on_lanes`.

    Raises:
        MissingDependency: numba cannot compile lanes here; names the id of version 0.
    """
    _require_lanes(task, physics)
    return SwimmerVectorEnv(num_envs, task, physics=physics, **options)


def _require_lanes(task: str, physics: str) -> None:
    """Refuse where an id would mean another physics than on other machines."""
    if physics != "mujoco" and (reason := reason_not_compiled()):
        names = [next(name for name, each in ids.items() if each == task) for ids in (LANES_IDS, IDS)]
        raise MissingDependency(f"{names[0]} cannot run here, and {names[1]}, on MuJoCo, can: {reason}")


def _of_first(metrics: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {key: value.item(0) for key, value in metrics.items()}
