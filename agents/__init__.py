"""Agents: circuits that sense and act, alone or in Stable-Baselines3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .actor_critic import ActorCritic
    from .agent import Agent, AgentSpec
    from .algorithms.registry import ALGORITHMS
    from .loop import Rollout, replay
    from .normalizer import Normalizer
    from .places import Place
    from .sb3.circuit_ppo import CircuitPPO
    from .sb3.off_policy import CircuitSACPolicy, CircuitTD3Policy
    from .sb3.policies import CircuitActorCriticPolicy, CircuitPolicy
    from .sb3.population import CMAES, ES
    from .sensing import Sensing

__all__ = [
    "ALGORITHMS",
    "CMAES",
    "ES",
    "ActorCritic",
    "Agent",
    "AgentSpec",
    "CircuitActorCriticPolicy",
    "CircuitPPO",
    "CircuitPolicy",
    "CircuitSACPolicy",
    "CircuitTD3Policy",
    "Normalizer",
    "Place",
    "Rollout",
    "Sensing",
    "replay",
]
__getattr__ = lazy_exports(__name__, __file__)
