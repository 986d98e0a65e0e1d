"""Active dendrites: units gated by a context, with a winner-take-all activation.

Iyer et al. 2022 (https://arxiv.org/abs/2201.00042); the theory is Ahmad and Hawkins 2016 (https://arxiv.org/abs/1601.00720).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .contract import Neuron, Pins, State, Synapse, Wiring, named_groups
from .layered import LayeredCircuit
from .neurons import neuron_row, sensor_neurons
from .weights import check_size

_CONTEXT = "context"
_GATES = ("abs_max", "abs_max_unsigned", "max", "bias")
_SMALL = 0.01  # gain of the motors' initial weights


class Dendrites(LayeredCircuit):
    """Layers of units with dendritic segments, which match the context and gate their unit.

    A unit has a feed-forward drive y = W x + b and segments d = V c for a context c; s is the segment of largest |d|.
    The unit's value is, by `gate`,

        y sigmoid(s)                    "abs_max"
        y sigmoid(max |d|)              "abs_max_unsigned": the gate is never below 1/2
        y sigmoid(max d)                "max"
        y + max d                       "bias": no gate

    In each layer, the units with the largest values keep them, and all others are set to 0; winners may be negative,
    and ties all win. Motors are linear. With a one-hot context, more than one segment per unit adds nothing.

    Args:
        senses: name and size of each sense; `context` goes to the segments, the others go to the first layer.
        n_motors: number of motor commands.
        hidden: number of units of each hidden layer.
        segments: number of segments per unit.
        winners: share of a layer's units that win; None uses a ReLU instead.
        gate: type of gate, one of the above.
        gated: whether all hidden layers have segments, or only the last.
        sparsity: share of missing inputs of each unit and each segment, drawn at random.
        gate_scale: factor of the segments' initial weights; at 1, all gates are near 1/2 for every context.
        rng: random generator for initial weights and missing inputs.

    Attributes:
        weights, biases: weights and biases of each hidden layer, [units, inputs] and [units].
        segments: segment weights of each gated layer, [units, segments, context].
        motors: linear readout to the motors.

    Raises:
        CircuitMismatch: there is no context, or an option is out of range.
    """

    needs = (_CONTEXT,)

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        hidden: Sequence[int] = (64, 64),
        segments: int = 4,
        winners: float | None = 0.25,
        gate: Literal["abs_max", "abs_max_unsigned", "max", "bias"] = "abs_max",
        gated: Literal["all", "last"] = "all",
        sparsity: float = 0.0,
        gate_scale: float = 6.0,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _check(hidden, segments, winners, gate, gated, sparsity)
        if _CONTEXT not in senses:
            raise CircuitMismatch(f"dendrites need the sense {_CONTEXT!r}; the observation has {', '.join(senses)}")
        inputs = {name: size for name, size in senses.items() if name != _CONTEXT}
        if not inputs:
            raise CircuitMismatch("dendrites are given a context alone; give them a sense too")
        n_context = senses[_CONTEXT]
        self.senses, self.n_motors = (*inputs.items(), (_CONTEXT, n_context)), n_motors
        self.gate, self.winners, self.n_context = gate, winners, n_context
        first_gated = 0 if gated == "all" else len(hidden) - 1
        sizes = [sum(inputs.values()), *hidden]
        check_size("hidden", sum(one * other for one, other in itertools.pairwise(sizes)))
        check_size("segments", sum(hidden[first_gated:]) * segments * n_context)
        self.weights, self.biases, self.segments = nn.ParameterList(), nn.ParameterList(), nn.ParameterDict()
        for layer, (n_inputs, units) in enumerate(itertools.pairwise(sizes)):
            keep = _mask((units, n_inputs), sparsity, rng)
            density = 1.0 if layer == 0 or winners is None else winners
            bound = 1 / math.sqrt(max(1.0, (1 - sparsity) * density * n_inputs))
            if sparsity:
                self.register_buffer(f"keep_{layer}", keep)
            self.weights.append(nn.Parameter(_uniform((units, n_inputs), bound, rng) * keep))
            self.biases.append(nn.Parameter(_uniform((units,), bound, rng)))
            if layer >= first_gated:
                shape = (units, segments, n_context)
                keep = _mask(shape, sparsity, rng)
                bound = gate_scale / math.sqrt(max(1.0, (1 - sparsity) * n_context))
                if sparsity:
                    self.register_buffer(f"keep_segments_{layer}", keep)
                self.segments[str(layer)] = nn.Parameter(_uniform(shape, bound, rng) * keep)
        self.motors = nn.Linear(sizes[-1], n_motors)
        nn.init.orthogonal_(self.motors.weight, _SMALL, generator=rng)
        nn.init.zeros_(self.motors.bias)
        self.sparsity = sparsity
        self.neurons, self.groups = named_groups(
            {
                "sensors": sensor_neurons(self.senses),
                **{
                    f"hidden_{layer}": [Neuron(f"hidden_{layer}_{i}", "inter") for i in range(units)]
                    for layer, units in enumerate(hidden)
                },
                "motors": neuron_row("motor", "motor", n_motors),
            }
        )

    def layer_values(
        self, sensors: Float[Tensor, "batch sensors"], pins: Pins | None
    ) -> list[Float[Tensor, "batch units"]]:
        """Return sensors, hidden layers and motors."""
        values = [self.pinned(sensors, "sensors", pins)]
        context, x = values[0][:, -self.n_context :], values[0][:, : -self.n_context]
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            y = torch.nn.functional.linear(x, self._acting(weight, f"keep_{layer}"), bias)
            if str(layer) in self.segments:
                segments = self._acting(self.segments[str(layer)], f"keep_segments_{layer}")
                y = self._gated(y, torch.einsum("umc,bc->bum", segments, context))
            x = self.pinned(self._winners(y), f"hidden_{layer}", pins)
            values.append(x)
        return [*values, self.pinned(self.motors(x), "motors", pins)]

    def after_update(
        self,
        sensors: Float[Tensor, "time batch sensors"],  # noqa: ARG002
        activity: Float[Tensor, "time batch neurons"],  # noqa: ARG002
    ) -> None:
        """Set the weights of missing inputs to 0."""
        if self.sparsity == 0:
            return
        with torch.no_grad():
            for layer, weight in enumerate(self.weights):
                weight *= self.get_buffer(f"keep_{layer}")
            for name, segments in self.segments.items():
                segments *= self.get_buffer(f"keep_segments_{name}")

    def active(self) -> Mapping[str, Bool[Tensor, "*shape"]]:
        """Return which inputs units and segments have, by parameter."""
        if self.sparsity == 0:
            return {}
        weights = {f"weights.{layer}": f"keep_{layer}" for layer in range(len(self.weights))}
        segments = {f"segments.{layer}": f"keep_segments_{layer}" for layer in self.segments}
        return {name: self.get_buffer(keep) > 0 for name, keep in (weights | segments).items()}

    def _acting(self, weight: Float[Tensor, "*shape"], keep: str) -> Float[Tensor, "*shape"]:
        """Return weights, in their own unit, without a gradient where an input is missing."""
        # Members of a population bring weights of their own, 0 where an input is missing, so they need no mask.
        return weight * self.get_buffer(keep) if self.sparsity and torch.is_grad_enabled() else weight

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return every existing weight as a synapse; from each context value, only the unit's strongest segment."""
        synapses = []
        sensors = self.neurons[self.groups["sensors"]]
        before, context = sensors[: -self.n_context], sensors[-self.n_context :]
        for layer, weight in enumerate(self.weights):
            units = self.neurons[self.groups[f"hidden_{layer}"]]
            synapses += _synapses(before, units, weight, f"weights.{layer}")
            if str(layer) in self.segments:
                segments = self.segments[str(layer)]
                strongest = segments.gather(1, segments.abs().argmax(1, keepdim=True))[:, 0]
                synapses += _synapses(context, units, strongest, f"segments.{layer}")
            before = units
        synapses += _synapses(before, self.neurons[self.groups["motors"]], self.motors.weight, "motors.weight")
        return Wiring(self.neurons, tuple(synapses))

    def _gated(
        self, y: Float[Tensor, "batch units"], segments: Float[Tensor, "batch units segments"]
    ) -> Float[Tensor, "batch units"]:
        if self.gate == "max":
            return y * torch.sigmoid(segments.amax(-1))
        if self.gate == "bias":
            return y + segments.amax(-1)
        strongest = segments.gather(-1, segments.abs().argmax(-1, keepdim=True))[..., 0]
        return y * torch.sigmoid(strongest.abs() if self.gate == "abs_max_unsigned" else strongest)

    def _winners(self, y: Float[Tensor, "batch units"]) -> Float[Tensor, "batch units"]:
        if self.winners is None:
            return torch.relu(y)
        k = max(1, round(self.winners * y.shape[-1]))
        return torch.where(y >= y.topk(k, -1).values[..., -1:], y, 0.0)


