"""An evolution strategy that learns in seconds."""

import numpy as np
import torch
from nervecord.agents import ES
from nervecord.envs.sb3_env import SwimmerVecEnv


def small_es(seed: int = 0, **options) -> ES:
    env = SwimmerVecEnv(8, body="swimmer4", episode_steps=60)
    return ES("CircuitPolicy", env, seed=seed, policy_kwargs={"circuit": "ncap"}, **options)


def flat_weights(model: ES) -> np.ndarray:
    return torch.nn.utils.parameters_to_vector(model.policy.circuit.parameters()).detach().numpy()
