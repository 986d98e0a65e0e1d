"""The vector environment in the API of Stable-Baselines3."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

from ..errors import InvalidTask
from .env_batch import EnvBatch
from .pictures import picture_size, pictured, pictures
from .vector_rules import warn_of_options


class SwimmerVecEnv(VecEnv):
    """An SB3 `VecEnv` over `EnvBatch`; an environment whose episode ends is reset in the same step.

    Observations are in the units that `layout` states, actions in units of the motor's range.

    Infos contain `net_speed` at every step and, at the end of an episode, SB3's `episode` (return, length,
    seconds), `terminal_observation` and `TimeLimit.truncated`, so no Monitor is needed.

    Args:
        n_envs: number of environments.
        task: name of the task; see `TASKS`.
        render_mode: None or "rgb_array" (a 2-D view of each body, drawn without OpenGL).
        width, height: size of each picture, pixels.
        options: arguments of `EnvBatch` and of the task.
    """

    def __init__(
        self,
        n_envs: int = 1,
        task: str = "swim",
        render_mode: str | None = None,
        width: int = 480,
        height: int = 360,
        **options: Any,
    ) -> None:
        self._picture = picture_size(render_mode, width, height)
        self._stand_on(EnvBatch(task, n_envs, **options), render_mode)

    @classmethod
    def of(cls, batch: EnvBatch) -> SwimmerVecEnv:
        """Wrap a batch of environments as an SB3 `VecEnv`; both share the same bodies."""
        env = cls.__new__(cls)
        env._stand_on(batch)
        return env

    def _stand_on(self, batch: EnvBatch, render_mode: str | None = None) -> None:
        self.batch, n_envs = batch, batch.n_envs
        self.layout, self.body, self.task = self.batch.layout, self.batch.body, self.batch.task
        self.render_mode = render_mode
        VecEnv.__init__(self, n_envs, self.batch.observation_space, self.batch.action_space)
        self.metadata = pictured(batch.dt)
        self._everyone = np.arange(n_envs)
        self._returns = np.zeros(n_envs)
        self._began = time.time()
        self._actions: Any = None

    def seed_each(self, seeds: Sequence[int]) -> None:
        """Seed environment i with seeds[i] at the next reset; `seed(s)` uses s + i."""
        self._seeds = [int(seed) for seed in seeds]

    def reset(self) -> Float[np.ndarray, "envs obs"]:
        """Start new episodes in all environments, and return the first observations."""
        for options in self._options:
            warn_of_options(options)
        self._reset_options()
        self.batch.seed(self._seeds)
        self._reset_seeds()
        observation = self.batch.reset(self._everyone)
        self._returns[:] = 0
        self.reset_infos = _infos(self.batch.metrics())
        return observation

    def step_async(self, actions: Any) -> None:
        """Store the actions for the next step, [n_envs, joints] in [-1, 1]."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[
        Float[np.ndarray, "envs obs"], Float[np.ndarray, " envs"], Bool[np.ndarray, " envs"], list[dict[str, Any]]
    ]:
        """Step every environment; return observations, rewards, dones and infos.

        Rewards are in single precision, as in SB3's own environments.
        """
        observation, rewards, terminated, truncated, metrics = self.batch.step(self._actions)
        self._returns += rewards
        infos, done = _infos(metrics), terminated | truncated
        if done.any():
            ended = np.flatnonzero(done)
            seconds = time.time() - self._began
            for index in ended:
                infos[index] |= {
                    "episode": {
                        "r": float(self._returns[index]),
                        "l": int(self.batch.elapsed[index]),
                        "t": seconds,
                    },
                    "terminal_observation": observation[index],
                    "TimeLimit.truncated": bool(truncated[index]),
                }
            observation = self.batch.reset(ended)
            self._returns[ended] = 0
        return observation, rewards.astype(np.float32), done, infos

    def get_images(self) -> Sequence[UInt8[np.ndarray, "height width 3"] | None]:
        """Return a picture of each body, RGB from 0 to 255; `render` tiles them."""
        return [None] * self.num_envs if self.render_mode is None else list(pictures(self.batch, self._picture))

    def get_state(self) -> dict[str, Any]:
        """Return everything that the future depends on; `set_state` continues from it bit for bit."""
        return {**self.batch.get_state(), "returns": self._returns.copy()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        self.batch.set_state(state)
        self._returns[:] = state["returns"]

    def close(self) -> None:
        """Free the native threads."""
        self.batch.close()

    # SB3 asks every environment; here one object stands for all of them.
    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute, once per environment."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute for all environments.

        Raises:
            InvalidTask: `indices` selects only some environments.
        """
        self._check_all(f"set {attr_name}", indices)
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Call a method of this object once, and return its result for every environment.

        Raises:
            InvalidTask: `indices` selects only some environments.
        """
        self._check_all(f"call {method_name}", indices)
        return [getattr(self, method_name)(*args, **kwargs)] * self.num_envs

    def env_is_wrapped(self, wrapper_class: type, indices: VecEnvIndices = None) -> list[bool]:
        """Return True only for SB3's Monitor, whose work is done here; environments are not wrapped otherwise."""
        wrapped = wrapper_class.__name__ == "Monitor"
        return [wrapped] * len(list(self._get_indices(indices)))

    def _check_all(self, what: str, indices: VecEnvIndices) -> None:
        asked = sorted(self._get_indices(indices))
        if asked != list(range(self.num_envs)):
            raise InvalidTask(
                f"cannot {what} in environments {asked} alone: one object steps all {self.num_envs}; "
                "leave indices out, or use SB3's make_vec_env"
            )


def _infos(metrics: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    keys = tuple(metrics)
    columns = zip(*(value.tolist() for value in metrics.values()), strict=True)
    return [dict(zip(keys, row, strict=True)) for row in columns]
