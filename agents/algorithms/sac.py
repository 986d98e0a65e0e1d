"""SAC by SB3: Haarnoja et al. 2018 (https://arxiv.org/abs/1812.05905)."""

from __future__ import annotations

import dataclasses

import stable_baselines3

from ...options import Number, option
from ..sb3.off_policy import CircuitSACPolicy
from .algorithm import POSITIVE
from .sb3_learner import OffPolicy, ReplayOptions


@dataclasses.dataclass(frozen=True)
class Options(ReplayOptions):
    """Options of SAC.

    Attributes:
        ent_coef: weight of the entropy, nats, in the reward; "auto" learns it.
    """

    learning_rate: float = option(3e-4, POSITIVE)
    ent_coef: float | str = option("auto", Number(0, also=("auto",)))


class SAC(OffPolicy):
    """Train a memoryless circuit by soft actor-critic."""

    Options = Options
    Model = stable_baselines3.SAC
    Policy = CircuitSACPolicy
