"""An agent: one torch module of a circuit, the preprocessing of its observations and the scaling of its actions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ..circuits import Circuit, Neuron, Pins, State, load_weights, make_circuit
from ..circuits.bounds import within
from ..envs.senses import Layout
from ..errors import CircuitMismatch
from ..options import told
from .normalizer import Normalizer
from .sensing import Sensing


@dataclasses.dataclass(frozen=True)
class AgentSpec:
    """A complete description of an agent, from which it can be built.

    Attributes:
        circuit: name of the circuit.
        circuit_options: options of the circuit.
        layout: names and positions of the senses in the observation.
        n_motors: number of motors.
        seed: seed of random initial weights; None draws different ones each time.
        normalize: whether observations are normalised by running statistics, which the learner updates.
        squash: whether motor commands of an unbounded circuit pass through a tanh.
        dt_ref: seconds of the control step that the circuit was made for; None is the layout's.
    """

    circuit: str
    layout: Layout
    n_motors: int
    circuit_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seed: int | None = None
    normalize: bool = False
    squash: bool = False
    dt_ref: float | None = None

    def make_circuit(self, seed: int | None = None) -> Circuit:
        """Build the circuit with initial weights from `seed`, by default the spec's.

        Raises:
            UnknownName, CircuitMismatch: there is no such circuit, or it cannot be built with these options.
            ContractBroken: it is a circuit of the user's own, and its first steps break the contract.
        """
        seed = self.seed if seed is None else seed
        rng = torch.Generator().manual_seed(seed) if seed is not None else None
        options = dict(self.circuit_options)
        return make_circuit(self.circuit, self.layout.sizes, self.n_motors, options, rng, self.layout.dt, self.dt_ref)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> AgentSpec:
        """Make a spec from its fields by name, with the layout as JSON types."""
        return cls(**{**values, "layout": Layout.from_json(values["layout"])})


class Agent(nn.Module):
    """A deterministic policy: a circuit that receives an environment's observation and commands its motors.

    Observations and actions are in the environment's units; sensors, motor commands and neurons' values are in
    those of `Circuit`: joint positions in units of the joint limit, motors in units of the motor's range.

    Args:
        spec: description of the agent.
        action_space: the environment's action space; None is [-1, 1] for each motor.

    Attributes:
        spec: description of the agent.
        layout: names and positions of the senses in the observation.
        circuit: the circuit.
        sensing: selects and scales the circuit's sensors.
        normalizer: normaliser of the observations; None if they are not normalised.
        squash: whether motor commands pass through a tanh.
        missing: columns of the observation that are masked with 0, after normalising; None if no sense is masked.

    Raises:
        UnknownName, CircuitMismatch: there is no such circuit, or it does not fit the layout.
    """

    missing: Bool[Tensor, " obs"] | None

    def __init__(self, spec: AgentSpec, action_space: spaces.Space | None = None) -> None:
        super().__init__()
        self.spec, self.layout = spec, spec.layout
        self.action_space = spaces.Box(-1.0, 1.0, (spec.n_motors,)) if action_space is None else action_space
        self.circuit = spec.make_circuit()
        self.squash = spec.squash and not self.circuit.is_bounded
        self.sensing = Sensing(self.layout, self.circuit)
        self.normalizer = Normalizer(self.layout.size) if spec.normalize else None
        self.register_buffer("missing", None, persistent=False)
        self._state_shapes = {name: value.shape[1:] for name, value in self.circuit.initial_state(1).items()}
        self._has_motor_units = _are_motor_units(self.action_space)

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The circuit's neurons, in the order of the activity's columns."""
        return self.circuit.neurons

    @property
    def firing(self) -> tuple[Neuron, ...]:
        """The spiking neurons, in the order of the columns of `spikes`."""
        return self.circuit.firing

    @property
    def device(self) -> torch.device:
        """The device of the agent's tensors."""
        return self.sensing.scale.device

    @property
    def n_weights(self) -> int:
        """The number of the circuit's weights."""
        return sum(parameter.numel() for parameter in self.circuit.parameters())

    @property
    def observation_stats(self) -> dict[str, Any] | None:
        """The normaliser's statistics as JSON types; None if observations are not normalised."""
        return None if self.normalizer is None else self.normalizer.to_json()

    def load(
        self, weights: Mapping[str, Shaped[Tensor, "*shape"]], observation_stats: Mapping[str, Any] | None
    ) -> None:
        """Load a circuit's weights, and the statistics by which its observations were normalised.

        Raises:
            CircuitMismatch: the weights belong to another circuit, or only one of the two agents normalises.
        """
        if (observation_stats is None) != (self.normalizer is None):
            there, here = ("raw", "normalised") if observation_stats is None else ("normalised", "raw")
            raise CircuitMismatch(
                f"the circuit was trained on {there} observations and this agent shows it {here} ones; "
                "go on with the algorithm that trained it"
            )
        load_weights(self.circuit, weights)
        if self.normalizer is not None and observation_stats is not None:
            self.normalizer.load_json(observation_stats)

    def observe(self, observation: Shaped[np.ndarray, "*batch obs"]) -> Float[Tensor, "*batch obs"]:
        """Return the observation as the circuit receives it: single precision, normalised if set, masked senses 0."""
        if self.normalizer is not None:
            shown = self.normalizer(torch.as_tensor(np.asarray(observation), device=self.device)).float()
        else:
            shown = torch.as_tensor(np.asarray(observation, np.float32), device=self.device)
        return shown if self.missing is None else shown.masked_fill(self.missing, 0.0)

    def sense(self, observation: Shaped[np.ndarray, "*batch obs"]) -> Float[Tensor, "*batch sensors"]:
        """Return the circuit's sensor values for a batch of observations.

        Without normalisation, joint positions are in units of the joint limit and time is in control steps.
        """
        sensed: Tensor = self.sensing(self.observe(observation))
        return sensed

    def forward(
        self, observation: Shaped[np.ndarray, "batch obs"], state: State | None = None
    ) -> tuple[Shaped[Tensor, "batch ..."], State]:
        """Run one control step, with gradients; return actions and the next state, as `predict` does."""
        sensors = self.sense(observation)
        motor, state = self.circuit(sensors, self.circuit.initial_state(len(sensors)) if state is None else state)
        return self.to_actions(motor), state

    def predict(
        self,
        observation: Shaped[np.ndarray, "*batch obs"],
        state: State | None = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
        deterministic: bool = True,  # noqa: ARG002
        pins: Pins | None = None,
    ) -> tuple[Shaped[np.ndarray, "*batch action"], State]:
        """Return actions and the circuit's next state.

        Args:
            observation: [batch, obs], or [obs] for one environment, in the environment's units; so are the actions.
            state: state returned by the last call; None at the start.
            episode_start: [batch] bool; rows that start from the initial state.
            deterministic: ignored, as an agent is always deterministic; SB3 passes it.
            pins: interventions on the circuit's neurons in this step.

        Raises:
            CircuitMismatch: the state or `episode_start` belongs to another number of environments.
        """
        actions, state, _ = self.predict_with_activity(observation, state, episode_start, record=False, pins=pins)
        return actions, state

    @torch.inference_mode()
    def predict_with_activity(
        self,
        observation: Shaped[np.ndarray, "*batch obs"],
        state: State | None = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
        record: bool = True,
        pins: Pins | None = None,
    ) -> tuple[Shaped[np.ndarray, "*batch action"], State, Float[Tensor, "batch neurons"] | None]:
        """Act as `predict` does; also return every neuron's value, [batch, neurons], or None with `record` False."""
        batch, is_single = as_batch(observation)
        motor, state, activity = self.run(batch, state, episode_start, record, pins)
        actions = self.to_actions(motor).cpu().numpy().astype(self.action_space.dtype, copy=False)
        # An ellipsis keeps a discrete action an array, as SB3's models return it.
        return (actions[0, ...] if is_single else actions), state, activity

    def run(
        self,
        observation: Shaped[np.ndarray, "batch obs"],
        state: State | None = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
        record: bool = False,
        pins: Pins | None = None,
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"] | None]:
        """Return motor commands in units of the motor's range, the next state, and with `record` the activity.

        Raises:
            CircuitMismatch: observation, state or `episode_start` have the wrong size.
        """
        sensors, state = self._before(observation, state, episode_start)
        # Circuits of older packages take none.
        pinned = [] if pins is None else [pins]
        if record:
            return self.circuit.forward_with_activity(sensors, state, *pinned)
        motor, state = self.circuit(sensors, state, *pinned)
        return motor, state, None

    @torch.inference_mode()
    def spikes(
        self,
        observation: Shaped[np.ndarray, "batch obs"],
        state: State | None = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
        pins: Pins | None = None,
    ) -> Float[Tensor, "batch substeps firing"]:
        """Return the spikes, 0 or 1, of the step that `predict` takes with these arguments.

        Raises:
            CircuitMismatch: the circuit has no spiking neurons, or an argument has the wrong size.
        """
        sensors, state = self._before(observation, state, episode_start)
        return self.circuit.spikes(sensors, state, pins)

    def to_actions(self, motor: Float[Tensor, "*batch motors"]) -> Shaped[Tensor, "*shape"]:
        """Convert motor commands to actions in the environment's units."""
        motor = motor.tanh() if self.squash else motor
        return within(motor, -1.0, 1.0) if self._has_motor_units else to_actions(motor, self.action_space)

    def _before(
        self, observation: np.ndarray, state: State | None, episode_start: Bool[np.ndarray, " batch"] | None
    ) -> tuple[Float[Tensor, "batch sensors"], State]:
        """Return what the circuit senses, and its state, reset where an episode starts."""
        self._check(observation, state, episode_start)
        sensors = self.sense(observation)
        if state is None:
            return sensors, self.circuit.initial_state(len(sensors))
        if episode_start is not None and np.any(episode_start):
            starts = torch.as_tensor(np.atleast_1d(episode_start).astype(bool))
            state = self.circuit.reset_state(state, starts.to(self.device))
        return sensors, state

    def _check(
        self, observation: np.ndarray, state: State | None, episode_start: Bool[np.ndarray, " batch"] | None
    ) -> None:
        if observation.dtype.kind not in "fiub":
            raise CircuitMismatch(f"the observation holds {observation.dtype}; give numbers")
        if observation.ndim != 2 or observation.shape[1] != self.layout.size:
            raise CircuitMismatch(
                f"the observation is of shape {observation.shape}, and the agent needs (batch, {self.layout.size})"
            )
        many = len(observation)
        if state is not None:
            self._check_state(state, many)
        if episode_start is None:
            return
        if np.size(episode_start) != many:
            raise CircuitMismatch(
                f"episode_start has {np.size(episode_start)} values and the observation {many} rows; give one for each"
            )
        if np.asarray(episode_start).dtype.kind not in "fiub":
            raise CircuitMismatch(f"episode_start is {told(episode_start)}; give True or False for each row")

    def _check_state(self, state: State, many: int) -> None:
        if not isinstance(state, Mapping):
            raise CircuitMismatch(f"the state is {told(state)}; pass what the last call returned, or None")
        if state.keys() != self._state_shapes.keys():
            raise CircuitMismatch(
                f"the state holds {', '.join(state) or 'nothing'}, and {type(self.circuit).__name__} keeps "
                f"{', '.join(self._state_shapes) or 'none'}; pass state=None to start from the initial state"
            )
        for name, value in state.items():
            if value.shape[0] != many:
                raise CircuitMismatch(
                    f"the state is of {value.shape[0]} environments and the observation of {many}; pass state=None to "
                    "start anew"
                )
            if value.shape[1:] != self._state_shapes[name]:
                raise CircuitMismatch(
                    f"the state's {name} has {tuple(value.shape[1:])} values for each environment, and "
                    f"{type(self.circuit).__name__} keeps {tuple(self._state_shapes[name])}; pass state=None to start "
                    "anew"
                )


def as_batch(observation: Shaped[np.ndarray, "*batch obs"]) -> tuple[Shaped[np.ndarray, "batch obs"], bool]:
    """Return observations, in their own units, as a batch, and whether it is one made of a single observation.

    Raises:
        CircuitMismatch: they are a pair, as gymnasium's `reset` returns.
    """
    if isinstance(observation, tuple):
        raise CircuitMismatch("the observation is a tuple, as gymnasium's reset returns; give its first part alone")
    observation = np.asarray(observation)
    return (observation[None], True) if observation.ndim == 1 else (observation, False)


def to_actions(motor: Float[Tensor, "*batch motors"], action_space: spaces.Space) -> Shaped[Tensor, "*shape"]:
    """Turn motor commands into actions: clipped and scaled to a Box, the largest for a Discrete."""
    if isinstance(action_space, spaces.Discrete):
        return motor.argmax(-1)
    assert isinstance(action_space, spaces.Box)
    motor = within(motor, -1.0, 1.0)
    if _are_motor_units(action_space):
        return motor
    low, high = (torch.as_tensor(bound, device=motor.device) for bound in (action_space.low, action_space.high))
    return low + (motor + 1.0) * 0.5 * (high - low)


def _are_motor_units(action_space: spaces.Space) -> bool:
    """Say whether actions are from -1 to 1, as motor commands are."""
    if not isinstance(action_space, spaces.Box):
        return False
    return bool(np.all(action_space.low == -1) and np.all(action_space.high == 1))


def n_motors_for(action_space: spaces.Space) -> int:
    """Return how many motor commands an action space takes.

    Raises:
        CircuitMismatch: it is neither a flat Box nor Discrete.
    """
    if isinstance(action_space, spaces.Discrete):
        return int(action_space.n)
    if isinstance(action_space, spaces.Box) and len(action_space.shape) == 1:
        return int(action_space.shape[0])
    raise CircuitMismatch(f"circuits drive a flat Box or Discrete action space, not {action_space}")
