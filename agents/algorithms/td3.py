"""DDPG and TD3 by SB3: Lillicrap et al. 2016 (https://arxiv.org/abs/1509.02971), Fujimoto et al. 2018
(https://arxiv.org/abs/1802.09477)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import stable_baselines3
from stable_baselines3.common.noise import NormalActionNoise

from ...options import Number, option
from ..agent import Agent
from ..sb3.off_policy import CircuitTD3Policy
from .sb3_learner import OffPolicy, ReplayOptions


@dataclasses.dataclass(frozen=True)
class Options(ReplayOptions):
    """Options of DDPG and TD3.

    Attributes:
        action_noise: standard deviation of the noise on actions in training, in units of the motor's range.
    """

    action_noise: float = option(0.1, Number(0))


class TD3(OffPolicy):
    """Train a memoryless circuit by twin delayed deep deterministic policy gradient."""

    Options = Options
    Model: ClassVar[Any] = stable_baselines3.TD3
    Policy = CircuitTD3Policy

    def make_arguments(self, agent: Agent, options: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Return SB3's arguments for an agent, with the noise on its actions in training."""
        arguments, n_motors = super().make_arguments(agent, options, seed), agent.spec.n_motors
        spread = arguments.pop("action_noise")
        return {**arguments, "action_noise": NormalActionNoise(np.zeros(n_motors), np.full(n_motors, spread))}


class DDPG(TD3):
    """Train a memoryless circuit by deep deterministic policy gradient."""

    Model = stable_baselines3.DDPG
