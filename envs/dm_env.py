"""The same bodies and tasks as a `dm_env.Environment`."""

from __future__ import annotations

from typing import Any

import dm_env
import numpy as np
from dm_env import specs
from jaxtyping import Float

from .gymnasium_env import SwimmerEnv


class DmSwimmer(dm_env.Environment):
    """One body and its task as a dm_env environment, with the physics and numbers of `SwimmerEnv`.

    An episode that ends by its time limit (truncation) has a final discount of 1; one that terminates has 0.

    Args:
        task: name of the task; see `TASKS`.
        seed: seed of all random draws; None takes one from the operating system.
        options: arguments of `EnvBatch` and of the task.
    """

    def __init__(self, task: str = "swim", seed: int | None = None, **options: Any) -> None:
        self.env = SwimmerEnv(task, **options)
        self._seed = seed
        self._ended = True

    def reset(self) -> dm_env.TimeStep:
        """Start a new episode."""
        observation, _ = self.env.reset(seed=self._seed)
        # The seed sets the first episode; those after it continue the same generator.
        self._seed = None
        self._ended = False
        return dm_env.restart(observation)

    def step(self, action: Float[np.ndarray, " joints"]) -> dm_env.TimeStep:
        """Apply an action in [-1, 1] for one control step; after an episode's end, start the next.

        Raises:
            InvalidAction: wrong shape, or not finite.
        """
        if self._ended:
            return self.reset()
        observation, reward, terminated, truncated, _ = self.env.step(action)
        self._ended = terminated or truncated
        if terminated:
            return dm_env.termination(reward, observation)
        if truncated:
            return dm_env.truncation(reward, observation)
        return dm_env.transition(reward, observation)

    def observation_spec(self) -> specs.BoundedArray:
        """Describe the flat observation; `env.layout` names its slices."""
        space = self.env.batch.observation_space
        return specs.BoundedArray(space.shape, space.dtype, space.low, space.high, name="observation")

    def action_spec(self) -> specs.BoundedArray:
        """Describe the action, a command to each joint's motor."""
        space = self.env.batch.action_space
        return specs.BoundedArray(space.shape, space.dtype, space.low, space.high, name="action")

    def close(self) -> None:
        """Free the native threads."""
        self.env.close()
