"""What environments show of a step, written by the kernel in the call that takes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from . import rows


@dataclasses.dataclass
class Face:
    """Observations, rewards and ends of `Lanes`, as rows in the dtype that torch reads; current after every step.

    What diverged, and what moves faster than its bounds, keeps its last observation and earns 0. After a reset only the
    observation is current. Rows of environments that were not stepped stay.

    Attributes:
        rule: [rows.RULE], how episodes are paid and end; order and units (s, m/s) as `rows.py` says.
        columns: [obs], the reading that each value of an observation is; -1 for the time since the reset, s.
        bounds: [2, obs], what observations are kept within, in their units.
        elapsed: [envs], control steps since the reset; read, never written.
        com_start: [envs, 2], centre of mass at the reset, m; read, never written.
        observation: [envs, obs], in the units of the readings.
        numbers: [2, envs], rewards (no unit) and net speed since the reset (m/s).
        flags: [2, envs], whether it diverged, and whether its time was up.
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
        """Return what the kernel takes, in its order."""
        return (
            self.rule, self.columns, self.bounds, self.elapsed, self.com_start, self.observation, self.numbers,
            self.flags,
        )  # fmt: skip


NOTHING = Face(
    np.zeros(rows.RULE), np.zeros(0, np.int64), np.zeros((2, 0)), np.zeros(0, np.int64), np.zeros((0, 2)),
    np.zeros((0, 0), np.float32),
)  # fmt: skip
