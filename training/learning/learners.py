"""From a run's config to the learner that trains it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3 import DDPG, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from ...agents import CMAES, ES, CircuitPPO, CircuitSACPolicy, CircuitTD3Policy
from ..runs.config import RunConfig

_POLICY_OPTIONS = ("action_std", "critic", "critic_hidden")


def make_learner(config: RunConfig, env: VecEnv) -> BaseAlgorithm:
    """Build the SB3 algorithm of a run on its environment, which PPO may wrap in a `VecNormalize`.

    Raises:
        CircuitMismatch: circuit, algorithm and options do not go together.
    """
    options = dict(config.options)
    options.pop("n_envs")
    policy_kwargs: dict[str, Any] = {
        "circuit": config.circuit,
        "circuit_options": config.circuit_options,
        "layout": env.get_attr("layout")[0],
        "seed": config.seed,
    }
    policy_kwargs |= {name: options.pop(name) for name in _POLICY_OPTIONS if name in options}
    return _MAKERS[config.algorithm](env, options, {"seed": config.seed, "policy_kwargs": policy_kwargs})


def _make_es(env: VecEnv, options: dict[str, Any], common: dict[str, Any]) -> BaseAlgorithm:
    return ES("CircuitPolicy", env, **options, **common)


def _make_cmaes(env: VecEnv, options: dict[str, Any], common: dict[str, Any]) -> BaseAlgorithm:
    return CMAES("CircuitPolicy", env, **options, **common)


def _make_ppo(env: VecEnv, options: dict[str, Any], common: dict[str, Any]) -> BaseAlgorithm:
    norm_obs, norm_reward = options.pop("normalize_observation"), options.pop("normalize_reward")
    if norm_obs or norm_reward:
        env = VecNormalize(env, norm_obs=norm_obs, norm_reward=norm_reward, gamma=options["gamma"])
    return CircuitPPO("CircuitPolicy", env, **options, **common)


def _make_td3(kind: type[TD3]) -> Callable[[VecEnv, dict[str, Any], dict[str, Any]], BaseAlgorithm]:
    def make(env: VecEnv, options: dict[str, Any], common: dict[str, Any]) -> BaseAlgorithm:
        n_motors = env.get_attr("action_space")[0].shape[0]
        noise = NormalActionNoise(np.zeros(n_motors), np.full(n_motors, options.pop("action_noise")))
        return kind(CircuitTD3Policy, env, action_noise=noise, train_freq=1, device="cpu", **options, **common)

    return make


def _make_sac(env: VecEnv, options: dict[str, Any], common: dict[str, Any]) -> BaseAlgorithm:
    return SAC(CircuitSACPolicy, env, train_freq=1, device="cpu", **options, **common)


_MAKERS = {
    "es": _make_es,
    "cmaes": _make_cmaes,
    "ppo": _make_ppo,
    "ddpg": _make_td3(DDPG),
    "td3": _make_td3(TD3),
    "sac": _make_sac,
}
