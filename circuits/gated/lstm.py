"""Long short-term memory: the gated baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..contract import State, UnitAxes
from ..recurrent import UnitCircuit
from .shared import between_resets, chrono, draw, gated_axes, heard, set_bias


class LSTM(UnitCircuit):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), torch's `nn.LSTM` with a linear readout.

    The state is `h` and `c`, both [batch, units]; their initial values are learned, starting at 0. Diagrams
    show the weights of the candidate (torch's third gate). Gates have no time constant, so the circuit takes no `dt`
    and makes one step per control step of any length.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        units: number of units.
        rank: rank of each gate's initial recurrent weights; None for full rank.
        horizon: longest initial memory of the units, in steps, by chrono initialisation (Tallec and Ollivier 2018,
            https://arxiv.org/abs/1804.11188). None uses torch's initialisation, with which units initially forget
            within a few steps and are slow to learn dependencies over 20 steps.
        rng: random generator for the initial weights.
    """

    memory = "recurrent"
    cell: Any  # torch gives the weights of its recurrent layers no type

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
        self.cell = nn.LSTM(self.n_sensors, units)
        draw(self.cell, units, rank, rng)
        if horizon is not None:
            keep = chrono(units, horizon, rng)
            set_bias(self.cell, torch.cat((-keep, keep)), 0)
        self.start_h, self.start_c = (nn.Parameter(torch.zeros(units)) for _ in range(2))

    def initial_state(self, batch_size: int) -> State:
        """Return the state at the start of an episode."""
        return {"h": self.start_h.expand(batch_size, -1), "c": self.start_c.expand(batch_size, -1)}

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step, in operations that `torch.vmap` can batch over weights."""
        gates = heard(self.cell, "ih", sensors) + heard(self.cell, "hh", state["h"])
        take, forget, candidate, show = gates.chunk(4, -1)
        c = torch.sigmoid(forget) * state["c"] + torch.sigmoid(take) * torch.tanh(candidate)
        h = torch.sigmoid(show) * torch.tanh(c)
        return h, {"h": h, "c": c}

    def unroll_features(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch units"], State]:
        """Run a sequence, using torch's fused kernel between resets."""

        def run(part: Tensor, held: State) -> tuple[Tensor, State]:
            values, (h, c) = self.cell(part, (held["h"].contiguous()[None], held["c"].contiguous()[None]))
            return values, {"h": h[0], "c": c[0]}

        return between_resets(self, run, sensors, state, episode_start)

    def drawn_weights(self) -> tuple[Float[Tensor, "units sensors"], Float[Tensor, "units units"]]:
        """Return the candidate's weights, from sensors and from units."""
        return self.cell.weight_ih_l0.chunk(4)[2], self.cell.weight_hh_l0.chunk(4)[2]

    @property
    def unit_axes(self) -> UnitAxes:
        """Which axes of the weights index units; the odd gate is the candidate, torch's third."""
        return gated_axes("start_h", "start_c")
