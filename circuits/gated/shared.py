"""Functions shared by LSTM and GRU: both use torch's weights and kernels, and single steps written out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..contract import State, UnitAxes
from ..recurrent import READOUT_AXES, UnitCircuit, with_rank


def heard(cell: Any, kind: str, values: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch gates"]:
    """Return the gates' input from sensors ("ih") or from units ("hh")."""
    return nn.functional.linear(values, getattr(cell, f"weight_{kind}_l0"), getattr(cell, f"bias_{kind}_l0"))


def draw(cell: nn.LSTM | nn.GRU, units: int, rank: int | None, rng: torch.Generator | None) -> None:
    """Draw the weights as torch does, from `rng`."""
    with torch.no_grad():
        for name, weight in cell.named_parameters():
            weight.uniform_(-(units**-0.5), units**-0.5, generator=rng)
            if name == "weight_hh_l0":
                weight.copy_(torch.cat([with_rank(gate, rank) for gate in weight.chunk(len(weight) // units)]))


def gated_axes(*states: str) -> UnitAxes:
    """Return where units stand in the weights of torch's gated cells, whose third gate is the candidate."""
    kinds = {"ih": "sensors", "hh": "units"}
    axes = {f"cell.weight_{kind}_l0": ("units", heard) for kind, heard in kinds.items()}
    one = ("units",)
    biases = {f"cell.bias_{kind}_l0": one for kind in kinds} | dict.fromkeys(states, one)
    return UnitAxes({**axes, **biases, **READOUT_AXES}, "cell.bias_ih_l0", odd=2)


def chrono(units: int, horizon: int, rng: torch.Generator | None) -> Float[Tensor, " units"]:
    """Return gate biases that make units forget over 2 to `horizon` steps."""
    if horizon < 3:
        raise CircuitMismatch(f"horizon is {horizon} steps; give 3 or more, or none")
    return torch.empty(units).uniform_(1, horizon - 1, generator=rng).log()


@torch.no_grad()
def set_bias(cell: nn.LSTM | nn.GRU, bias: Float[Tensor, " some"], first: int) -> None:
    """Set the sum of torch's two biases for some gates, from row `first` on."""
    cell.get_parameter("bias_ih_l0")[first : first + len(bias)] = bias
    cell.get_parameter("bias_hh_l0")[first : first + len(bias)] = 0.0


def between_resets(
    circuit: UnitCircuit,
    run: Callable[[Tensor, State], Any],
    sensors: Float[Tensor, "time batch sensors"],
    state: State,
    episode_start: Bool[Tensor, "time batch"],
) -> tuple[Float[Tensor, "time batch units"], State]:
    """Run a sequence in segments, split at every step at which any environment starts an episode."""
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
