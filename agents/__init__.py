"""Circuits as agents for Stable-Baselines3."""

from .actor_critic import CircuitActorCriticPolicy
from .cmaes import CMAES
from .es import ES
from .off_policy import CircuitSACPolicy, CircuitTD3Policy
from .policy import CircuitPolicy
from .ppo import CircuitPPO
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
