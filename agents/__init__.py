"""Circuits as agents for Stable-Baselines3."""

from .actor_critic import CircuitActorCriticPolicy
from .algorithms.cmaes import CMAES
from .algorithms.es import ES
from .algorithms.ppo import CircuitPPO
from .off_policy import CircuitSACPolicy, CircuitTD3Policy
from .policy import CircuitPolicy
from .sensing import Sensing

__all__ = [
    "CMAES",
    "ES",
    "CircuitActorCriticPolicy",
    "CircuitPPO",
    "CircuitPolicy",
    "CircuitSACPolicy",
    "CircuitTD3Policy",
    "Sensing",
]
