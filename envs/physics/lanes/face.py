"""Environments' outputs, written by the kernel in the call that takes the step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from . import rows


@dataclasses.dataclass
class Face:
    """Observations, rewards and episode ends of `Lanes`, in torch's default dtype; current after every step.

    An environment that diverged or moves faster than its bounds keeps its last observation and gets a reward of 0.
    After a reset, only the observation is current. Rows of environments that were not stepped do not change.

    Attributes:
        rule: [rows.RULE], the numbers of reward and episode end; order and units (s, m/s) as in `rows.py`.
        columns: [obs], the reading for each value of an observation; `rows.TIME` for the time since the reset, s, and
            `rows.KEPT` where the kernel leaves and senses what is written in the observation.
        bounds: [2, obs], lower and upper bounds of observations, in their units.
        elapsed: [envs], control steps since the reset; read, never written.
        com_start: [envs, 2], centre of mass at the reset, m; read, never written.
        observation: [envs, obs], in the units of the readings.
        numbers: [2, envs], rewards (no unit) and net speed since the reset (m/s).
        flags: [2, envs], whether it diverged, and whether its time limit was reached.
    """

    rule: Float[np.ndarray, " rule"]
    columns: Int[np.ndarray, " obs"]
    bounds: Float[np.ndarray, "2 obs"]
    elapsed: Int[np.ndarray, " envs"]
    com_start: Float[np.ndarray, "envs 2"]
    observation: Float[np.ndarray, "envs obs"]
    numbers: Float[np.ndarray, "2 envs"] = dataclasses.field(init=False)
    flags: Bool[np.ndarray, "2 envs"] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.numbers = np.zeros((2, len(self.elapsed)), np.float32)
        self.flags = np.zeros((2, len(self.elapsed)), bool)

    def in_order(self) -> Sequence[Any]:
        """Return the kernel's arguments, in its order."""
        return (
            self.rule, self.columns, self.bounds, self.elapsed, self.com_start, self.observation, self.numbers,
            self.flags,
        )  # fmt: skip


NOTHING = Face(
    np.zeros(rows.RULE), np.zeros(0, np.int64), np.zeros((2, 0)), np.zeros(0, np.int64), np.zeros((0, 2)),
    np.zeros((0, 0), np.float32),
)  # fmt: skip
