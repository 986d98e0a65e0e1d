"""Gated recurrent units: the smaller gated baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..contract import State, UnitAxes
from ..recurrent import UnitCircuit
from .shared import between_resets, chrono, draw, gated_axes, heard, set_bias


class GRU(UnitCircuit):
    """Gated recurrent units (Cho et al. 2014), torch's `nn.GRU` with a linear readout.

    The state is `h`, [batch, units]; its initial value is learned, starting at 0. Diagrams show the
    weights of the candidate (torch's third gate). Gates have no time constant, so the circuit takes no `dt` and makes
    one step per control step of any length.

    Args:
        senses, n_motors, units, rank, horizon, rng: as in `LSTM`.
    """

    memory = "recurrent"
    cell: Any

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 64,
        rank: int | None = None,
        horizon: int | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self._build(senses, n_motors, units, rng)
        self.cell = nn.GRU(self.n_sensors, units)
        draw(self.cell, units, rank, rng)
        if horizon is not None:
            set_bias(self.cell, chrono(units, horizon, rng), units)
        self.start_h = nn.Parameter(torch.zeros(units))

    def initial_state(self, batch_size: int) -> State:
        """Return the state at the start of an episode."""
        return {"h": self.start_h.expand(batch_size, -1)}

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step, in operations that `torch.vmap` can batch over weights."""
        taken = heard(self.cell, "ih", sensors).chunk(3, -1)
        held = heard(self.cell, "hh", state["h"]).chunk(3, -1)
        reset, keep = torch.sigmoid(taken[0] + held[0]), torch.sigmoid(taken[1] + held[1])
        candidate = torch.tanh(taken[2] + reset * held[2])
        h = torch.lerp(candidate, state["h"], keep)
        return h, {"h": h}

    def unroll_features(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch units"], State]:
        """Run a sequence, using torch's fused kernel between resets."""

        def run(part: Tensor, held: State) -> tuple[Tensor, State]:
            values, h = self.cell(part, held["h"].contiguous()[None])
            return values, {"h": h[0]}

        return between_resets(self, run, sensors, state, episode_start)

    def drawn_weights(self) -> tuple[Float[Tensor, "units sensors"], Float[Tensor, "units units"]]:
        """Return the candidate's weights, from sensors and from units."""
        return self.cell.weight_ih_l0.chunk(3)[2], self.cell.weight_hh_l0.chunk(3)[2]

    @property
    def unit_axes(self) -> UnitAxes:
        """Which axes of the weights index units; the odd gate is the candidate, torch's third."""
        return gated_axes("start_h")
