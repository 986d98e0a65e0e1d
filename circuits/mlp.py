"""The multilayer perceptron: the baseline without a prior."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .contract import Neuron, Pins, State, Synapse, UnitAxes, Wiring, check_size, named_groups
from .lane_step import LaneStep, steps_as
from .layered import LayeredCircuit
from .neurons import neuron_row, sensor_neurons
from .tanh import tanh, tanh_layers


class MLP(LayeredCircuit):
    """A multilayer perceptron: tanh layers from all senses to the motors.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        hidden: units of each hidden layer.
        rng: where the initial weights come from: orthogonal with gain sqrt 2, and 0.01 at the motors,
            as in SB3.
    """

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        hidden: Sequence[int] = (64, 64),
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if any(not isinstance(units, int) or units < 1 for units in hidden):
            raise CircuitMismatch(f"hidden is {tuple(hidden)}; give numbers of units, such as (64, 64)")
        self.senses, self.n_motors = tuple(senses.items()), n_motors
        sizes = [self.n_sensors, *hidden, n_motors]
        check_size("hidden", sum(one * other for one, other in itertools.pairwise(sizes)))
        layers = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(sizes)]
        for layer in layers:
            gain = 0.01 if layer is layers[-1] else math.sqrt(2)
            nn.init.orthogonal_(layer.weight, gain, generator=rng)
            nn.init.zeros_(layer.bias)
        self.layers = nn.ModuleList(layers)
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

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run the circuit over a sequence at once: no step is linked to the next."""
        if steps_as(self, MLP) and isinstance(self.layers[0].weight, nn.Parameter):
            return tanh_layers(sensors, self.layers), state  # type: ignore[arg-type]
        # A subclass with steps of its own, or weights that are handed in, for one of torch.func's transforms.
        return super().unroll(sensors, state, episode_start)

    def layer_values(
        self, sensors: Float[Tensor, "batch sensors"], pins: Pins | None
    ) -> list[Float[Tensor, "batch units"]]:
        """Return sensors, hidden layers and motors."""
        first, *groups = self.groups
        values = [self.pinned(sensors, first, pins)]
        for layer, group in zip(self.layers, groups, strict=True):
            heard = layer(values[-1])
            values.append(self.pinned(heard if group == "motors" else tanh(heard), group, pins))
        return values

    @property
    def unit_axes(self) -> UnitAxes:
        """Where the units of each hidden layer stand in the weights."""
        axes: dict[str, tuple[str, ...]] = {}
        for index, (before, after) in enumerate(itertools.pairwise(self.groups)):
            axes |= {f"layers.{index}.weight": (after, before), f"layers.{index}.bias": (after,)}
        return UnitAxes(axes, "layers.0.bias", odd=0)

    def lane_step(self) -> LaneStep:
        """Return the step over vectors."""
        from .mlp_lanes import mlp

        sizes = [self.n_sensors, *(len(self.get_parameter(f"layers.{i}.bias")) for i in range(len(self.layers)))]
        n_weights = sum(parameter.numel() for parameter in self.parameters())
        return LaneStep(mlp, n_weights, n_room=2 * max(sizes), numbers=(len(self.layers), *sizes))

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return every weight as a synapse."""
        synapses = []
        for index, (before, after) in enumerate(itertools.pairwise(self.groups.values())):
            group = f"layers.{index}.weight"
            for post, row in zip(self.neurons[after], self.get_parameter(group).tolist(), strict=True):
                pairs = zip(self.neurons[before], row, strict=True)
                synapses += [Synapse(pre.name, post.name, weight, group) for pre, weight in pairs]
        return Wiring(self.neurons, tuple(synapses))
