"""The multilayer perceptron: the baseline without a prior."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .contract import Circuit, Neuron, State, Synapse, Wiring


class MLP(Circuit):
    """Hidden layers of tanh units between everything that is sensed and the motors.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        hidden: units of each hidden layer.
        rng: where the initial weights come from: orthogonal with gain sqrt 2, and 0.01 at the motors,
            as in SB3.
    """

    can_be_pinned = True

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
        layers = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(sizes)]
        for layer in layers:
            gain = 0.01 if layer is layers[-1] else math.sqrt(2)
            nn.init.orthogonal_(layer.weight, gain, generator=rng)
            nn.init.zeros_(layer.bias)
        self.layers = nn.ModuleList(layers)
        names = [[f"{sense}_{i}" for sense, size in self.senses for i in range(size)]]
        names += [[f"hidden_{layer}_{i}" for i in range(units)] for layer, units in enumerate(hidden)]
        names += [[f"motor_{i}" for i in range(n_motors)]]
        self._names = names
        self.neurons = (
            *(Neuron(name, "sensor") for name in names[0]),
            *(Neuron(name, "inter") for layer in names[1:-1] for name in layer),
            *(Neuron(name, "motor", i / max(n_motors - 1, 1)) for i, name in enumerate(names[-1])),
        )

    def initial_state(self, batch_size: int) -> State:  # noqa: ARG002
        """Return nothing: an MLP has no state."""
        return {}

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step."""
        return self._values(sensors)[-1], state

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return sensors, hidden units, each in [-1, 1], and motors."""
        values = self._values(sensors)
        return values[-1], state, torch.cat(values, -1)

    def _values(self, sensors: Float[Tensor, "batch sensors"]) -> list[Float[Tensor, "batch units"]]:
        """Return sensors, hidden layers and motors."""
        values, first = [self.pinned(sensors, 0)], self.n_sensors
        for layer in self.layers:
            heard = layer(values[-1])
            values.append(self.pinned(heard if layer is self.layers[-1] else torch.tanh(heard), first))
            first += values[-1].shape[-1]
        return values

    def wiring(self) -> Wiring:
        """Return every weight as a synapse."""
        synapses = []
        for index, (before, after) in enumerate(itertools.pairwise(self._names)):
            group = f"layers.{index}.weight"
            for post, row in zip(after, self.get_parameter(group).tolist(), strict=True):
                synapses += [Synapse(pre, post, weight, group) for pre, weight in zip(before, row, strict=True)]
        return Wiring(self.neurons, tuple(synapses))
