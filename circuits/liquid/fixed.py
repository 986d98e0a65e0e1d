"""A fixed liquid: leaky units that spikes run through, drawn once and never trained, whose echo tells inputs apart.

After Lin et al. 2025 (https://arxiv.org/abs/2307.00771), whose code lacks the liquid: leak, threshold and the sensors'
scaling here are our own.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..contract import State
from ..weights import check_size

_LEAK = 0.9  # of a membrane in a control step of _DT s
_DT = 0.03
_GAIN = 0.5  # of inputs and of the liquid's own synapses
_THRESHOLD = 1.0
_CLIP = 10.0  # standard deviations of what it hears
_CONSTANT = 1e-6  # a value that varies less is not scaled


class FixedLiquid(nn.Module):
    """Leaky integrate-and-fire units with fixed random synapses.

    In each control step

        v <- leak v (1 - z) + W_in [max(x, 0), max(-x, 0)] + W z,    z = 1 where v >= 1

    for standardised inputs x; both matrices are normal of deviation 0.5 over the root of their columns' number.

    Args:
        n_inputs: how many values it hears.
        units: how many.
        dt: seconds of a control step.
        rng: where synapses come from.

    Attributes:
        heard, own: W_in [units, 2 inputs] and W [units, units]: buffers.
        leak: of a membrane in a control step.

    Raises:
        CircuitMismatch: too many units.
    """

    heard: Float[Tensor, "units twice"]
    own: Float[Tensor, "units units"]

    def __init__(self, n_inputs: int, units: int, dt: float | None, rng: torch.Generator | None) -> None:
        super().__init__()
        check_size("units", units * (units + 2 * n_inputs))
        self.leak = math.exp(math.log(_LEAK) * (_DT if dt is None else dt) / _DT)
        for name, columns in (("heard", 2 * n_inputs), ("own", units)):
            drawn = torch.randn(units, columns, generator=rng)
            self.register_buffer(name, drawn * _GAIN / math.sqrt(max(columns, 1)))

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self.own)

    def initial_state(self, batch_size: int) -> State:
        """Return membranes at 0, and no spikes."""
        silent = self.own.new_zeros(batch_size, self.units)
        return {"v": silent, "z": torch.zeros_like(silent)}

    def forward(self, inputs: Float[Tensor, "batch inputs"], state: State) -> State:
        """Run one control step on standardised inputs; `z` [batch, units] are the spikes, 0 or 1."""
        driven = torch.cat((inputs.clamp(min=0), (-inputs).clamp(min=0)), -1) @ self.heard.t()
        v = self.leak * state["v"] * (1 - state["z"]) + driven + state["z"] @ self.own.t()
        return {"v": v, "z": (v >= _THRESHOLD).to(v.dtype)}


def standardised(
    values: Float[Tensor, "*many inputs"], mean: Float[Tensor, " inputs"], std: Float[Tensor, " inputs"]
) -> Float[Tensor, "*many inputs"]:
    """Return what a liquid is to hear, of mean 0 and deviation 1, within 10; arguments are in the values' own units."""
    return ((values - mean) / std).clamp(-_CLIP, _CLIP)


def moments(rows: Float[Tensor, "many inputs"]) -> tuple[Float[Tensor, " inputs"], Float[Tensor, " inputs"]]:
    """Return mean and standard deviation to standardise values by, in their units; 1 where a value does not vary."""
    spread = rows.std(0, correction=0)
    return rows.mean(0), torch.where(spread > _CONSTANT, spread, 1.0)
