"""The contract of every circuit: named neurons, an explicit state, steps and sequences that agree."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ..errors import CircuitMismatch

State = dict[str, Shaped[Tensor, "batch ..."]]
Role = Literal["sensor", "inter", "motor", "oscillator", "muscle"]
Side = Literal["d", "v"]
Memory = Literal["none", "clock", "recurrent"]


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a circuit is, known before an agent is built around it.

    Attributes:
        is_bounded: motor commands never leave [-1, 1], so that no learner needs to squash them.
        memory: "none" keeps no state, "clock" one that no weight moves and that the time could replace, "recurrent"
            one that learning needs gradients through.
    """

    is_bounded: bool
    memory: Memory


@dataclasses.dataclass(frozen=True)
class Neuron:
    """One named unit of a circuit.

    Attributes:
        name: unique in its circuit, such as `B_d_3` or `muscle_v_0`.
        role: what the unit does.
        position: place along the body, 0 at the head and 1 at the tail; None where it has none.
        side: `d` dorsal, `v` ventral, or None.
    """

    name: str
    role: Role
    position: float | None = None
    side: Side | None = None


@dataclasses.dataclass(frozen=True)
class Synapse:
    """One signed, weighted connection; `group` names the parameter it shares with others."""

    pre: str
    post: str
    weight: float
    group: str | None = None


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
    """What is done to neurons while a circuit runs: each value v becomes `scale` v + `shift`.

    Scale 0 and shift 0 silence a neuron, scale 0 clamps it to `shift`, scale 1 drives it by `shift`;
    everything downstream hears the new value.

    Attributes:
        scale: a factor for each neuron, no unit.
        shift: added to each neuron, in the unit of its value.
    """

    scale: Float[Tensor, "*batch neurons"]
    shift: Float[Tensor, "*batch neurons"]


class Circuit(nn.Module, ABC):
    """A nervous system as a torch module: sensors and state in, motor commands and state out.

    A circuit never sees an environment. It names what it senses, in order, and whoever runs it hands
    over those columns: `joint_pos` in units of the joint limit, `time` in control steps since the
    episode began, everything else as observed. Motor commands are in units of the motor's range,
    [-1, 1]. Parameters may be replaced by `torch.func.functional_call` and mapped over with
    `torch.vmap`, so `forward` must be a pure function of its parameters and arguments.

    Attributes:
        senses: (name, size) of each sense; the columns of `sensors`, in order.
        n_motors: the number of motor commands.
        neurons: every named unit, in the order of the columns of `activity`.
        is_bounded: motor commands never leave [-1, 1], so that no learner needs to squash them.
        pins: neurons that are silenced, clamped or driven, in single steps (not in `unroll`, by which
            learners learn); None leaves all alone.
        can_be_pinned: the circuit hands its neurons' values to `pinned` wherever it computes some.
    """

    senses: tuple[tuple[str, int], ...]
    n_motors: int
    neurons: tuple[Neuron, ...]
    is_bounded: bool = False
    pins: Pins | None = None
    can_be_pinned: bool = False

    @property
    def n_sensors(self) -> int:
        """The number of sensor columns."""
        return sum(size for _, size in self.senses)

    @property
    def is_recurrent(self) -> bool:
        """Whether learning needs gradients through the state, and so sequences instead of single steps."""
        return bool(self.initial_state(1))

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """Return the state at an episode's start, each tensor [batch_size, ...]; empty if stateless."""

    @abstractmethod
    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return the motor commands, the next state and every neuron's value.

        A sensor's value is in its own unit; a motor's in units of the motor's range.
        """

    @abstractmethod
    def wiring(self) -> Wiring:
        """Return the graph that probes and diagrams draw, with the weights as they act now."""

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step; return the motor commands, in units of the motor's range, and the next state."""
        motor, state, _ = self.forward_with_activity(sensors, state)
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

    def pinned(self, values: Float[Tensor, "batch some"], first: int) -> Float[Tensor, "batch some"]:
        """Return the values of the neurons from number `first` on, as they are after `pins`, in the same units."""
        if self.pins is None:
            return values
        some = slice(first, first + values.shape[-1])
        return values * self.pins.scale[..., some] + self.pins.shift[..., some]

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


def load_weights(circuit: Circuit, weights: Mapping[str, Float[Tensor, "*shape"]]) -> None:
    """Give a circuit the weights of another of its kind, as they are: in the same units.

    Raises:
        CircuitMismatch: names or sizes differ; nothing is loaded.
    """
    own = circuit.state_dict()
    kind = type(circuit).__name__
    if own.keys() != weights.keys():
        differing = ", ".join(sorted(own.keys() ^ weights.keys()))
        raise CircuitMismatch(f"these weights are not of this {kind}: {differing} on one side only")
    differing = "; ".join(
        f"{name} {tuple(weights[name].shape)} there, {tuple(value.shape)} here"
        for name, value in own.items()
        if value.shape != weights[name].shape
    )
    if differing:
        raise CircuitMismatch(
            f"{kind} trained on another size: {differing}; "
            "use a body of the same size, or a circuit that shares its weights along the body, such as ncap"
        )
    circuit.load_state_dict(dict(weights))
