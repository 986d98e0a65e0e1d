"""The contract of every circuit: named neurons, an explicit state, steps and sequences that agree."""

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

_FEW = 3  # weights that a message names
MOST_WEIGHTS = 2**23  # a square matrix of as many takes seconds to draw orthogonal


@dataclasses.dataclass(frozen=True)
class Facts:
    """Properties of a circuit class that are known before a circuit is built.

    Attributes:
        is_bounded: motor commands never leave [-1, 1], so that no learner needs to squash them.
        memory: "none" keeps no state, "clock" one that no weight moves and that the time could replace, "recurrent"
            one that learning needs gradients through.
        noise: how many values it senses as `noise`, drawn anew in every control step.
        is_scaled: it scales its senses itself, by constants, so that no learner normalises them.
    """

    is_bounded: bool
    memory: Memory
    noise: int = 0
    is_scaled: bool = False


@dataclasses.dataclass(frozen=True)
class Neuron:
    """One named unit of a circuit.

    Attributes:
        name: unique in its circuit, such as `B_d_3` or `muscle_v_0`.
        role: what the unit does.
        position: place along the body, 0 at the head and 1 at the tail; None where it has none.
        side: `d` dorsal, `v` ventral, or None.
        cell_class: the class of cells that it is one of, such as `AVB`; None where there are no classes.
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
        pre, post: names of the neurons.
        weight: as it acts now.
        group: names the parameter that it shares with others.
        delay: by how many control steps it transmits later than a synapse without a delay; None of one without.
    """

    pre: str
    post: str
    weight: float
    group: str | None = None
    delay: float | None = None


