"""The environments in gymnasium's API: a single environment, and a vector environment."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float, UInt8

from ..errors import InvalidAction, InvalidArgument, InvalidTask, MissingDependency
from .env_batch import EnvBatch
from .physics.lanes import reason_not_compiled
from .pictures import RENDER_MODES, picture_size, pictured, pictures
from .registration import IDS, LANES_IDS
from .tasks.registry import option_names, takes_any_option
from .vector_rules import (
    Described,
    as_info,
    as_numbers,
    autoreset_mode_of,
    chosen_envs,
    final_info,
    seeds_for,
    warn_of_options,
)


class SwimmerVectorEnv(Described, VectorEnv):
    """A gymnasium vector environment: many environments stepped together.

    Observations are in the units that `layout` states, actions in units of the motor's range.

    Args:
        num_envs: number of environments; `reset(seed=s)` seeds environment i with s + i.
        task: name of the task; see `TASKS`.
        autoreset_mode: gymnasium's NEXT_STEP (default), SAME_STEP or DISABLED, after which ended environments must be
            reset with `options={"reset_mask": ...}`.
        max_episode_steps: gymnasium's name for `episode_steps`.
        render_mode: None or "rgb_array" (a 2-D view of each body, drawn without OpenGL).
        width, height: size of each picture, pixels.
        options: arguments of `EnvBatch` and of the task.

    Raises:
        InvalidArgument: neither `EnvBatch` nor the task takes an option.
        InvalidTask: there is no such autoreset or render mode.
        InvalidAction: in the mode DISABLED, an environment was stepped after its episode ended.
    """

    def __init__(
        self,
        num_envs: int = 1,
        task: str = "swim",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 360,
        **options: Any,
    ) -> None:
        if max_episode_steps is not None:
            if options.setdefault("episode_steps", max_episode_steps) not in (None, max_episode_steps):
                raise InvalidTask(
                    f"episode_steps is {options['episode_steps']} and max_episode_steps, its other name, "
                    f"{max_episode_steps}; give one of them"
                )
            options["episode_steps"] = max_episode_steps
        self.autoreset_mode = autoreset_mode_of(autoreset_mode)
        self._picture = picture_size(render_mode, width, height)
        self.batch = _batch(task, num_envs, options)
        self.num_envs, self.layout, self.body = num_envs, self.batch.layout, self.batch.body
        self.render_mode = render_mode
        self.metadata = {"autoreset_mode": self.autoreset_mode, **pictured(self.batch.dt)}
        self.single_observation_space = self.batch.observation_space
        self.single_action_space = self.batch.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._ended = np.zeros(num_envs, bool)

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """The seed of each environment's generator; None before the first reset."""
        return tuple(self.batch.seeds)

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator | None, ...]:  # type: ignore[override]
        """The generator of each environment; None before the first reset."""
        return tuple(self.batch.rngs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Float[np.ndarray, "envs obs"], dict[str, Any]]:
        """Start new episodes; `options={"reset_mask": ...}` restarts only the environments in the mask.

        Raises:
            InvalidTask, InvalidArgument: there is not one seed for each environment, or the mask is invalid.
        """
        ids, seeds = chosen_envs(options, self.num_envs), seeds_for(seed, self.num_envs)
        chosen = np.zeros(self.num_envs, bool)
        chosen[ids] = True
        self.batch.seed([each if is_chosen else None for each, is_chosen in zip(seeds, chosen, strict=True)])
        observation = self.batch.reset(ids)
        self._ended[ids] = False
        return observation, as_info(self.batch.metrics(), chosen)

    def step(
        self, actions: Any
    ) -> tuple[
        Float[np.ndarray, "envs obs"],
        Float[np.ndarray, " envs"],
        Bool[np.ndarray, " envs"],
        Bool[np.ndarray, " envs"],
        dict[str, Any],
    ]:
        """Step every environment; those that ended are reset according to the autoreset mode."""
        if self._ended.any():
            return self._step_where_some_wait(actions)
        observation, rewards, terminated, truncated, metrics = self.batch.step(actions)
        ended = terminated | truncated
        info = self._info(metrics)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            if ended.any():
                final = final_info(ended, observation, metrics)
                observation = self.batch.reset(np.flatnonzero(ended))
                info = {**self._info(self.batch.metrics()), **final}
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
        rewards = np.zeros(self.num_envs, self.batch.physics.dtype)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        step = self.batch.step(actions, going) if len(going) else None
        observation, metrics = self.batch.reset(np.flatnonzero(waiting)), self.batch.metrics()
        if step is not None:
            rewards = np.where(waiting, 0.0, step.reward)
            terminated, truncated = step.terminated & ~waiting, step.truncated & ~waiting
            metrics = {name: np.where(waiting, value, step.metrics[name]) for name, value in metrics.items()}
        self._ended = terminated | truncated
        return observation, rewards, terminated, truncated, self._info(metrics)

    def _info(self, metrics: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return as_info(metrics, np.ones(self.num_envs, bool))

    def render(self) -> tuple[UInt8[np.ndarray, "height width 3"], ...] | None:
        """Return a picture of each body, RGB from 0 to 255; None without a render mode."""
        return None if self.render_mode is None else tuple(pictures(self.batch, self._picture))

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

    def _limits(self) -> tuple[int, float | None]:
        return self.batch.episode_steps, self.batch.task.reward_threshold


class SwimmerEnv(Described, gymnasium.Env):
    """A gymnasium environment with one body: a batch of size one.

    Observations are in the units that `layout` states, actions in units of the motor's range.

    Args:
        task: name of the task; see `TASKS`.
        render_mode: None or "rgb_array" (a 2-D view, drawn without OpenGL).
        width, height: size of the picture, pixels.
        options: arguments of `EnvBatch` and of the task.

    Raises:
        InvalidArgument: neither `EnvBatch` nor the task takes an option.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": 33}  # noqa: RUF012

    def __init__(
        self, task: str = "swim", render_mode: str | None = None, width: int = 480, height: int = 360, **options: Any
    ) -> None:
        self._picture = picture_size(render_mode, width, height)
        self.render_mode = render_mode
        self.batch = _batch(task, 1, options)
        self.metadata = pictured(self.batch.dt)
        self.layout, self.body = self.batch.layout, self.batch.body
        self.observation_space, self.action_space = self.batch.observation_space, self.batch.action_space
        self._first = np.array([0])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, " obs"], dict[str, Any]]:
        """Start a new episode; there are no reset options, and any that is given is ignored with a warning.

        Raises:
            InvalidTask: the seed is not a whole number of 0 or more.
        """
        warn_of_options(options)
        super().reset(seed=seeds_for(seed, 1)[0])
        self.batch.rngs[0] = self.np_random
        observation = self.batch.reset(self._first)
        return observation[0], _of_first(self.batch.metrics())

    def step(self, action: Any) -> tuple[Float[np.ndarray, " obs"], float, bool, bool, dict[str, Any]]:
        """Apply an action, [n_joints] in [-1, 1], for one control step."""
        action = as_numbers(action)
        if action.ndim != 1:
            raise InvalidAction(f"action has shape {action.shape}; {self.body.name} needs ({self.body.n_joints},)")
        observation, reward, terminated, truncated, metrics = self.batch.step(action[None])
        return observation[0], reward.item(), terminated.item(), truncated.item(), _of_first(metrics)

    def render(self) -> UInt8[np.ndarray, "height width 3"] | None:
        """Return a picture of the body, RGB from 0 to 255; None without a render mode."""
        return None if self.render_mode is None else pictures(self.batch, self._picture)[0]

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

    def _limits(self) -> tuple[int, float | None]:
        return self.batch.episode_steps, self.batch.task.reward_threshold


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


# gymnasium.make reads the render modes from what makes the environment, and adds "human" and "rgb_array_list" to them.
single_on_lanes.metadata = SwimmerEnv.metadata  # type: ignore[attr-defined]


def _require_lanes(task: str, physics: str) -> None:
    """Refuse where an id would mean another physics than on other machines."""
    if physics != "mujoco" and (reason := reason_not_compiled()):
        names = [next(name for name, each in ids.items() if each == task) for ids in (LANES_IDS, IDS)]
        raise MissingDependency(f"{names[0]} cannot run here, and {names[1]}, on MuJoCo, can: {reason}")


def _batch(task: str, n_envs: int, options: dict[str, Any]) -> EnvBatch:
    """Make the environments; a keyword that nothing takes is refused in Python's own words.

    Raises:
        InvalidArgument: there is one.
    """
    known = {*inspect.signature(EnvBatch).parameters, *option_names(task)}
    unknown = next((name for name in options if name not in known), None)
    if unknown is not None and not takes_any_option(task):
        raise InvalidArgument(
            f"got an unexpected keyword argument {unknown!r}; task {task!r} takes {', '.join(option_names(task))}"
        )
    return EnvBatch(task, n_envs, **options)


def _of_first(metrics: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {key: value.item(0) for key, value in metrics.items()}
