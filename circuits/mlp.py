"""The multilayer perceptron: the baseline without an architectural prior."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .contract import Neuron, Pins, State, Synapse, UnitAxes, Wiring, named_groups
from .lane_step import LaneStep, steps_as
from .layered import LayeredCircuit
from .neurons import neuron_row, sensor_neurons
from .quadratic import Quadratic
from .rewiring import Growth, Kind, Pruning, Rewiring
from .sparse import RewiringCircuit, Sparse, SparseLinear, ensemble_neurons
from .tanh import DifferentiatedTanh, tanh, tanh_layers
from .weights import check_size

_GAMMA = 0.01


class MLP(LayeredCircuit, RewiringCircuit):
    """A multilayer perceptron: tanh layers from all senses to the motors.

    With `ensembles`, connections are sparse and are rewired during training; `Rewiring` documents these options. With
    "body" ensembles, the units, the sensors and the motor of a joint form one ensemble; otherwise motors read all units
    of the last hidden layer.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        hidden: number of units of each hidden layer.
        neuron: input of the hidden units' tanh: "linear", a weighted sum; "quadratic", with gates and squares, which
            has three times the weights; or "compact", with squares alone, which has twice the weights. See `Quadratic`.
        gamma: learning-rate factor of quadratic weights; 0 keeps them at 0.
        ensembles, n_ensembles, p_intra, p_inter: initial sparse connectivity; see `Rewiring`.
        rewire_every, rewire_share, prune, grow: rewiring during training; see `Rewiring`.
        rng: random generator for the initial weights, which are orthogonal with gain sqrt 2, and 0.01 at the motors,
            as in SB3.

    Raises:
        CircuitMismatch: an option is out of range, or has no effect with the other options.
    """

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        hidden: Sequence[int] = (64, 64),
        neuron: Literal["linear", "quadratic", "compact"] = "linear",
        gamma: float = _GAMMA,
        ensembles: Kind | None = None,
        n_ensembles: int | None = None,
        p_intra: float = 1.0,
        p_inter: float = 0.15,
        rewire_every: int = 10,
        rewire_share: float = 0.1,
        prune: Pruning = "set",
        grow: Growth = "hebb",
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        rewiring = Rewiring(ensembles, n_ensembles, p_intra, p_inter, rewire_every, rewire_share, prune, grow)
        rewiring.check(n_motors)
        _check(hidden, neuron, gamma, rewiring)
        self.senses, self.n_motors, self.neuron = tuple(senses.items()), n_motors, neuron
        sizes = [self.n_sensors, *hidden, n_motors]
        check_size("hidden", sum(one * other for one, other in itertools.pairwise(sizes)))
        self.layers = nn.ModuleList()
        for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
            is_last = index == len(hidden)
            if neuron != "linear" and not is_last:
                layer: nn.Linear = Quadratic(inputs, outputs, neuron == "compact", learned=gamma > 0)
            elif ensembles == "body" or (ensembles and not is_last):
                layer = SparseLinear(inputs, outputs)
            else:
                layer = nn.Linear(inputs, outputs)
            nn.init.orthogonal_(layer.weight, 0.01 if is_last else math.sqrt(2), generator=rng)
            nn.init.zeros_(layer.bias)
            self.layers.append(layer)
        if neuron != "linear" and gamma:
            quadratic = [name for name, _ in self.named_parameters() if not name.endswith((".weight", ".bias"))]
            self.rates = dict.fromkeys(quadratic, gamma)
        self._rewire_by(rewiring, rng)
        units = [[Neuron(f"hidden_{layer}_{i}", "inter") for i in range(size)] for layer, size in enumerate(hidden)]
        if ensembles:
            members = [rewiring.of_sensors(self.senses, n_motors, rng)]
            members += [rewiring.of_units(size, n_motors, rng) for size in hidden]
            if ensembles == "body":
                units = [ensemble_neurons(f"hidden_{layer}_ensemble", of) for layer, of in enumerate(members[1:])]
                members.append(torch.eye(n_motors).bool())
            sparse = (layer for layer in self.layers if isinstance(layer, SparseLinear))
            for number, (layer, (pre, post)) in enumerate(zip(sparse, itertools.pairwise(members), strict=True)):
                layer.keep(rewiring.draw(post, pre, rng, number))
        self.neurons, self.groups = named_groups(
            {
                "sensors": sensor_neurons(self.senses),
                **{f"hidden_{layer}": each for layer, each in enumerate(units)},
                "motors": neuron_row("motor", "motor", n_motors),
            }
        )

    def sparse(self) -> Mapping[str, Sparse]:
        """Return the sparse layers' weights, by parameter."""
        groups = itertools.pairwise(self.groups.values())
        return {
            f"layers.{index}.weight": Sparse(layer.weight, layer.mask, torch.ones_like(layer.mask), pre, post)
            for index, (layer, (pre, post)) in enumerate(zip(self.layers, groups, strict=True))
            if isinstance(layer, SparseLinear)
        }

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run the circuit over a whole sequence at once, as it has no state."""
        if steps_as(self, MLP) and isinstance(self.layers[0].weight, nn.Parameter):
            if self.neuron == "linear":
                return tanh_layers(sensors, self._acting()), state
            x = sensors.flatten(0, 1)
            for layer in self.layers[:-1]:
                x = DifferentiatedTanh.apply(layer(x))
            return self.layers[-1](x).unflatten(0, sensors.shape[:2]), state
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
        """Which axes of the weights index the units of each hidden layer."""
        axes: dict[str, tuple[str, ...]] = {}
        for index, (before, after) in enumerate(itertools.pairwise(self.groups)):
            axes |= {f"layers.{index}.weight": (after, before), f"layers.{index}.bias": (after,)}
        return UnitAxes(axes, "layers.0.bias", odd=0)

    def lane_step(self) -> LaneStep | None:
        """Return the vectorised step; None with quadratic neurons."""
        if self.neuron != "linear":
            return None
        from .mlp_lanes import mlp

        sizes = [self.n_sensors, *(len(self.get_parameter(f"layers.{i}.bias")) for i in range(len(self.layers)))]
        n_weights = sum(parameter.numel() for parameter in self.parameters())
        return LaneStep(mlp, n_weights, n_room=2 * max(sizes), numbers=(len(self.layers), *sizes))

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return every existing weight as a synapse."""
        synapses = []
        for index, (before, after) in enumerate(itertools.pairwise(self.groups.values())):
            layer = self.layers[index]
            for group, weight in layer.state_dict().items():
                if weight.dim() != 2 or group == "mask":
                    continue
                there = layer.mask if isinstance(layer, SparseLinear) else (weight != 0) | (group == "weight")
                synapses += [
                    Synapse(pre.name, post.name, value, f"layers.{index}.{group}")
                    for post, row, kept in zip(self.neurons[after], weight.tolist(), there.tolist(), strict=True)
                    for pre, value, is_there in zip(self.neurons[before], row, kept, strict=True)
                    if is_there
                ]
        return Wiring(self.neurons, tuple(synapses))

    def _acting(self) -> list[Tensor]:
        """Return the weights of linear layers as they act, and their biases."""
        return [
            tensor  # type: ignore[misc]
            for layer in self.layers
            for tensor in (layer.acting() if isinstance(layer, SparseLinear) else layer.weight, layer.bias)
        ]


def _check(hidden: Sequence[int], neuron: str, gamma: float, rewiring: Rewiring) -> None:
    if any(not isinstance(units, int) or units < 1 for units in hidden):
        raise CircuitMismatch(f"hidden is {tuple(hidden)}; give numbers of units, such as (64, 64)")
    if neuron not in ("linear", "quadratic", "compact"):
        raise CircuitMismatch(f"neuron is {neuron!r}; give 'linear', 'quadratic' or 'compact'")
    if not 0 <= gamma < math.inf:
        raise CircuitMismatch(f"gamma is {gamma}; give 0 or more, such as {_GAMMA}")
    if neuron == "linear" and gamma != _GAMMA:
        raise CircuitMismatch(f"gamma is {gamma}, and neurons are linear; give neuron='quadratic'")
    if neuron != "linear" and rewiring.ensembles:
        raise CircuitMismatch(f"neuron is {neuron!r}, and ensembles are of linear neurons; give one of them")
    if not hidden and (neuron != "linear" or rewiring.ensembles):
        raise CircuitMismatch(
            "there are no hidden units to be quadratic or in ensembles; give hidden, such as (64, 64)"
        )