@dataclasses.dataclass(frozen=True)
class Wiring:
    """The signed, weighted, directed graph of a circuit, as it acts now (after sign constraints)."""

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

    Scale 0 and shift 0 silence a neuron, scale 0 clamps it to `shift`, scale 1 drives it by `shift`;
    everything downstream hears the new value.

    Attributes:
        scale: a factor for each neuron, no unit.
        shift: added to each neuron, in the unit of its value.
    """

    scale: Float[Tensor, "*batch neurons"]
    shift: Float[Tensor, "*batch neurons"]


@dataclasses.dataclass(frozen=True)
class UnitAxes:
    """Where hidden units stand in a circuit's weights, so that they can be cut out, matched, added or trained alone.

    Attributes:
        axes: for each tensor of the circuit's `state_dict`, the group of neurons along each of its axes. An axis that
            is a multiple of its group holds that many gates of each unit, gate after gate.
        input_bias: the tensor that is added where what is sensed is multiplied by weights.
        odd: the gate whose sign turns with the unit's: its function is odd, so that a unit with all its weights negated
            acts as before. None where the function is not odd, or a unit has tensors, such as a time constant, whose
            sign must stay.
    """

    axes: Mapping[str, tuple[str, ...]]
    input_bias: str
    odd: int | None = None


class Circuit(nn.Module, ABC):
    """A nervous system as a torch module: sensors and state in, motor commands and state out.

    A circuit never sees an environment. It names what it senses, in order, and whoever runs it hands
    over those columns: `joint_pos` in units of the joint limit, `time` in control steps since the
    episode began, `noise` standard normal, everything else as observed. Motor commands are in units of the
    motor's range, [-1, 1]. Parameters may be replaced by `torch.func.functional_call` and mapped over with
    `torch.vmap`, so `forward` must be a pure function of its parameters and arguments: it draws nothing, and
    keeps nothing in the module. One whose Python branches on values is run member by member in a population.

    What neurons are pinned to is an argument of single steps. `unroll`, by which learners learn, has none.

    Attributes:
        senses: (name, size) of each sense; the columns of `sensors`, in order.
        n_motors: the number of motor commands.
        neurons: every named unit, in the order of the columns of `activity`.
        groups: names of slices of `neurons`; they may overlap. `pinned` takes such a name.
        is_bounded: motor commands never leave [-1, 1], so that no learner needs to squash them.
        memory: see `Facts`; None leaves it to be found out, by building the circuit and asking it for its state.
        is_scaled: see `Facts`.
        spiking: the group of neurons that fire; empty where none do. Where there are several, write `firing` instead.
        rates: factors of the learner's step for parameters that learn slower or faster than the others, by name.
        restructures_every: after how many rollouts or generations learners call `restructure`; 0 for never.
        frozen: the parameters that `freeze` made buffers, by name.
        origin: a sentence about the nervous system that it is a model of, for model cards; empty where it is of none.
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
        """Return what a circuit of these options is, without building it; None where the class does not say.

        Args:
            options: all of the circuit's options, with their defaults.
        """
        return None if cls.memory is None else Facts(cls.is_bounded, cls.memory, is_scaled=cls.is_scaled)

    @property
    def n_sensors(self) -> int:
        """The number of sensor columns."""
        return sum(size for _, size in self.senses)

    @property
    def firing(self) -> tuple[Neuron, ...]:
        """The neurons that fire, in the order of the columns of `spikes`."""
        return self.neurons[self.groups[self.spiking]] if self.spiking else ()

    @property
    def is_recurrent(self) -> bool:
        """Whether learning needs gradients through the state, and so sequences instead of single steps."""
        return bool(self.initial_state(1)) if self.memory is None else self.memory == "recurrent"

    @property
    def pins(self) -> None:
        """Always None, for circuits written when pins were an attribute: they run with no neuron pinned."""
        return

    @pins.setter
    def pins(self, pins: Pins | None) -> None:
        if pins is not None:
            raise CircuitMismatch("pins are an argument of a step: give circuit(sensors, state, pins)")

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """Return the state at an episode's start, each tensor [batch_size, ...]; empty if stateless."""

    @abstractmethod
    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return the motor commands, the next state and every neuron's value.

        A sensor's value is in its own unit; a motor's in units of the motor's range. A circuit without the
        argument `pins` runs everywhere, but its neurons cannot be silenced, clamped or driven.
        """

    @abstractmethod
    def wiring(self, state: State | None = None) -> Wiring:
        """Return the graph that probes and diagrams draw, with the weights as they act now.

        Args:
            state: of one environment, [1, ...], for weights that change with it; None is an episode's start.
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

        Equal to calling the circuit once per row of `sensors`, with the state of environment b
        replaced by the initial state before step t where `episode_start[t, b]`.
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
        """Return the spikes in the control step from `state`: 0 or 1 for each of the neurons that fire.

        The step is divided evenly into substeps, of which there are as many each time. Recordings ask for them.

        Raises:
            CircuitMismatch: no neurons of this circuit fire.
        """
        raise CircuitMismatch(f"{type(self).__name__} has no neurons that fire")

    def lane_step(self) -> LaneStep | None:
        """Return the control step over vectors, by which whole episodes run in compiled code; None where there is none.

        Sizes and constants are the circuit's own as it is now; the weights are given with each episode.
        """
        return None

    def after_update(
        self, sensors: Float[Tensor, "time batch sensors"], activity: Float[Tensor, "time batch neurons"]
    ) -> None:
        """Change what a learner's update left: mask weights, or constrain them; by default nothing.

        Every learner calls it after each update, without gradients. A circuit that writes it changes its own
        parameters in place.

        Args:
            sensors: what was sensed in that update's data, each in its own unit.
            activity: every neuron's value in the same steps, in its own unit.
        """

    @property
    def changes_after_update(self) -> bool:
        """Whether `after_update` does anything; a learner gathers activity for it only then."""
        return type(self).after_update is not Circuit.after_update

    def restructure(
        self,
        sensors: Float[Tensor, "time batch sensors"],  # noqa: ARG002
        activity: Float[Tensor, "time batch neurons"],  # noqa: ARG002
    ) -> Mapping[str, Bool[Tensor, "*shape"]]:
        """Change the circuit's structure, such as which synapses it has; return which weights begin anew, by parameter.

        PPO calls it after the last update from a rollout, ES and CMA-ES after a generation, every
        `restructures_every` of them and without gradients: never between experience and an update that learns from
        it, as `after_update` is. The circuit changes its own parameters and buffers in place; what `active` returns
        must follow from its buffers. Learners forget what they know of weights that begin anew, such as moments.

        Args:
            sensors: what was sensed, each in its own unit: in the rollout, or in an episode of the generation's mean.
            activity: every neuron's value in the same steps, in its own unit.
        """
        return {}

    def active(self) -> Mapping[str, Bool[Tensor, "*shape"]]:
        """Return which weights act, by parameter; those of parameters that are not named all do.

        A search over weights leaves out those that do not act, which are 0 and have no gradient.
        """
        return {}

    @property
    def unit_axes(self) -> UnitAxes | None:
        """Where hidden units stand in the weights; None of a circuit that is not layers of alike units."""
        return None

    def pinned(
        self, values: Float[Tensor, "batch some"], group: str, pins: Pins | None = None
    ) -> Float[Tensor, "batch some"]:
        """Return the values of a group of neurons as they are after `pins`, in the same units."""
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
    """Return whether a circuit's neurons can be pinned: whether `forward` takes `pins`."""
    return not _steps_without_pins(circuit)


