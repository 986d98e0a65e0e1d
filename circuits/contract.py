"""The contract of every circuit: named neurons, an explicit state, and equal results for steps and sequences."""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .lane_step import LaneStep

# A circuit's memory: tensors by name, batch first.
State = dict[str, Shaped[Tensor, "batch ..."]]
Role = Literal["sensor", "inter", "motor", "oscillator", "muscle"]
Side = Literal["d", "v"]
Memory = Literal["none", "clock", "recurrent"]


@dataclasses.dataclass(frozen=True)
class Facts:
    """Properties of a circuit class that are known before a circuit is built.

    Attributes:
        is_bounded: whether motor commands are always within [-1, 1], so that learners need not squash them.
        memory: kind of state: "none"; "clock", a counter that no weight affects and that the sense `time` could
            replace; or "recurrent", which needs gradients through time.
        noise: number of values of the sense `noise`, drawn in every control step.
        is_scaled: whether it scales its senses itself, by constants, so that learners do not normalise them.
    """

    is_bounded: bool
    memory: Memory
    noise: int = 0
    is_scaled: bool = False


@dataclasses.dataclass(frozen=True)
class Neuron:
    """One named unit of a circuit.

    Attributes:
        name: unique name in its circuit, such as `B_d_3` or `muscle_v_0`.
        role: kind of unit, such as sensor, inter, motor or muscle.
        position: position along the body, 0 at the head and 1 at the tail; None if it has none.
        side: `d` dorsal, `v` ventral, or None.
        cell_class: class of cells, such as `AVB`; None without classes.
    """

    name: str
    role: Role
    position: float | None = None
    side: Side | None = None
    cell_class: str | None = None


@dataclasses.dataclass(frozen=True)
class Synapse:
    """One signed, weighted connection.

    Attributes:
        pre, post: names of the presynaptic and postsynaptic neuron.
        weight: current effective weight.
        group: name of the parameter that the synapse shares with others; None if it shares none.
        delay: additional transmission delay, control steps; None without.
    """

    pre: str
    post: str
    weight: float
    group: str | None = None
    delay: float | None = None


@dataclasses.dataclass(frozen=True)
class Wiring:
    """The signed, weighted, directed graph of a circuit, with effective weights (after sign constraints)."""

    neurons: tuple[Neuron, ...]
    synapses: tuple[Synapse, ...]

    def __post_init__(self) -> None:
        names = {neuron.name for neuron in self.neurons}
        if len(names) != len(self.neurons):
            raise CircuitMismatch("two neurons of a wiring have the same name; give each its own")
        for synapse in self.synapses:
            if missing := {synapse.pre, synapse.post} - names:
                raise CircuitMismatch(f"synapse {synapse.pre} -> {synapse.post}: no neuron {missing.pop()!r}")


@dataclasses.dataclass(frozen=True)
class Pins:
    """Interventions on neurons: each value v becomes `scale` v + `shift`.

    Scale 0 and shift 0 silence a neuron, scale 0 clamps it to `shift`, scale 1 adds `shift` as a drive. All downstream
    neurons receive the new value.

    Attributes:
        scale: factor of each neuron's value.
        shift: value added to each neuron, in the unit of its value.
    """

    scale: Float[Tensor, "*batch neurons"]
    shift: Float[Tensor, "*batch neurons"]


@dataclasses.dataclass(frozen=True)
class UnitAxes:
    """Which axes of a circuit's weights index its hidden units, so that units can be matched, added or trained alone.

    Attributes:
        axes: for each tensor of the circuit's `state_dict`, the group of neurons along each of its axes. If an axis is
            a multiple of its group's size, it contains that many gates per unit, one gate after another.
        input_bias: name of the bias tensor of the input weights.
        odd: index of the gate whose activation function is odd: negating that gate's weights and the unit's outgoing
            weights leaves the circuit unchanged. None if the function is not odd, or the unit has tensors whose sign
            must not change, such as a time constant.
    """

    axes: Mapping[str, tuple[str, ...]]
    input_bias: str
    odd: int | None = None


