"""A convolution along the body: a control for the value of weight sharing across joints, without clock or biology."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .contract import Neuron, Pins, State, Synapse, Wiring, named_groups
from .lane_step import LaneStep
from .layered import LayeredCircuit
from .neurons import neuron_row
from .tanh import tanh
from .weights import check_size

# Velocities of one on these bodies, m/s and rad/s: running statistics would tie the weights to one length.
_SPEED, _SPIN, _LIMIT = 0.1, 5.0, 5.0
_INPUTS = ("q", "before_x", "before_y", "before_spin", "behind_x", "behind_y", "behind_spin")


class Along(LayeredCircuit):
    """Drive a chain of joints by small convolutions along it, with the same weights at every joint.

    Joint i senses its angle q_i (in units of the joint limit) and the velocities of the two links that it joins (in
    units of 0.1 m/s and 5 rad/s, clipped at 5). With h = tanh x and all weights shared along the body:

        x^0_i = input in_i + input_bias
        x^(l+1) = x^l + K^l h^l,   (K h)_i = w_-1 h_(i-1) + w_0 h_i + w_1 h_(i+1) + b,  zeros beyond both ends
        motor_i = output h^L_i + output_bias

    There is no state, and joint i receives input from joints i - L to i + L. With `levels` above 1, each K is a linear
    V-cycle: K_m h = S_m (h + U K_(m+1) R_m h), where R is a convolution of stride 2, U interpolates linearly, S is a
    convolution, and the coarsest K is S alone; a body of J joints uses at most 1 + floor(log2 J) levels.

    Args:
        n_joints: number of joints, head to tail.
        channels: C, number of units per joint and layer.
        layers: L, number of convolutions; with 0, joints are independent.
        levels: number of levels of each V-cycle; 1 is a plain convolution.
        rng: random generator for the initial weights, which are orthogonal, with a gain of 0.01 at the motors.

    Attributes:
        input: [channels, 7]; columns: q, then the x, y and angular velocity of the link before, then of the link
            behind.
        output: [channels].

    Source: the neural operator MgNO (He et al., ICLR 2024), applied to the joints of a body. It has 8 C + L (3 C^2 + C)
    + C + 1 weights with one level: 89 by default.
    """

    is_scaled = True

    def __init__(
        self,
        n_joints: int,
        *,
        channels: int = 4,
        layers: int = 1,
        levels: int = 1,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (("channels", channels, 1), ("layers", layers, 0), ("levels", levels, 1)):
            if value < least:
                raise CircuitMismatch(f"{name} is {value}; give {least} or more")
        check_size("the sizes", layers * 2 * levels * 3 * channels**2 + len(_INPUTS) * channels)
        self.n_motors, self.channels, self.n_layers, self.n_levels = n_joints, channels, layers, levels
        self.senses = (("joint_pos", n_joints), ("body_velocities", 3 * (n_joints + 1)))
        self.input = _orthogonal(channels, len(_INPUTS), math.sqrt(2), rng)
        self.input_bias = nn.Parameter(torch.zeros(channels))
        self.cycles = nn.ModuleList(_Cycle(channels, levels, n_joints, rng) for _ in range(layers))
        self.output = nn.Parameter(_orthogonal(1, channels, 0.01, rng).detach()[0])
        self.output_bias = nn.Parameter(torch.zeros(()))
        motors = neuron_row("motor", "motor", n_joints)
        self.neurons, self.groups = named_groups(
            {
                "sensors": [
                    Neuron(f"{kind}_{joint}", "sensor", motor.position)
                    for joint, motor in enumerate(motors)
                    for kind in _INPUTS
                ],
                **{
                    f"along_{layer}": [
                        Neuron(f"along_{layer}_{channel}_{joint}", "inter", motor.position)
                        for joint, motor in enumerate(motors)
                        for channel in range(channels)
                    ]
                    for layer in range(layers + 1)
                },
                "motors": motors,
            }
        )

    def lane_step(self) -> LaneStep | None:
        """Return the vectorised step; None with V-cycles."""
        if self.n_levels > 1:
            return None
        from .along_lanes import along

        n_units = self.n_motors * self.channels
        return LaneStep(
            along,
            sum(parameter.numel() for parameter in self.parameters()),
            n_room=2 * n_units,
            numbers=(self.n_motors, self.channels, self.n_layers, _SPEED, _SPIN, _LIMIT),
        )

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return every weight as a synapse; because layers are residual, a layer also projects to all later layers."""
        synapses = []
        first, *layers, motors = (self.neurons[group] for group in self.groups.values())
        for units in layers:
            for index, post in enumerate(units):
                joint, channel = divmod(index, self.channels)
                heard = first[len(_INPUTS) * joint : len(_INPUTS) * (joint + 1)]
                pairs = zip(heard, self.input[channel].tolist(), strict=True)
                synapses += [Synapse(pre.name, post.name, weight, "input") for pre, weight in pairs]
        for source, cycle in enumerate(self.cycles):
            matrix = cycle.matrix()  # type: ignore[operator]
            for units in layers[source + 1 :]:
                synapses += [
                    Synapse(layers[source][pre].name, units[post].name, float(matrix[post, pre]), f"cycles.{source}")
                    for post, pre in matrix.nonzero().tolist()
                ]
        for index, pre in enumerate(layers[-1]):
            joint, channel = divmod(index, self.channels)
            synapses.append(Synapse(pre.name, motors[joint].name, float(self.output[channel].detach()), "output"))
        return Wiring(self.neurons, tuple(synapses))

    def layer_values(
        self, sensors: Float[Tensor, "batch sensors"], pins: Pins | None
    ) -> list[Float[Tensor, "batch units"]]:
        """Return scaled sensors, the units of each layer, and the motors."""
        joints = self.n_motors
        scale = sensors.new_tensor((_SPEED, _SPEED, _SPIN))
        links = (sensors[:, joints:].unflatten(-1, (-1, 3)) / scale).clamp(-_LIMIT, _LIMIT)
        felt = torch.cat((sensors[:, :joints, None], links[:, :-1], links[:, 1:]), -1)
        values = [self.pinned(felt.flatten(1), "sensors", pins)]
        total = nn.functional.linear(values[0].unflatten(-1, (joints, -1)), self.input, self.input_bias)
        for layer in range(self.n_layers + 1):
            values.append(self.pinned(tanh(total).flatten(1), f"along_{layer}", pins))
            units = values[-1].unflatten(-1, (joints, -1))
            if layer < self.n_layers:
                total = total + self.cycles[layer](units)
        motor = (units * self.output).sum(-1) + self.output_bias
        return [*values, self.pinned(motor, "motors", pins)]


