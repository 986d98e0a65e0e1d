"""DDPG and TD3 by SB3: Lillicrap et al. 2016 (https://arxiv.org/abs/1509.02971), Fujimoto et al. 2018
(https://arxiv.org/abs/1802.09477)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import stable_baselines3
from stable_baselines3.common.noise import NormalActionNoise

from ...envs.env_batch import EnvBatch
from ...options import Number, option
from ..agent import Agent
from ..sb3.off_policy import CircuitTD3Policy
from .algorithm import Evaluate
from .sb3_learner import LearningEnv, OffPolicy, ReplayOptions, SB3Learner


@dataclasses.dataclass(frozen=True)
class Options(ReplayOptions):
    """What a user may set.

    Attributes:
        action_noise: standard deviation of the noise on actions while it learns, in units of the motor's range.
    """

    action_noise: float = option(0.1, Number(0))


class TD3(OffPolicy):
    """Train a circuit without memory by the twin delayed deterministic policy gradient."""

    Options = Options
    model: ClassVar[Any] = stable_baselines3.TD3

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
        n_motors = agent.spec.n_motors
        noise = NormalActionNoise(np.zeros(n_motors), np.full(n_motors, arguments.pop("action_noise")))
        return SB3Learner(agent, self.model(CircuitTD3Policy, LearningEnv.of(envs), action_noise=noise, **arguments))


class DDPG(TD3):
    """Train a circuit without memory by the deterministic policy gradient."""

    model = stable_baselines3.DDPG
