"""A circuit as the kernel runs it: between what bodies feel and what their motors do, without leaving compiled code."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from . import rows


@dataclasses.dataclass
class Controller:
    """What commands the motors of `Lanes` by itself, each environment with its own weights and memory.

    Episodes end when their time is up or their physics diverges; an environment whose episode has ended is left alone
    in all that is tallied.

    Attributes:
        address: of the compiled step; see `compiling.compiled_step`.
        numbers: [numbers], what the step is told of the circuit, each in its own unit.
        weights: [blocks or 1, weights, width], in the circuit's units; a lane for each environment, or one block for
            all.
        memory: [blocks, memory, width], what the step keeps from one control step to the next, in the circuit's units.
        n_room: rows that the step works in.
        columns: [sensors], numbers of a face's values, one for each sensor.
        senses: [sensors, rows.SENSE], how a value becomes what is sensed, in the units of `Circuit`.
        squash: 1 where motors go through a tanh, else 0.
        tallies: [blocks, rows.TALLY, width], what the episodes came to so far, in the units that `rows` gives.
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
        """Return one of `rows`' tallies of every environment, in its unit."""
        return self.tallies[:, which].reshape(-1)[:n_envs].copy()

    def in_order(self) -> Sequence[Any]:
        """Return what the kernel takes, in its order."""
        return (
            self.address, self.numbers, self.weights, self.memory, self.columns, self.senses, self.squash, self.tallies,
        )  # fmt: skip


NOBODY = Controller(
    0, np.zeros(0), np.zeros((1, 0, 1)), np.zeros((0, 0, 1)), 0, np.zeros(0, np.int64), np.zeros((0, rows.SENSE))
)
