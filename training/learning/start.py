"""Begin training from the weights of another run, on the same body or on another: fine-tuning."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from ...agents import CMAES
from ...circuits import load_weights
from ...errors import CircuitMismatch
from ..runs.config import RunConfig
from ..runs.run import Run


def start_from(model: BaseAlgorithm, config: RunConfig) -> None:
    """Give a fresh learner the circuit of the run `config.start`; critics and optimisers begin anew.

    Raises:
        InvalidRun: there is no such run, or nothing trained in it yet.
        CircuitMismatch: its circuit, or the way in which it saw its observations, is another.
    """
    assert config.start is not None
    run = Run(config.start)
    if run.config.circuit != config.circuit:
        raise CircuitMismatch(
            f"{config.start} holds circuit {run.config.circuit}, this run {config.circuit}; "
            "--start needs the same circuit"
        )
    before = run.policy(config.body)
    learning: Any = model.policy
    load_weights(learning.circuit, before.circuit.state_dict())
    if isinstance(model, CMAES):
        model.center()
    if isinstance(model, TD3):
        model.actor_target.load_state_dict(model.actor.state_dict())
    normalizer = model.get_vec_normalize_env()
    stats = before.observation_stats
    if (stats is not None) != (normalizer is not None and normalizer.norm_obs):
        raise CircuitMismatch(
            f"{config.start} was trained on {'normalised' if stats else 'raw'} observations and {config.algorithm} "
            f"shows it {'raw' if stats else 'normalised'} ones; go on with the algorithm that trained it"
        )
    if stats is not None:
        assert normalizer is not None
        moments: Any = normalizer.obs_rms
        moments.mean, moments.var, moments.count = np.array(stats["mean"]), np.array(stats["var"]), stats["count"]
