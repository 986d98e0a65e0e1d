"""Quadratic neurons: linear ones with a learned gate and a sum of squares.

Fan et al. 2021, ReLinear (https://arxiv.org/abs/2110.06081).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .recurrent import hold


class Quadratic(nn.Linear):
    """A layer of quadratic neurons, which starts as a linear layer.

    With c = x clipped to [-3, 3], so that outliers of the sensors are not squared,

        q(x) = (W x + b) * (1 + W_gate c + b_gate) + W_square c^2 + b_square

    With `is_compact` there is no gate (its factor is 1). All quadratic weights start at 0. The gate's bias is relative
    to 1, so that weight decay pulls the neuron towards a linear one.

    Args:
        inputs, outputs: number of inputs and of units.
        is_compact: whether the gate is left out.
        learned: whether quadratic weights are parameters; otherwise they are buffers, which learners do not change.

    Attributes:
        weight, bias: linear weights and biases, [outputs, inputs] and [outputs].
        clip: bound of the inputs to gates and squares, 3.
        gate_weight, gate_bias, square_weight, square_bias: quadratic weights and biases, of the same shapes; without a
            gate only the last two exist.
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
        """Return q(x)."""
        clipped, drive = x.clamp(-self.clip, self.clip), super().forward(x)
        if not self.is_compact:
            drive = drive * (1 + nn.functional.linear(clipped, self.gate_weight, self.gate_bias))
        return drive + nn.functional.linear(clipped.square(), self.square_weight, self.square_bias)
