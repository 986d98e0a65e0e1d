"""The algorithms by name: what each is, which circuits it trains, and options that work."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """One way to train.

    Attributes:
        doc: one line for listings.
        defaults: every option with its default.
        for_priors: defaults for circuits that work before training and are kept near what they do.
        for_memory: defaults for circuits that learn through time.
        trains_memory: whether it can train circuits with a memory; those that cannot read the time from
            the observation instead of counting it.
    """

    doc: str
    defaults: Mapping[str, Any]
    for_priors: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    for_memory: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    trains_memory: bool = True


_REPLAY: dict[str, Any] = {
    "n_envs": 8,
    "learning_rate": 1e-3,
    "buffer_size": 1_000_000,
    "learning_starts": 5_000,
    "batch_size": 256,
    "tau": 0.005,
    "gamma": 0.99,
    "gradient_steps": 4,
    "critic_hidden": [256, 256],
}

# docs/results/ has what these reach on swimmer6.
ALGORITHMS: dict[str, Algorithm] = {
    "es": Algorithm(
        "antithetic evolution strategy",
        {"n_envs": 32, "population": None, "sigma": 0.1, "learning_rate": 0.1},
    ),
    "cmaes": Algorithm(
        "covariance matrix adaptation, up to 1000 weights",
        {"n_envs": 32, "population": None, "sigma": 0.3},
    ),
    "ppo": Algorithm(
        "proximal policy optimisation, through time where the circuit has a memory",
        {
            "n_envs": 4,
            "n_steps": 1024,
            "batch_size": 64,
            "sequence_length": 32,
            "n_epochs": 10,
            "learning_rate": 3e-4,
            "gamma": 0.99,
            "gae_lambda": 0.95,
            "clip_range": 0.2,
            "ent_coef": 0.0,
            "vf_coef": 0.5,
            "max_grad_norm": 0.5,
            "action_std": None,
            "critic": None,
            "critic_hidden": [64, 64],
            "normalize_observation": True,
            "normalize_reward": True,
        },
        for_priors={"action_std": 0.1, "normalize_observation": False},
        for_memory={"n_envs": 16, "n_steps": 256, "batch_size": 512, "n_epochs": 5, "learning_rate": 1e-3},
    ),
    "ddpg": Algorithm(
        "deterministic policy gradient",
        {**_REPLAY, "action_noise": 0.1},
        trains_memory=False,
    ),
    "td3": Algorithm(
        "twin delayed deterministic policy gradient",
        {**_REPLAY, "action_noise": 0.1},
        trains_memory=False,
    ),
    "sac": Algorithm(
        "soft actor-critic",
        {**_REPLAY, "learning_rate": 3e-4, "ent_coef": "auto"},
        trains_memory=False,
    ),
}
