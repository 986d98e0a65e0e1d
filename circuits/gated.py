"""GRU and LSTM: the gated baselines, stepped by hand and unrolled by torch's own kernels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .circuit import State
from .recurrent import UnitCircuit, with_rank


class LSTM(UnitCircuit):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), torch's `nn.LSTM` with a linear readout.

    The state is `h` and `c`, both [batch, units]; what they start with is learned, at first 0. A diagram
    shows the weights of the candidate (torch's third gate).

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        units: how many.
        rank: of each gate's initial recurrent weights; None for full rank.
        horizon: longest memory of the units at first, in steps, by chrono initialisation (Tallec and
            Ollivier 2018, https://arxiv.org/abs/1804.11188). None draws as torch does: units then forget
            within a few steps and are slow to learn what lies 20 steps back.
        rng: where the initial weights come from.
    """

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
        _draw(self.cell, units, rank, rng)
        if horizon is not None:
            keep = _chrono(units, horizon, rng)
            _set_bias(self.cell, torch.cat((-keep, keep)), 0)
        self.start_h, self.start_c = (nn.Parameter(torch.zeros(units)) for _ in range(2))

    def initial_state(self, batch_size: int) -> State:
        """Return the state that an episode starts with."""
        return {"h": self.start_h.expand(batch_size, -1), "c": self.start_c.expand(batch_size, -1)}

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step, in operations that `torch.vmap` can map over weights."""
        gates = _heard(self.cell, "ih", sensors) + _heard(self.cell, "hh", state["h"])
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
        """Run a sequence, in torch's kernel from one reset to the next."""

        def run(part: Tensor, held: State) -> tuple[Tensor, State]:
            values, (h, c) = self.cell(part, (held["h"].contiguous()[None], held["c"].contiguous()[None]))
            return values, {"h": h[0], "c": c[0]}

        return _between_resets(self, run, sensors, state, episode_start)

    def drawn_weights(self) -> tuple[Float[Tensor, "units sensors"], Float[Tensor, "units units"]]:
        """Return the candidate's weights, from sensors and from units."""
        return self.cell.weight_ih_l0.chunk(4)[2], self.cell.weight_hh_l0.chunk(4)[2]


class GRU(UnitCircuit):
    """Gated recurrent units (Cho et al. 2014), torch's `nn.GRU` with a linear readout.

    The state is `h`, [batch, units]; what it starts with is learned, at first 0. A diagram shows the
    weights of the candidate (torch's third gate).

    Args:
        senses, n_motors, units, rank, horizon, rng: as in `LSTM`.
    """

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
        _draw(self.cell, units, rank, rng)
        if horizon is not None:
            _set_bias(self.cell, _chrono(units, horizon, rng), units)
        self.start_h = nn.Parameter(torch.zeros(units))

    def initial_state(self, batch_size: int) -> State:
        """Return the state that an episode starts with."""
        return {"h": self.start_h.expand(batch_size, -1)}

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step, in operations that `torch.vmap` can map over weights."""
        heard = _heard(self.cell, "ih", sensors).chunk(3, -1)
        held = _heard(self.cell, "hh", state["h"]).chunk(3, -1)
        reset, keep = torch.sigmoid(heard[0] + held[0]), torch.sigmoid(heard[1] + held[1])
        candidate = torch.tanh(heard[2] + reset * held[2])
        h = torch.lerp(candidate, state["h"], keep)
        return h, {"h": h}

    def unroll_features(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch units"], State]:
        """Run a sequence, in torch's kernel from one reset to the next."""

        def run(part: Tensor, held: State) -> tuple[Tensor, State]:
            values, h = self.cell(part, held["h"].contiguous()[None])
            return values, {"h": h[0]}

        return _between_resets(self, run, sensors, state, episode_start)

    def drawn_weights(self) -> tuple[Float[Tensor, "units sensors"], Float[Tensor, "units units"]]:
        """Return the candidate's weights, from sensors and from units."""
        return self.cell.weight_ih_l0.chunk(3)[2], self.cell.weight_hh_l0.chunk(3)[2]


def _heard(cell: Any, kind: str, values: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch gates"]:
    """Return what the gates hear of sensors ("ih") or units ("hh")."""
    return nn.functional.linear(values, getattr(cell, f"weight_{kind}_l0"), getattr(cell, f"bias_{kind}_l0"))


def _draw(cell: nn.LSTM | nn.GRU, units: int, rank: int | None, rng: torch.Generator | None) -> None:
    """Draw the weights as torch does, from `rng`."""
    with torch.no_grad():
        for name, weight in cell.named_parameters():
            weight.uniform_(-(units**-0.5), units**-0.5, generator=rng)
            if name == "weight_hh_l0":
                weight.copy_(torch.cat([with_rank(gate, rank) for gate in weight.chunk(len(weight) // units)]))


def _chrono(units: int, horizon: int, rng: torch.Generator | None) -> Float[Tensor, " units"]:
    """Return gate biases with which units forget over 2 to `horizon` steps."""
    if horizon < 3:
        raise CircuitMismatch(f"horizon is {horizon} steps; give 3 or more, or none")
    return torch.empty(units).uniform_(1, horizon - 1, generator=rng).log()


@torch.no_grad()
def _set_bias(cell: nn.LSTM | nn.GRU, bias: Float[Tensor, " some"], first: int) -> None:
    """Set the sum of both biases of some gates, from the unit `first` on."""
    cell.get_parameter("bias_ih_l0")[first : first + len(bias)] = bias
    cell.get_parameter("bias_hh_l0")[first : first + len(bias)] = 0.0


def _between_resets(
    circuit: UnitCircuit,
    run: Callable[[Tensor, State], Any],
    sensors: Float[Tensor, "time batch sensors"],
    state: State,
    episode_start: Bool[Tensor, "time batch"],
) -> tuple[Float[Tensor, "time batch units"], State]:
    """Run stretches between the steps at which any environment starts an episode."""
    if len(sensors) == 1:
        features, state = circuit.step_features(sensors[0], circuit.reset_state(state, episode_start[0]))
        return features[None], state
    resets = episode_start.any(1).nonzero()[:, 0].tolist()
    bounds = [0, *(step for step in resets if step > 0), len(sensors)]
    values = []
    for begin, end in itertools.pairwise(bounds):
        part, state = run(sensors[begin:end], circuit.reset_state(state, episode_start[begin]))
        values.append(part)
    return torch.cat(values), state
