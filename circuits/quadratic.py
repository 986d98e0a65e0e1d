"""Quadratic neurons: linear ones with a learned gate and a sum of squares.

Fan et al. 2022, ReLinear (https://arxiv.org/abs/2201.05279).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .recurrent import hold


class Quadratic(nn.Linear):
    """A layer of quadratic neurons, which is a linear layer until its quadratic weights have learned something.

    With c = x clipped to -3 to 3, without which a sensor of 5 standard deviations would count 25 times,

        q(x) = (W x + b) * (1 + W_gate c + b_gate) + W_square c^2 + b_square

    and `is_compact` leaves out the gate. All quadratic weights are 0 at first. `b_gate` is counted from 1, so that an
    optimiser that shrinks weights makes the neuron linear again.

    Args:
        inputs, outputs: numbers of units.
        is_compact: whether there is no gate.
        learned: whether quadratic weights are parameters; else they are buffers, which no learner moves.

    Attributes:
        weight, bias: of the linear neuron, [outputs, inputs] and [outputs].
        clip: 3, of what is multiplied and squared.
        gate_weight, gate_bias, square_weight, square_bias: likewise; the first two where there is a gate.
    """

    clip: float = 3.0
    square_weight: Float[Tensor, "outputs inputs"]
    square_bias: Float[Tensor, " outputs"]
    gate_weight: Float[Tensor, "outputs inputs"]
    gate_bias: Float[Tensor, " outputs"]

    def __init__(self, inputs: int, outputs: int, is_compact: bool, learned: bool) -> None:
        super().__init__(inputs, outputs)
        self.is_compact = is_compact
        for part in ("square",) if is_compact else ("gate", "square"):
            hold(self, f"{part}_weight", torch.zeros(outputs, inputs), learned)
            hold(self, f"{part}_bias", torch.zeros(outputs), learned)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Return q(x), in the unit of the bias."""
        clipped, drive = x.clamp(-self.clip, self.clip), super().forward(x)
        if not self.is_compact:
            drive = drive * (1 + nn.functional.linear(clipped, self.gate_weight, self.gate_bias))
        return drive + nn.functional.linear(clipped.square(), self.square_weight, self.square_bias)
