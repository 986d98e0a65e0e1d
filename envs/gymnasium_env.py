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
from ..errors import InvalidAction, InvalidTask
from .env_batch import World

_PICTURE = (480, 360)  # pixels


class SwimmerVectorEnv(VectorEnv):
    """A gymnasium vector environment over MuJoCo's native batch.

    Observations are in the units that `layout` names, actions in units of the motor's range. Rewards have no unit.

    Args:
        num_envs: number of environments; environment i of `reset(seed=s)` is seeded with s + i.
        task: its name; see `TASKS`.
        autoreset_mode: gymnasium's NEXT_STEP (default) or SAME_STEP.
        max_episode_steps: gymnasium's name for `episode_steps`.
        options: arguments of `World` and of the task.
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
        self.world = World(task, num_envs, **options)
        self.num_envs, self.layout, self.body = num_envs, self.world.layout, self.world.body
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        if self.autoreset_mode is AutoresetMode.DISABLED:
            raise InvalidTask("autoreset_mode is Disabled; give NextStep or SameStep")
        self.metadata = {"autoreset_mode": self.autoreset_mode, "render_modes": []}
        self.single_observation_space = self.world.observation_space
        self.single_action_space = self.world.action_space
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
        self.world.seed(seed)
        ids = self._everyone
        if options and "reset_mask" in options:
            ids = np.flatnonzero(options["reset_mask"])
        self.world.reset(ids)
        self._ended[ids] = False
        return self.world.task.observation(), self._info()

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
        waiting = self._ended if self.autoreset_mode is AutoresetMode.NEXT_STEP else None
        if waiting is not None and waiting.any():
            restarting, going = np.flatnonzero(waiting), np.flatnonzero(~waiting)
            rewards = np.zeros(self.num_envs)
            if len(going):
                rewards = np.where(waiting, 0.0, self.world.step(actions, going))
            self.world.reset(restarting)
        else:
            rewards = self.world.step(actions)
        truncated = self.world.task.truncated
        observation, info = self.world.task.observation(), self._info()
        self._ended = truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and truncated.any():
            info = self._restart(truncated, observation, info)
            observation = self.world.task.observation()
            self._ended = np.zeros(self.num_envs, bool)
        return observation, rewards, np.zeros(self.num_envs, bool), truncated, info

    def _restart(
        self, ended: Bool[np.ndarray, " envs"], observation: np.ndarray, info: dict[str, Any]
    ) -> dict[str, Any]:
        final_obs = np.full(self.num_envs, None, dtype=object)
        for index in np.flatnonzero(ended):
            final_obs[index] = observation[index]
        final_info = {key: value for key, value in info.items() if not key.startswith("_")}
        self.world.reset(np.flatnonzero(ended))
        masks = {f"_{key}": ended for key in final_info}
        return {
            **self._info(),
            "final_obs": final_obs,
            "_final_obs": ended,
            "final_info": {**final_info, **masks},
            "_final_info": ended,
        }

    def _info(self) -> dict[str, Any]:
        present = np.ones(self.num_envs, bool)
        info: dict[str, Any] = {}
        for key, value in self.world.task.info().items():
            info[key], info[f"_{key}"] = value, present
        return info

    def get_state(self) -> dict[str, Any]:
        """Return everything that the future depends on; `set_state` continues from it bit for bit."""
        return {**self.world.get_state(), "ended": self._ended.copy()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        self.world.set_state(state)
        self._ended = np.array(state["ended"])

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002
        """Free the native threads."""
        self.world.simulation.close()


class SwimmerEnv(gymnasium.Env):
    """A gymnasium environment with one body: the vector environment's world, of size one.

    Observations are in the units that `layout` names, actions in units of the motor's range. Rewards have no unit.

    Args:
        task: its name; see `TASKS`.
        render_mode: None or "rgb_array" (a 2-D top view, drawn without OpenGL).
        options: arguments of `World` and of the task.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 33}  # noqa: RUF012

    def __init__(self, task: str = "swim", render_mode: str | None = None, **options: Any) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InvalidTask(f"render_mode is {render_mode!r}; give None or 'rgb_array'")
        self.render_mode = render_mode
        self.world = World(task, 1, **options)
        self.layout, self.body = self.world.layout, self.world.body
        self.observation_space, self.action_space = self.world.observation_space, self.world.action_space
        self._first = np.array([0])
        if render_mode is not None:
            # Bound here, the places of links are current from the first reset on.
            self.world.simulation.link_pos, self.world.simulation.link_angle  # noqa: B018

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, " obs"], dict[str, Any]]:
        """Start a new episode."""
        super().reset(seed=seed, options=options)
        self.world.rngs[0] = self.np_random
        self.world.reset(self._first)
        return self.world.task.observation()[0], self._info()

    def step(self, action: Any) -> tuple[Float[np.ndarray, " obs"], float, bool, bool, dict[str, Any]]:
        """Apply an action, [n_joints] in [-1, 1], for one control step."""
        action = np.asarray(action)
        if action.ndim != 1:
            raise InvalidAction(
                f"action has shape {action.shape}; {self.body.name} needs ({self.world.simulation.n_joints},)"
            )
        reward = self.world.step(action[None])
        task = self.world.task
        return task.observation()[0], float(reward[0]), False, bool(task.truncated[0]), self._info()

    def render(self) -> UInt8[np.ndarray, "height width 3"] | None:
        """Return a picture of the body from above, RGB from 0 to 255; None without a render mode."""
        if self.render_mode is None:
            return None
        return TopView(self.world.poses(), size=_PICTURE, clock=False).frame(0)

    def _info(self) -> dict[str, float]:
        return {key: float(value[0]) for key, value in self.world.task.info().items()}

    def get_state(self) -> dict[str, Any]:
        """Return everything that the future depends on; `set_state` continues from it bit for bit."""
        return self.world.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        self.world.set_state(state)
        if self.world.rngs[0] is not None:
            self.np_random = self.world.rngs[0]

    def close(self) -> None:
        """Free the native threads."""
        self.world.simulation.close()
