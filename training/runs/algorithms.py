"""The algorithms by name: what each is, which circuits it trains, and options that work."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .options import Allowed, ListOf, Number, OneOf

_COUNT = Number(1, is_whole=True)
_POSITIVE = Number(0, above=True)
_SHARE = Number(0, 1)
# An option means the same to every algorithm that has it, unless the algorithm says otherwise.
_ALLOWED: dict[str, Allowed] = {
    "n_envs": _COUNT,
    "population": Number(2, is_whole=True, also=(None,)),
    "sigma": _POSITIVE,
    "learning_rate": _POSITIVE,
    "n_steps": _COUNT,
    "batch_size": _COUNT,
    "sequence_length": _COUNT,
    "n_epochs": _COUNT,
    "gamma": _SHARE,
    "gae_lambda": _SHARE,
    "clip_range": _POSITIVE,
    "ent_coef": Number(0),
    "vf_coef": Number(0),
    "max_grad_norm": _POSITIVE,
    "action_std": Number(0, above=True, also=(None,)),
    "critic": OneOf(("shared", "separate", "mlp", None)),
    "critic_hidden": ListOf(_COUNT),
    "normalize_observation": OneOf((True, False)),
    "normalize_reward": OneOf((True, False)),
    "buffer_size": _COUNT,
    "learning_starts": Number(0, is_whole=True),
    "tau": Number(0, 1, above=True),
    "gradient_steps": _COUNT,
    "action_noise": Number(0),
}


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """One way to train.

    Attributes:
        doc: one line for listings.
        defaults: every option with its default.
        for_priors: defaults for circuits that work before training and are kept near what they do.
        for_memory: defaults for circuits that learn through time.
        allowed: what values the options may take.
        trains_memory: whether it can train circuits with a memory; those that cannot read the time from
            the observation instead of counting it.
    """

    doc: str
    defaults: Mapping[str, Any]
    for_priors: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    for_memory: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    allowed: Mapping[str, Allowed] = dataclasses.field(default_factory=lambda: _ALLOWED)
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
        allowed={**_ALLOWED, "ent_coef": Number(0, also=("auto",))},
        trains_memory=False,
    ),
}
