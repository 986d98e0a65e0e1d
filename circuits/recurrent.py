"""What circuits with memory share: features that carry it, and a linear readout to the motors."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from ..options import up_to
from .contract import Circuit, Neuron, Pins, State, Synapse, Wiring, check_size
from .neurons import neuron_row, sensor_neurons

# Of a linear readout of units; see `UnitAxes`.
READOUT_AXES = {"readout.weight": ("motors", "units"), "readout.bias": ("motors",)}


class RecurrentCircuit(Circuit):
    """A circuit with a memory whose motors are a linear readout of its features.

    A subclass writes `step_features`, `initial_state` and `wiring`, and sets `readout`; it may write a
    faster `unroll_features`. One whose features are not its neurons writes `forward_with_activity` and
    `pinned_step` too. A critic may read the features, which is how value and policy share one circuit.
    The neurons are the groups `sensors`, `units` and `motors`, in this order.

    Features have no unit, nor have the neurons that they are values of. Sensors and motors are as in `Circuit`.

    Attributes:
        n_features: size of the features.
        readout: from features to motor commands.
    """

    n_features: int
    readout: nn.Module

    @functools.cached_property
    def groups(self) -> Mapping[str, slice]:  # type: ignore[override]
        """The slices of `sensors`, `units` and `motors`, counted from 0."""
        first, end = self.n_sensors, len(self.neurons) - self.n_motors
        return {"sensors": slice(first), "units": slice(first, end), "motors": slice(end, len(self.neurons))}

    @abstractmethod
    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step up to the features."""

    def unroll_features(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch features"], State]:
        """Run a sequence up to the features, resetting where an episode starts; see `Circuit.unroll`."""
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
        """Run one control step and return sensors, features and motors, which are the neurons."""
        features, state = self.features_at(sensors, state, pins)
        motor = self.read_out(features, pins)
        return motor, state, torch.cat((self.pinned(sensors, "sensors", pins), features, motor), -1)

    def pinned_step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step with sensors and features as they are after `pins`, in the state too."""
        features, after = self.step_features(self.pinned(sensors, "sensors", pins), state)
        values = self.pinned(features, "units", pins)
        return values, {key: values if value is features else value for key, value in after.items()}

    def features_at(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step up to the features, pinned or not."""
        return self.step_features(sensors, state) if pins is None else self.pinned_step(sensors, state, pins)

    def read_out(
        self, features: Float[Tensor, "batch features"], pins: Pins | None = None
    ) -> Float[Tensor, "batch motors"]:
        """Return the motor commands, in units of the motor's range, as they are after `pins`."""
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
    """A recurrent circuit of fully connected units that all receive the senses and all reach the readout.

    A subclass gives `drawn_weights` and, as everywhere, `initial_state` and `step_features`, whose
    features are the units' values.
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
        """Return the delays that a diagram shows of synapses from units to units, in control steps; None without."""
        return None

    @abstractmethod
    def drawn_weights(self) -> tuple[Float[Tensor, "units sensors"], Float[Tensor, "units units"]]:
        """Return the weights that a diagram shows: from sensors and from units to units.

        The latter have no unit; the former turn a sensor's unit into none.
        """

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return every weight as a synapse; see `drawn_weights` for which."""
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
