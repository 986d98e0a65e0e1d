"""The base of recurrent circuits: recurrent features, and a linear readout to the motors."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from ..options import up_to
from .contract import Circuit, Neuron, Pins, State, Synapse, Wiring
from .neurons import neuron_row, sensor_neurons
from .weights import check_size

# Of a linear readout of units; see `UnitAxes`.
READOUT_AXES = {"readout.weight": ("motors", "units"), "readout.bias": ("motors",)}


class RecurrentCircuit(Circuit):
    """A recurrent circuit whose motors are a linear readout of its features.

    A subclass implements `step_features`, `initial_state` and `wiring`, and sets `readout`; it may implement a faster
    `unroll_features`. If its features are not its neurons, it also implements `forward_with_activity` and
    `pinned_step`. A critic can read the features, so that value and policy share one circuit. The neurons are the
    groups `sensors`, `units` and `motors`, in this order.

    Attributes:
        n_features: number of features.
        readout: module from features to motor commands.
    """

    n_features: int
    readout: nn.Module

    @functools.cached_property
    def groups(self) -> Mapping[str, slice]:  # type: ignore[override]
        """The slices of `sensors`, `units` and `motors`."""
        first, end = self.n_sensors, len(self.neurons) - self.n_motors
        return {"sensors": slice(first), "units": slice(first, end), "motors": slice(end, len(self.neurons))}

    @abstractmethod
    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step, and return the features before the readout."""

    def unroll_features(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch features"], State]:
        """Run a sequence, and return the features; the state is reset where an episode starts, see `Circuit.unroll`."""
        features = []
        for row, start in zip(sensors, episode_start, strict=True):
            now, state = self.step_features(row, self.reset_state(state, start))
            features.append(now)
        return torch.stack(features), state

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step."""
        features, state = self.features_at(sensors, state, pins)
        return self.read_out(features, pins), state

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step; the activity is sensors, features and motors."""
        features, state = self.features_at(sensors, state, pins)
        motor = self.read_out(features, pins)
        return motor, state, torch.cat((self.pinned(sensors, "sensors", pins), features, motor), -1)

    def pinned_step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step with interventions on sensors and features, including the features in the state."""
        features, after = self.step_features(self.pinned(sensors, "sensors", pins), state)
        values = self.pinned(features, "units", pins)
        return values, {key: values if value is features else value for key, value in after.items()}

    def features_at(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step, and return the features, with interventions if there are any."""
        return self.step_features(sensors, state) if pins is None else self.pinned_step(sensors, state, pins)

    def read_out(
        self, features: Float[Tensor, "batch features"], pins: Pins | None = None
    ) -> Float[Tensor, "batch motors"]:
        """Return the motor commands, in units of the motor's range, after interventions."""
        return self.pinned(self.readout(features), "motors", pins)

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run a sequence; see `Circuit.unroll`."""
        features, state = self.unroll_features(sensors, state, episode_start)
        return self.readout(features), state


class UnitCircuit(RecurrentCircuit):
    """A recurrent circuit of fully connected units, which all receive the senses and project to the readout.

    A subclass implements `drawn_weights`, `initial_state` and `step_features`; the features are the units' values.
    """

    def _build(self, senses: Mapping[str, int], n_motors: int, units: int, rng: torch.Generator | None) -> None:
        """Name the units and make the readout; call after nn.Module's __init__."""
        if units < 1:
            raise CircuitMismatch(f"units is {units}; give 1 or more")
        check_size("units", units**2)
        self.senses, self.n_motors, self.n_features = tuple(senses.items()), n_motors, units
        self.neurons = name_neurons(self.senses, units, n_motors)
        self.readout = motor_readout(units, n_motors, rng)

    def drawn_delays(self) -> Float[Tensor, "units units"] | None:
        """Return the delays of recurrent synapses for diagrams, in control steps; None without delays."""
        return None

    @abstractmethod
    def drawn_weights(self) -> tuple[Float[Tensor, "units sensors"], Float[Tensor, "units units"]]:
        """Return the weights for diagrams: from sensors to units, and from units to units."""

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return the weights of `drawn_weights`, and those of the readout, as synapses."""
        names = [neuron.name for neuron in self.neurons]
        sensors, units, motors = (names[self.groups[group]] for group in ("sensors", "units", "motors"))
        into, between = self.drawn_weights()
        delays = self.drawn_delays()
        return Wiring(
            self.neurons,
            (
                *synapses(sensors, units, into, "input"),
                *synapses(units, units, between, "recurrent", None if delays is None else delays.tolist()),
                *synapses(units, motors, self.readout.get_parameter("weight"), "readout"),
            ),
        )


def name_neurons(senses: Sequence[tuple[str, int]], units: int, n_motors: int) -> tuple[Neuron, ...]:
    """Return sensors by their sense, units by number, and motors from head to tail."""
    return (
        *sensor_neurons(senses),
        *(Neuron(f"unit_{i}", "inter") for i in range(units)),
        *neuron_row("motor", "motor", n_motors),
    )


def motor_readout(
    n_features: int, n_motors: int, rng: torch.Generator | None, kind: type[nn.Linear] = nn.Linear
) -> nn.Linear:
    """Return a linear readout, of a kind of linear layer, that starts near zero, as SB3's action layers do."""
    readout = kind(n_features, n_motors)
    nn.init.orthogonal_(readout.weight, 0.01, generator=rng)
    nn.init.zeros_(readout.bias)
    return readout


def synapses(
    pre: Sequence[str],
    post: Sequence[str],
    weights: Float[Tensor, "post pre"],
    group: str,
    delays: Sequence[Sequence[float]] | None = None,
) -> Iterator[Synapse]:
    """Return the synapses of a weight matrix, without those that are zero; `delays` are in control steps."""
    for i, (after, row) in enumerate(zip(post, weights.tolist(), strict=True)):
        for j, (before, weight) in enumerate(zip(pre, row, strict=True)):
            if weight:
                yield Synapse(before, after, weight, group, None if delays is None else delays[i][j])


def hold(module: nn.Module, name: str, value: Tensor, learned: bool) -> None:
    """Register a parameter, or a buffer, which no learner moves (an evolution strategy moves every parameter)."""
    if learned:
        module.register_parameter(name, nn.Parameter(value))
    else:
        module.register_buffer(name, value)


def uniform(shape: Sequence[int], fan_in: int, rng: torch.Generator | None) -> nn.Parameter:
    """Return weights uniform within 1 / sqrt(fan_in), as torch draws them for its layers."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound, generator=rng))


def with_rank(weight: Float[Tensor, "n m"], rank: int | None) -> Float[Tensor, "n m"]:
    """Return the weight truncated to its largest `rank` singular values, at its old Frobenius norm and in its unit.

    The knob for rich or lazy learning: initial weights of high rank change less (Liu et al. 2023,
    https://arxiv.org/abs/2310.08513). None keeps the weight as it is.

    Raises:
        CircuitMismatch: the rank is not between 1 and the weight's smaller side.
    """
    if rank is None:
        return weight
    if not 1 <= rank <= min(weight.shape):
        raise CircuitMismatch(f"rank is {rank}; give {up_to(min(weight.shape))}, or none for full rank")
    left, singular, right = torch.linalg.svd(weight.detach(), full_matrices=False)
    kept = (left[:, :rank] * singular[:rank]) @ right[:rank]
    scaled: Tensor = kept * (weight.detach().norm() / kept.norm())
    return scaled
