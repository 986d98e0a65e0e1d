"""Evaluate members of a population: one in each environment, one episode each, in lockstep."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from ..policy import CircuitPolicy, to_actions
from .population import Population


@dataclasses.dataclass(frozen=True)
class Round:
    """What members are evaluated on: weights, [members, weights], and the seed of each one's episode."""

    weights: Float[Tensor, "members weights"]
    seeds: np.ndarray


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a round came to: returns by member, environment steps taken, and SB3's infos of the episodes."""

    returns: Float[np.ndarray, " members"]
    steps: int
    infos: list[dict[str, Any]]


class Evaluator(Protocol):
    """Anything that evaluates rounds, here or elsewhere."""

    def evaluate(self, rounds: Iterable[Round]) -> Iterator[Outcome]:
        """Yield the outcomes in the order of the rounds."""
        ...


class Members:
    """Evaluate rounds in one vector environment.

    Args:
        policy: whose circuit the members vary.
        env: one environment per member of a round.
        episode_limit: steps after which a round ends even if episodes go on; None waits for all.
    """

    def __init__(self, policy: CircuitPolicy, env: VecEnv, episode_limit: int | None = None) -> None:
        self.policy, self.env, self.episode_limit = policy, env, episode_limit
        self._population = Population(policy.circuit, env.num_envs)

    @torch.inference_mode()
    def evaluate(self, part: Round, on_step: Callable[[dict[str, Any]], bool] | None = None) -> Outcome | None:
        """Run one episode of every member; None if `on_step`, which is told of every step, says stop."""
        env, population, n = self.env, self._population, self.env.num_envs
        population.start(part.weights)
        _seed(env, part.seeds)
        observation = env.reset()
        returns, running = np.zeros(n), np.ones(n, bool)
        ended: list[dict[str, Any]] = []
        step = 0
        while running.any() and (self.episode_limit is None or step < self.episode_limit):
            motor = population.step(self.policy.sense(np.asarray(observation)))
            # A member whose circuit runs away to infinity is a bad one, which stands still from then on.
            actions = to_actions(motor.nan_to_num(nan=0.0), self.policy.action_space).cpu().numpy()
            observation, rewards, dones, infos = env.step(actions)
            returns += np.where(running, rewards, 0.0)
            step += 1
            told = {"step": step, "rewards": rewards, "dones": dones, "infos": infos}
            if on_step is not None and not on_step(told):
                return None
            if dones.any():
                ended += [info for info, on, done in zip(infos, running, dones, strict=True) if on and done]
                running &= ~dones
                # The others go on; a member whose episode is over starts a new one that does not count.
                population.reset(dones)
        return Outcome(returns, step * n, ended)


def _seed(env: VecEnv, seeds: np.ndarray) -> None:
    """Give antithetic partners the same episode, where the environment can be seeded one by one."""
    if hasattr(env.unwrapped, "seed_each"):
        env.unwrapped.seed_each(seeds)
    else:
        env.seed(int(seeds[0]))