def check_pins(circuit: Circuit) -> None:
    """Raise where a circuit's neurons cannot be pinned.

    Raises:
        CircuitMismatch: its steps have no argument `pins`.
    """
    for name in _steps_without_pins(circuit):
        raise CircuitMismatch(
            f"the neurons of {type(circuit).__name__} cannot be reached; write "
            f"`{name}(self, sensors, state, pins=None)` and pass their values through "
            "`self.pinned(values, group, pins)` where they are computed (docs/migration.md)"
        )


def wiring_at(circuit: Circuit, state: State | None) -> Wiring:
    """Return a circuit's wiring at a state of one environment, or as it always is where it takes no state."""
    takes_state = "state" in inspect.signature(circuit.wiring).parameters
    return circuit.wiring(state) if takes_state else circuit.wiring()


def device_of(module: nn.Module) -> torch.device:
    """Return where a module's parameters and buffers are; the CPU where it has none."""
    held = next(module.parameters(), next(module.buffers(), None))
    return torch.device("cpu") if held is None else held.device


def step_length(dt: float | None, dt_ref: float | None) -> float:
    """Return dt / dt_ref, the control step in units of the step that constants refer to; 1 where either is None.

    Args:
        dt: seconds of a control step.
        dt_ref: seconds of the control step that constants stored in control steps belong to.

    Raises:
        CircuitMismatch: one of them is not above 0.
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


def check_size(option: str, n_weights: int) -> None:
    """Refuse a circuit of more weights than are drawn in seconds; a short file could ask for any number.

    Raises:
        CircuitMismatch: it has more than `MOST_WEIGHTS`.
    """
    if n_weights > MOST_WEIGHTS:
        raise CircuitMismatch(f"{option} makes {n_weights:,} weights; {MOST_WEIGHTS:,} are the most, so give less")


def load_weights(circuit: Circuit, weights: Mapping[str, Float[Tensor, "*shape"]]) -> None:
    """Copy weights into a circuit of the same kind, in the same units.

    Raises:
        CircuitMismatch: names or sizes differ; nothing is loaded.
    """
    own = circuit.state_dict()
    kind = type(circuit).__name__
    if own.keys() != weights.keys():
        differing = ", ".join(sorted(own.keys() ^ weights.keys()))
        raise CircuitMismatch(f"these weights are not of this {kind}: {differing} on one side only")
    unlike = [
        f"{name} {tuple(weights[name].shape)} there, {tuple(value.shape)} here"
        for name, value in own.items()
        if value.shape != weights[name].shape
    ]
    if unlike:
        more = f"; and {len(unlike) - _FEW} more" if len(unlike) > _FEW else ""
        raise CircuitMismatch(
            f"{kind} trained on another size: {'; '.join(unlike[:_FEW])}{more}; "
            "use a body of the same size, or a circuit that shares its weights along the body, such as ncap"
        )
    circuit.load_state_dict(dict(weights))