class Circuit(nn.Module, ABC):
    """A nervous system as a torch module: sensors and state in, motor commands and state out.

    A circuit never sees an environment. It names its senses, in order, and the caller passes their values as columns:
    `joint_pos` in units of the joint limit, `time` in control steps since the start of the episode, `noise` as standard
    normal values, everything else as observed. Motor commands are in units of the motor's range, [-1, 1].

    `forward` must be a pure function of parameters and arguments, without random draws or state in the module, because
    parameters may be replaced by `torch.func.functional_call` and batched by `torch.vmap`. Circuits whose Python code
    branches on values are run member by member in a population.

    Interventions (`pins`) are an argument of single steps only; `unroll`, used in training, has none.

    Attributes:
        senses: (name, size) of each sense, in the order of the columns of `sensors`.
        n_motors: number of motor commands.
        neurons: all named units, in the order of the columns of `activity`.
        groups: named slices of `neurons`, which may overlap; `pinned` takes such a name.
        is_bounded: see `Facts`.
        memory: see `Facts`; None derives it from the state of a built circuit.
        is_scaled: see `Facts`.
        spiking: name of the group of spiking neurons, whose spikes `spikes` returns; "" if there are none. Circuits
            with several such groups override `firing` instead.
        rates: learning-rate factors by parameter, for those that learn slower or faster than the others.
        restructures_every: number of rollouts or generations between calls of `restructure`; 0 for never.
        frozen: names of the parameters that `freeze` made buffers.
        origin: a sentence for model cards about the nervous system that is modelled; "" if there is none.
    """

    senses: tuple[tuple[str, int], ...]
    n_motors: int
    neurons: tuple[Neuron, ...]
    groups: Mapping[str, slice] = MappingProxyType({})
    is_bounded: bool = False
    memory: Memory | None = None
    is_scaled: bool = False
    spiking: str = ""
    rates: Mapping[str, float] = MappingProxyType({})
    restructures_every: int = 0
    frozen: tuple[str, ...] = ()
    origin: str = ""

    @classmethod
    def facts(cls, options: Mapping[str, Any]) -> Facts | None:  # noqa: ARG003
        """Return the properties of a circuit with these options, without building it; None if they are not declared.

        Args:
            options: all options of the circuit, including defaults.
        """
        return None if cls.memory is None else Facts(cls.is_bounded, cls.memory, is_scaled=cls.is_scaled)

    @property
    def n_sensors(self) -> int:
        """The number of sensor columns."""
        return sum(size for _, size in self.senses)

    @property
    def firing(self) -> tuple[Neuron, ...]:
        """The spiking neurons, in the order of the columns of `spikes`."""
        return self.neurons[self.groups[self.spiking]] if self.spiking else ()

    @property
    def is_recurrent(self) -> bool:
        """Whether training needs gradients through the state, and therefore sequences."""
        return bool(self.initial_state(1)) if self.memory is None else self.memory == "recurrent"

    @property
    def pins(self) -> None:
        """Always None; exists for circuits written when pins were an attribute."""
        return

    @pins.setter
    def pins(self, pins: Pins | None) -> None:
        if pins is not None:
            raise CircuitMismatch("pins are an argument of a step: give circuit(sensors, state, pins)")

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """Return the state at the start of an episode, each tensor [batch_size, ...]; empty if stateless."""

    @abstractmethod
    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return the motor commands, the next state and every neuron's value.

        Motors are in units of the motor's range. A circuit may omit the argument `pins`; then its neurons cannot be
        silenced, clamped or driven.
        """

    @abstractmethod
    def wiring(self, state: State | None = None) -> Wiring:
        """Return the circuit's graph with its effective weights, for probes and diagrams.

        Args:
            state: state of one environment, [1, ...], for weights that depend on it; None is the initial state.
        """

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step; return the motor commands, in units of the motor's range, and the next state."""
        motor, state, _ = self.forward_with_activity(sensors, state, *([] if pins is None else [pins]))
        return motor, state

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run the circuit over a sequence, resetting where an episode starts.

        Equal to calling the circuit once per time step, with the state of environment b reset to the initial state
        before step t where `episode_start[t, b]`.
        """
        motors = []
        for row, start in zip(sensors, episode_start, strict=True):
            motor, state = self(row, self.reset_state(state, start))
            motors.append(motor)
        return torch.stack(motors), state

    def spikes(
        self,
        sensors: Float[Tensor, "batch sensors"],  # noqa: ARG002
        state: State,  # noqa: ARG002
        pins: Pins | None = None,  # noqa: ARG002
    ) -> Float[Tensor, "batch substeps firing"]:
        """Return the spikes, 0 or 1, of the neurons `firing` in the control step that starts from `state`.

        The control step is divided into a fixed number of equal substeps.

        Raises:
            CircuitMismatch: the circuit has no spiking neurons.
        """
        raise CircuitMismatch(f"{type(self).__name__} has no neurons that fire")

    def lane_step(self) -> LaneStep | None:
        """Return the vectorised control step, with which whole episodes run in compiled code; None if there is none.

        Sizes and constants are the circuit's current ones; weights are passed with each episode.
        """
        return None

    def after_update(
        self, sensors: Float[Tensor, "time batch sensors"], activity: Float[Tensor, "time batch neurons"]
    ) -> None:
        """Constrain or mask the weights after an update; does nothing by default.

        Every learner calls it after each update, without gradients. An implementation changes the circuit's
        parameters in place.

        Args:
            sensors: sensor values of the update's data.
            activity: every neuron's value in the same steps.
        """

    @property
    def changes_after_update(self) -> bool:
        """Whether `after_update` does anything; learners collect activity for it only then."""
        return type(self).after_update is not Circuit.after_update

    def restructure(
        self,
        sensors: Float[Tensor, "time batch sensors"],  # noqa: ARG002
        activity: Float[Tensor, "time batch neurons"],  # noqa: ARG002
    ) -> Mapping[str, Bool[Tensor, "*shape"]]:
        """Change the circuit's structure, such as which synapses exist; return masks of the reinitialised weights.

        Learners call it without gradients every `restructures_every` rollouts (PPO, after the rollout's last update)
        or generations (ES and CMA-ES); unlike `after_update`, never between a rollout and an update that uses it. The
        circuit changes its parameters and buffers in place; `active` must depend only on buffers. Learners reset the
        optimiser's state, such as moments, of reinitialised weights.

        Args:
            sensors: sensor values, from the rollout or from an episode of the generation's mean.
            activity: every neuron's value in the same steps.

        Returns:
            A mask for each parameter with reinitialised weights, by name.
        """
        return {}

    def active(self) -> Mapping[str, Bool[Tensor, "*shape"]]:
        """Return masks of the existing weights, by parameter; parameters without a mask have all of them.

        Missing weights are 0 and have no gradient; population methods leave them out of their search.
        """
        return {}

    @property
    def unit_axes(self) -> UnitAxes | None:
        """Which axes of the weights index hidden units; None if the circuit does not consist of layers of similar
        units."""
        return None

    def pinned(
        self, values: Float[Tensor, "batch some"], group: str, pins: Pins | None = None
    ) -> Float[Tensor, "batch some"]:
        """Apply interventions to the values of a group of neurons."""
        if pins is None:
            return values
        some = self.groups[group]
        return values * pins.scale[..., some] + pins.shift[..., some]

    def reset_state(self, state: State, episode_start: Bool[Tensor, " batch"]) -> State:
        """Return `state` with the rows where an episode starts replaced by the initial state."""
        if not state:
            return state
        initial = self.initial_state(episode_start.shape[0])
        # where, not multiplication: NaN in the state of an episode that ended must not survive it.
        return {
            key: torch.where(episode_start.reshape(-1, *[1] * (value.dim() - 1)), initial[key], value)
            for key, value in state.items()
        }


def named_groups(groups: Mapping[str, Iterable[Neuron]]) -> tuple[tuple[Neuron, ...], dict[str, slice]]:
    """Return the neurons of all groups in one list, and each group's slice of it."""
    neurons: list[Neuron] = []
    slices = {}
    for name, members in groups.items():
        start = len(neurons)
        neurons += members
        slices[name] = slice(start, len(neurons))
    return tuple(neurons), slices


def takes_pins(circuit: Circuit) -> bool:
    """Return whether a circuit supports interventions: whether its `forward` takes `pins`."""
    return not _steps_without_pins(circuit)


def check_pins(circuit: Circuit) -> None:
    """Raise an error if a circuit does not support interventions.

    Raises:
        CircuitMismatch: the circuit's step has no argument `pins`.
    """
    for name in _steps_without_pins(circuit):
        raise CircuitMismatch(
            f"the neurons of {type(circuit).__name__} do not support interventions; write "
            f"`{name}(self, sensors, state, pins=None)` and pass their values through "
            "`self.pinned(values, group, pins)` where they are computed (docs/migration.md)"
        )


def wiring_at(circuit: Circuit, state: State | None) -> Wiring:
    """Return a circuit's wiring at a state of one environment, or as it always is where it takes no state."""
    takes_state = "state" in inspect.signature(circuit.wiring).parameters
    return circuit.wiring(state) if takes_state else circuit.wiring()


def step_length(dt: float | None, dt_ref: float | None) -> float:
    """Return dt / dt_ref, the control step relative to the reference step; 1 if either is None.

    Args:
        dt: seconds of a control step.
        dt_ref: seconds of the reference control step, the unit of time constants that are stored in control steps.

    Raises:
        CircuitMismatch: dt or dt_ref is not above 0.
    """
    for name, value in (("dt", dt), ("dt_ref", dt_ref)):
        if value is not None and not 0 < value < float("inf"):
            raise CircuitMismatch(f"{name} is {value} s; give a control step above 0, such as 0.03")
    return 1.0 if dt is None or dt_ref is None else dt / dt_ref


def _steps_without_pins(circuit: Circuit) -> list[str]:
    """Return the names of methods that run a step and have no argument `pins`."""
    steps = ("forward_with_activity", "forward", "pinned_step")
    held = [name for name in steps if hasattr(circuit, name)]
    return [name for name in held if "pins" not in inspect.signature(getattr(circuit, name)).parameters]
