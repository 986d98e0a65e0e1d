"""SAC by SB3: Haarnoja et al. 2018 (https://arxiv.org/abs/1812.05905)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import stable_baselines3

from ...envs.env_batch import EnvBatch
from ...options import Number, option
from ..agent import Agent
from ..sb3.off_policy import CircuitSACPolicy
from .algorithm import POSITIVE, Evaluate
from .sb3_learner import LearningEnv, OffPolicy, ReplayOptions, SB3Learner


@dataclasses.dataclass(frozen=True)
class Options(ReplayOptions):
    """What a user may set.

    Attributes:
        ent_coef: weight of the entropy, nats, in the reward; "auto" learns it.
    """

    learning_rate: float = option(3e-4, POSITIVE)
    ent_coef: float | str = option("auto", Number(0, also=("auto",)))


class SAC(OffPolicy):
    """Train a circuit without memory by soft actor-critic."""

    Options = Options

    def start(
        self,
        agent: Agent,
        envs: EnvBatch,
        options: Mapping[str, Any],
        seed: int,
        evaluate: Evaluate | None = None,  # noqa: ARG002
    ) -> SB3Learner:
        """Return a learner that begins with the agent as it is."""
        arguments = self.make_arguments(agent, options, seed)
        return SB3Learner(agent, stable_baselines3.SAC(CircuitSACPolicy, LearningEnv.of(envs), **arguments))
