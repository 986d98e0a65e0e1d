"""A circuit inside the kernel: from bodies' readings to motor commands without leaving compiled code."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from . import rows


@dataclasses.dataclass
class Controller:
    """A compiled circuit that commands the motors of `Lanes`, each environment with its own weights and memory.

    An episode ends at its time limit or when its physics diverges; from then on, the environment's tallies do not
    change.

    Attributes:
        address: address of the compiled step; see `compiling.compiled_step`.
        numbers: [numbers], facts about the circuit for the step, each in its own unit.
        weights: [blocks or 1, weights, width], in the circuit's units; a lane for each environment, or one block for
            all.
        memory: [blocks, memory, width], the circuit's state between control steps, in the circuit's units.
        n_room: rows of scratch space for the step.
        columns: [sensors], numbers of columns in a face's observation, one for each sensor.
        senses: [sensors, rows.SENSE], normalisation and scale of each sensor, in the units of `Circuit`.
        squash: 1 where motors go through a tanh, else 0.
        tallies: [blocks, rows.TALLY, width], totals of the episodes so far, in the units that `rows` gives.
    """

    address: int
    numbers: Float[np.ndarray, " numbers"]
    weights: Float[np.ndarray, "blocks weights width"]
    memory: Float[np.ndarray, "blocks memory width"]
    n_room: int
    columns: Int[np.ndarray, " sensors"]
    senses: Float[np.ndarray, "sensors 5"]
    squash: int = 0
    tallies: Float[np.ndarray, "blocks 4 width"] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.tallies = np.zeros((len(self.memory), rows.TALLY, self.memory.shape[2]))
        self.tallies[:, rows.RUNS] = 1.0

    def tally(self, which: int, n_envs: int) -> Float[np.ndarray, " envs"]:
        """Return one tally (a row number from `rows`) of every environment, in its unit."""
        return self.tallies[:, which].reshape(-1)[:n_envs].copy()

    def in_order(self) -> Sequence[Any]:
        """Return the kernel's arguments, in its order."""
        return (
            self.address, self.numbers, self.weights, self.memory, self.columns, self.senses, self.squash, self.tallies,
        )  # fmt: skip


NOBODY = Controller(
    0, np.zeros(0), np.zeros((1, 0, 1)), np.zeros((0, 0, 1)), 0, np.zeros(0, np.int64), np.zeros((0, rows.SENSE))
)
