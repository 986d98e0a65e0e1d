"""What LTC and CfC share: the wiring of a neural circuit policy, by the authors' library `ncps`.

Lechner et al., Nature Machine Intelligence 2020.
"""

from __future__ import annotations

import contextlib
import itertools
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import cast

import torch
from jaxtyping import Float
from ncps.wirings import AutoNCP
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..contract import Neuron, Pins, Role, State, Synapse, Wiring, step_length
from ..neurons import neuron_row, sensor_neurons
from ..recurrent import RecurrentCircuit, synapses
from ..weights import check_size


class NCPCircuit(RecurrentCircuit):
    """What both circuits share: AutoNCP's sensory, inter, command and motor neurons, and one state `h`.

    The group `units` is made of `inter_neurons`, `command_neurons` and `motor_neurons`, groups too.
    """

    memory = "recurrent"
    step_length: float  # of a control step, in those of dt_ref
    _wiring: AutoNCP
    order: list[int]  # the wiring's number of each neuron of the state

    def _wire(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        units: int,
        sparsity: float,
        dt: float | None,
        dt_ref: float | None,
        rng: torch.Generator | None,
    ) -> None:
        """Draw the wiring and name the neurons; call after nn.Module's __init__."""
        if units < n_motors + 3:
            raise CircuitMismatch(f"units is {units} with {n_motors} motor neurons; give {n_motors + 3} or more")
        check_size("units", units**2)
        if not 0.1 <= sparsity <= 0.9:
            raise CircuitMismatch(f"sparsity is {sparsity}; give 0.1 (dense) to 0.9")
        self.senses, self.n_motors, self.n_features = tuple(senses.items()), n_motors, units
        self.step_length = step_length(dt, dt_ref)
        self._wiring = AutoNCP(units, n_motors, sparsity, seed=_seed(rng))
        self._wiring.build(self.n_sensors)

    def _name(self, order: list[int]) -> None:
        """Name the neurons, the state's in this order of the wiring's numbers."""
        self.order = order
        roles = {self._wiring.get_type_of_neuron(i) for i in order}
        counts = dict.fromkeys(roles, 0)
        named = sensor_neurons(self.senses)
        for number in order:
            kind = self._wiring.get_type_of_neuron(number)
            place = counts[kind] / max(self.n_motors - 1, 1) if kind == "motor" else None
            role = cast(Role, "motor" if kind == "motor" else "inter")
            named.append(Neuron(f"{kind}_{counts[kind]}", role, place))
            counts[kind] += 1
        # What reaches the body is a motor neuron's value, scaled: a neuron of its own in a diagram.
        named += neuron_row("output", "motor", self.n_motors)
        self.neurons = tuple(named)
        kinds = [self._wiring.get_type_of_neuron(number) for number in order]
        places = itertools.groupby(range(len(order)), kinds.__getitem__)
        parts = {f"{kind}_neurons": [self.n_sensors + place for place in row] for kind, row in places}
        self.groups = {**self.groups, **{name: slice(row[0], row[-1] + 1) for name, row in parts.items()}}
        self.readout = _MotorNeurons(order.index(0), self.n_motors)
        self.start = nn.Parameter(torch.zeros(self.n_features))

    def initial_state(self, batch_size: int) -> State:
        """Return the state that an episode starts with, [batch, units]."""
        return {"h": self.start.expand(batch_size, -1)}

    def pinned_step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step with sensors as they are after `pins`; neurons are pinned inside the step."""
        return self.step_features(self.pinned(sensors, "sensors", pins), state, pins)

    @abstractmethod
    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step up to the units, with them as they are after `pins`."""

    def _graph(self, into: Float[Tensor, "units sensors"], between: Float[Tensor, "units units"]) -> Wiring:
        names = [neuron.name for neuron in self.neurons]
        sensors, units, driving, outputs = (
            names[self.groups[group]] for group in ("sensors", "units", "motor_neurons", "motors")
        )
        scaled = zip(driving, outputs, self.readout.get_parameter("weight").tolist(), strict=True)
        return Wiring(
            self.neurons,
            (
                *synapses(sensors, units, into, "input"),
                *synapses(units, units, between, "recurrent"),
                *(Synapse(pre, post, weight, "readout") for pre, post, weight in scaled),
            ),
        )


class _MotorNeurons(nn.Module):
    """The motor neurons' values, each with a gain and an offset."""

    def __init__(self, first: int, n_motors: int) -> None:
        super().__init__()
        self.first = first
        self.weight, self.bias = nn.Parameter(torch.ones(n_motors)), nn.Parameter(torch.zeros(n_motors))

    def forward(self, features: Float[Tensor, "*batch units"]) -> Float[Tensor, "*batch motors"]:
        return features[..., self.first : self.first + len(self.weight)] * self.weight + self.bias


def as_buffer(module: nn.Module, name: str) -> None:
    """Make a fixed mask a buffer: as a parameter it would be perturbed by an evolution strategy."""
    mask = module._parameters.pop(name)
    assert mask is not None
    module.register_buffer(name, mask.detach())


def _seed(rng: torch.Generator | None) -> int:
    return int(torch.randint(2**31, (), generator=rng))


@contextlib.contextmanager
def drawing_from(rng: torch.Generator | None) -> Iterator[None]:
    """Seed the global generator, which the library draws weights from, and put it back after."""
    seed = _seed(rng)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