class _Cycle(nn.Module):
    """A linear V-cycle over units [batch, joints, channels]; with one level a convolution of width 3."""

    def __init__(self, channels: int, levels: int, n_joints: int, rng: torch.Generator | None) -> None:
        super().__init__()
        self.smooth = nn.ParameterList(_orthogonal(channels, 3 * channels, 1.0, rng) for _ in range(levels))
        self.smooth_bias = nn.ParameterList(nn.Parameter(torch.zeros(channels)) for _ in range(levels))
        self.restrict = nn.ParameterList(_orthogonal(channels, 3 * channels, 1.0, rng) for _ in range(levels - 1))
        self.restrict_bias = nn.ParameterList(nn.Parameter(torch.zeros(channels)) for _ in range(levels - 1))
        self.n_joints = n_joints
        self.n_levels = min(levels, 1 + int(math.log2(n_joints)))

    def forward(self, units: Float[Tensor, "batch joints channels"], level: int = 0) -> Tensor:
        if level + 1 < self.n_levels:
            coarse = nn.functional.linear(_neighbours(units)[:, ::2], self.restrict[level], self.restrict_bias[level])
            units = units + _interpolated(self(coarse, level + 1), units.shape[1])
        return nn.functional.linear(_neighbours(units), self.smooth[level], self.smooth_bias[level])

    def matrix(self) -> Float[Tensor, "posts pres"]:
        """Return the weight of every unit on every other, joint by joint."""
        n_units, like = self.n_joints * len(self.smooth_bias[0]), self.smooth[0]
        with torch.no_grad():
            alone = torch.eye(n_units, dtype=like.dtype, device=like.device).unflatten(-1, (self.n_joints, -1))
            return (self(alone) - self(torch.zeros_like(alone[:1]))).flatten(1).T


def _neighbours(units: Float[Tensor, "batch joints channels"]) -> Float[Tensor, "batch joints 3_channels"]:
    """Return each joint's units between those of the joints before and behind it, zeros beyond the ends."""
    padded = nn.functional.pad(units, (0, 0, 1, 1))
    return torch.cat((padded[:, :-2], units, padded[:, 2:]), -1)


def _interpolated(coarse: Float[Tensor, "batch some channels"], n: int) -> Float[Tensor, "batch n channels"]:
    """Return values at every joint from values at every second one; the last joint repeats what is before it."""
    between = (coarse + torch.cat((coarse[:, 1:], coarse[:, -1:]), 1)) / 2
    return torch.stack((coarse, between), 2).flatten(1, 2)[:, :n]


def _orthogonal(rows: int, columns: int, gain: float, rng: torch.Generator | None) -> nn.Parameter:
    return nn.Parameter(nn.init.orthogonal_(torch.empty(rows, columns), gain, generator=rng))
