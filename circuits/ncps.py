"""Liquid time-constant and closed-form continuous networks, wired as neural circuit policies.

The cells and the AutoNCP wiring are those of the authors' library, `ncps`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from jaxtyping import Float
from ncps.torch import LTCCell, WiredCfCCell
from ncps.wirings import AutoNCP
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .circuit import Neuron, Role, State, Synapse, Wiring
from .recurrent import RecurrentCircuit, synapses


class _NCP(RecurrentCircuit):
    """What both circuits share: AutoNCP's sensory, inter, command and motor neurons, and one state `h`."""

    _wiring: AutoNCP
    _motors: slice  # the motor neurons' places in the state
    order: list[int]  # the wiring's number of each neuron of the state

    def _wire(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        units: int,
        sparsity: float,
        rng: torch.Generator | None,
    ) -> None:
        """Draw the wiring and name the neurons; call after nn.Module's __init__."""
        if units < n_motors + 3:
            raise CircuitMismatch(f"units is {units} with {n_motors} motor neurons; give {n_motors + 3} or more")
        if not 0.1 <= sparsity <= 0.9:
            raise CircuitMismatch(f"sparsity is {sparsity}; give 0.1 (dense) to 0.9")
        self.senses, self.n_motors, self.n_features = tuple(senses.items()), n_motors, units
        self._wiring = AutoNCP(units, n_motors, sparsity, seed=_seed(rng))
        self._wiring.build(self.n_sensors)

    def _name(self, order: list[int]) -> None:
        """Name the neurons, the state's in this order of the wiring's numbers."""
        self.order = order
        roles = {self._wiring.get_type_of_neuron(i) for i in order}
        counts = dict.fromkeys(roles, 0)
        named = [Neuron(f"{sense}_{i}", "sensor") for sense, size in self.senses for i in range(size)]
        for number in order:
            kind = self._wiring.get_type_of_neuron(number)
            place = counts[kind] / max(self.n_motors - 1, 1) if kind == "motor" else None
            role = cast(Role, "motor" if kind == "motor" else "inter")
            named.append(Neuron(f"{kind}_{counts[kind]}", role, place))
            counts[kind] += 1
        # What reaches the body is a motor neuron's value, scaled: a neuron of its own in a diagram.
        named += [Neuron(f"output_{i}", "motor", i / max(self.n_motors - 1, 1)) for i in range(self.n_motors)]
        self.neurons = tuple(named)
        self.readout = _MotorNeurons(order.index(0), self.n_motors)
        self.start = nn.Parameter(torch.zeros(self.n_features))

    def initial_state(self, batch_size: int) -> State:
        """Return the state that an episode starts with, [batch, units]."""
        return {"h": self.start.expand(batch_size, -1)}

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return sensors, the wiring's neurons and the outputs."""
        features, state = self.step_features(sensors, state)
        motor = self.readout(features)
        return motor, state, torch.cat((sensors, features, motor), -1)

    def _graph(self, into: Float[Tensor, "units sensors"], between: Float[Tensor, "units units"]) -> Wiring:
        names = [neuron.name for neuron in self.neurons]
        sensors, outputs = names[: self.n_sensors], names[-self.n_motors :]
        units = names[self.n_sensors : -self.n_motors]
        readout = cast(_MotorNeurons, self.readout)
        driving = units[readout.first : readout.first + self.n_motors]
        scaled = zip(driving, outputs, readout.weight.tolist(), strict=True)
        return Wiring(
            self.neurons,
            (
                *synapses(sensors, units, into, "input"),
                *synapses(units, units, between, "recurrent"),
                *(Synapse(pre, post, weight, "readout") for pre, post, weight in scaled),
            ),
        )


class LTC(_NCP):
    """Liquid time-constant network (Hasani et al., AAAI 2021), through `ncps.torch.LTCCell`.

    A control step is 6 implicit steps over every synapse, which makes it about 20 times as slow as a
    GRU: keep it small and batch it well. The state `h` holds the membrane potentials. Reversal
    potentials, and so the signs of synapses, are learned.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands, one motor neuron each.
        units: inter, command and motor neurons together.
        sparsity: of AutoNCP's wiring, from 0.1 (dense) to 0.9.
        rng: where wiring and initial weights come from.

    Source: Lechner et al., Nature Machine Intelligence 2020, for the wiring.
    """

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 32,
        sparsity: float = 0.5,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self._wire(senses, n_motors, units, sparsity, rng)
        with _drawing_from(rng):
            # Softplus keeps conductances positive by construction; the library's other way is to clip
            # them after every optimiser step, which an evolution strategy's members would miss.
            self.cell = _LTCCell(self._wiring, output_mapping=None, implicit_param_constraints=True)
        for mask in ("sparsity_mask", "sensory_sparsity_mask"):
            _as_buffer(self.cell, mask)
        # The library's motor neurons are its first.
        self._name(list(range(units)))

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step; its duration is the library's unit of time."""
        _, h = self.cell(sensors, state["h"])
        return h, {"h": h}

    def wiring(self) -> Wiring:
        """Return each synapse with its conductance, signed by its reversal potential."""
        cell = self.cell
        into = nn.functional.softplus(cell.sensory_w) * cell.sensory_erev.sign() * cell.sensory_sparsity_mask
        between = nn.functional.softplus(cell.w) * cell.erev.sign() * cell.sparsity_mask
        return self._graph(into.t(), between.t())