def _uniform(shape: Sequence[int], bound: float, rng: torch.Generator | None) -> Tensor:
    return bound * (2 * torch.rand(*shape, generator=rng) - 1)


def _mask(shape: Sequence[int], sparsity: float, rng: torch.Generator | None) -> Tensor:
    """Return 1 for the inputs that each row has, as many in each, and 0 for the others."""
    kept = max(1, round((1 - sparsity) * shape[-1]))
    order = torch.rand(*shape, generator=rng).argsort(-1).argsort(-1)
    return (order < kept).float()


def _synapses(before: Sequence[Neuron], after: Sequence[Neuron], weight: Tensor, group: str) -> list[Synapse]:
    return [
        Synapse(pre.name, post.name, value, group)
        for post, row in zip(after, weight.tolist(), strict=True)
        for pre, value in zip(before, row, strict=True)
        if value
    ]


def _check(hidden: Sequence[int], segments: int, winners: float | None, gate: str, gated: str, sparsity: float) -> None:
    if not hidden or any(not isinstance(units, int) or units < 1 for units in hidden):
        raise CircuitMismatch(f"hidden is {tuple(hidden)}; give numbers of units, such as (64, 64)")
    if segments < 1:
        raise CircuitMismatch(f"segments is {segments}; give 1 or more for each unit")
    if winners is not None and not 0 < winners <= 1:
        raise CircuitMismatch(f"winners is {winners}; give a share above 0 and up to 1, or null")
    if gate not in _GATES:
        raise CircuitMismatch(f"gate is {gate!r}; give one of {', '.join(map(repr, _GATES))}")
    if gated not in ("all", "last"):
        raise CircuitMismatch(f"gated is {gated!r}; give 'all' or 'last'")
    if not 0 <= sparsity < 1:
        raise CircuitMismatch(f"sparsity is {sparsity}; give a share from 0 and below 1")
