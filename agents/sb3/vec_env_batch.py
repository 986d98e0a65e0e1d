"""Any SB3 `VecEnv` as environments that are stepped by arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from stable_baselines3.common.vec_env import VecEnv

from ...envs.env_batch import Step
from ...envs.senses import Layout

Ids = Int[np.ndarray, " some"]


class VecEnvBatch:
    """A `VecEnv`, which resets an environment in the step that ends it, as a `Batch` of `agents.loop`.

    Observations, actions and rewards are in the environment's units. All environments are stepped at a time; one whose
    episode is over goes on with another, which nobody counts.

    Args:
        env: what is adapted.
        layout: what stands where in its observation.

    Attributes:
        infos: of the last step, as SB3 has them.
        dones: where the last step ended an episode.
    """

    def __init__(self, env: VecEnv, layout: Layout) -> None:
        self.env, self.n_envs = env, env.num_envs
        self.layout = layout
        self.action_space = env.action_space
        self.infos: list[dict[str, Any]] = []
        self.dones = np.zeros(self.n_envs, bool)
        self._shown: np.ndarray | None = None

    def seed(self, seeds: Sequence[int | None]) -> None:
        """Seed environment i with seeds[i] at the next reset."""
        # VecEnv.seed gives environment i a seed of its own, first + i; partners of a pair share theirs.
        self.env.unwrapped._seeds = list(seeds)
        self._shown = None

    def reset(self, ids: Ids) -> Float[np.ndarray, "envs obs"]:  # noqa: ARG002
        """Return what all environments show; those that have just ended are reset already."""
        if self._shown is None:
            self._shown = np.asarray(self.env.reset())
        return self._shown

    def take(self, observation: Float[np.ndarray, "envs obs"]) -> None:
        """Go on with environments that someone else has reset; they show this, in their own units."""
        self._shown = observation

    def step(self, actions: Shaped[np.ndarray, "envs ..."], ids: Ids | None = None) -> Step:  # noqa: ARG002
        """Apply actions for one step."""
        shown, rewards, self.dones, self.infos = self.env.step(actions)
        self._shown = observation = np.asarray(shown)
        truncated = np.zeros(self.n_envs, bool)
        if self.dones.any():
            observation = observation.copy()
            for index in np.flatnonzero(self.dones):
                observation[index] = self.infos[index]["terminal_observation"]
                truncated[index] = self.infos[index].get("TimeLimit.truncated", False)
        return Step(observation, np.asarray(rewards), self.dones & ~truncated, truncated, {})