class CfC(_NCP):
    """Closed-form continuous-time network (Hasani et al., Nature Machine Intelligence 2022), wired.

    The library's wired cell is three layers, inter, command and motor: each hears the layer before and,
    fully, itself. It takes from AutoNCP which synapses between layers exist, but not their signs and
    not the wiring's recurrence among command neurons; the diagram shows what is computed. The state
    `h` holds inter, command and motor neurons in this order.

    Args:
        senses, n_motors, units, sparsity, rng: as in `LTC`.
    """

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 32,
        sparsity: float = 0.5,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self._wire(senses, n_motors, units, sparsity, rng)
        with _drawing_from(rng):
            self.cell = WiredCfCCell(None, self._wiring)
        for layer in self._layers():
            _as_buffer(layer, "sparsity_mask")
        layers = range(self._wiring.num_layers)
        self._name([number for layer in layers for number in self._wiring.get_neurons_of_layer(layer)])

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step; its duration is the library's unit of time."""
        _, h = self.cell(sensors, state["h"], 1.0)
        return h, {"h": h}

    def wiring(self) -> Wiring:
        """Return the weights of each neuron's first branch (`ff1`), where the mask lets them through."""
        into = self.start.new_zeros(self.n_features, self.n_sensors)
        between = self.start.new_zeros(self.n_features, self.n_features)
        begin, heard = 0, 0
        for index, layer in enumerate(self._layers()):
            weight = layer.ff1.weight.detach() * layer.sparsity_mask
            end = begin + layer.hidden_size
            if index == 0:
                into[begin:end] = weight[:, : self.n_sensors]
            else:
                between[begin:end, heard:begin] = weight[:, : begin - heard]
            between[begin:end, begin:end] = weight[:, -layer.hidden_size :]
            begin, heard = end, begin
        return self._graph(into, between)

    def _layers(self) -> list[Any]:
        return [getattr(self.cell, f"layer_{index}") for index in range(self._wiring.num_layers)]


class _LTCCell(LTCCell):
    """The library's cell, reading its parameters where `functional_call` puts them.

    The library keeps references to them in a dict, past which replaced parameters would not be seen.
    """

    @property
    def _params(self) -> _Attributes:
        return _Attributes(self)

    @_params.setter
    def _params(self, _: Any) -> None:
        """Take no dict: `add_weight` has registered each parameter already."""


class _Attributes:
    """A module's parameters and buffers, looked up by name at each use."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def __getitem__(self, name: str) -> Tensor:
        return cast(Tensor, getattr(self._module, name))

    def __setitem__(self, name: str, value: Tensor) -> None:
        """Leave it where it is registered."""


class _MotorNeurons(nn.Module):
    """The motor neurons' values, each with a gain and an offset."""

    def __init__(self, first: int, n_motors: int) -> None:
        super().__init__()
        self.first = first
        self.weight, self.bias = nn.Parameter(torch.ones(n_motors)), nn.Parameter(torch.zeros(n_motors))

    def forward(self, features: Float[Tensor, "*batch units"]) -> Float[Tensor, "*batch motors"]:
        return features[..., self.first : self.first + len(self.weight)] * self.weight + self.bias


def _as_buffer(module: nn.Module, name: str) -> None:
    """Make a fixed mask a buffer: as a parameter it would be perturbed by an evolution strategy."""
    mask = module._parameters.pop(name)
    assert mask is not None
    module.register_buffer(name, mask.detach())


def _seed(rng: torch.Generator | None) -> int:
    return int(torch.randint(2**31, (), generator=rng))


@contextlib.contextmanager
def _drawing_from(rng: torch.Generator | None) -> Iterator[None]:
    """Seed the global generator, which the library draws weights from, and put it back after."""
    seed = _seed(rng)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
