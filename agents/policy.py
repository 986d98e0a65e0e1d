"""A circuit as an agent: sensing, acting and carrying its state, with SB3's `predict`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Shaped
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from ..circuits import Circuit, Neuron, Pins, State, make_circuit
from ..envs.senses import Layout
from ..errors import CircuitMismatch
from .sensing import Sensing, plain_layout


class CircuitPolicy(BasePolicy):
    """Act with a circuit; deterministic. What ES trains and what every evaluation runs.

    Observations and actions are in the environment's units; sensors, motor commands and neurons' values are in
    those of `Circuit`: joint positions in units of the joint limit, motors in units of the motor's range.

    Args:
        observation_space, action_space: the environment's.
        lr_schedule: learning rate of the optimiser that ES steps, as SB3 passes it; None for no optimiser.
        circuit: name of the circuit.
        circuit_options: its options.
        layout: names of the observation's parts; None takes the observation as one nameless vector.
        seed: of the initial weights, where they are drawn.
        observation_stats: mean and variance per observation, and the clipping bound, when the circuit
            was trained on normalised observations.
        squash: send the motors of circuits that are not bounded by themselves through a tanh.

    Attributes:
        circuit: the torch module.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Any = None,
        *,
        circuit: str = "ncap",
        circuit_options: Mapping[str, Any] | None = None,
        layout: Layout | None = None,
        seed: int | None = None,
        observation_stats: Mapping[str, Any] | None = None,
        squash: bool = False,
        **_: Any,
    ) -> None:
        super().__init__(observation_space, action_space)
        self.layout = layout or plain_layout(observation_space)
        self.circuit = build_circuit(circuit, self.layout, action_space, circuit_options, seed)
        self.squash = squash and not self.circuit.is_bounded
        self.sensing = Sensing(self.layout, self.circuit)
        self.observation_stats = observation_stats
        # Frozen controllers have nothing to train, and torch makes no optimiser of nothing.
        parameters = list(self.circuit.parameters())
        if lr_schedule is not None and parameters:
            self.optimizer = torch.optim.Adam(parameters, lr=lr_schedule(1))

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The circuit's neurons, in the order of the columns of the activity."""
        return self.circuit.neurons

    @property
    def observation_stats(self) -> Mapping[str, Any] | None:
        """The statistics that observations are normalised by, if they are."""
        return self._stats

    @observation_stats.setter
    def observation_stats(self, stats: Mapping[str, Any] | None) -> None:
        self._stats = stats
        if stats is not None:
            scale = 1.0 / np.sqrt(np.asarray(stats["var"]) + stats["epsilon"])
            self._normalizer = np.asarray(stats["mean"]), scale, float(stats["clip"])

    def sense(self, observation: Float[np.ndarray, "*batch obs"]) -> Float[Tensor, "*batch sensors"]:
        """Return the circuit's sensors for a batch of observations, normalised where `observation_stats` are given.

        Unless normalised, joint positions are in units of the joint limit and time is in control steps.
        """
        if self._stats is not None:
            mean, scale, clip = self._normalizer
            observation = np.clip((observation - mean) * scale, -clip, clip)
        sensed: Tensor = self.sensing(self.observe(observation))
        return sensed

    def observe(self, observation: Float[np.ndarray, "*batch obs"]) -> Float[Tensor, "*batch obs"]:
        """Return an observation in single precision, on the policy's device and in the same units."""
        return torch.as_tensor(np.asarray(observation, np.float32), device=self.device)

    def predict(  # type: ignore[override]
        self,
        observation: Float[np.ndarray, "*batch obs"],
        state: State | None = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
        deterministic: bool = True,
        pins: Pins | None = None,
    ) -> tuple[Shaped[np.ndarray, "*batch action"], State]:
        """Return actions and the circuit's next state.

        Args:
            observation: [batch, obs], or [obs] for one, in the environment's units, as the actions are.
            state: what the last call returned; None at the start.
            episode_start: [batch] bool; these rows start from the initial state.
            deterministic: leave out the learner's noise, if it adds any; circuits have none of their own.
            pins: what is done to the circuit's neurons in this step.
        """
        actions, state, _ = self.predict_with_activity(
            observation, state, episode_start, deterministic, record=False, pins=pins
        )
        return actions, state

    @torch.inference_mode()
    def predict_with_activity(
        self,
        observation: Float[np.ndarray, "*batch obs"],
        state: State | None = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
        deterministic: bool = True,
        record: bool = True,
        pins: Pins | None = None,
    ) -> tuple[Shaped[np.ndarray, "*batch action"], State, Float[Tensor, "batch neurons"] | None]:
        """Act as `predict` does and return every neuron's value too, [batch, neurons]."""
        observation = np.asarray(observation)
        single = observation.ndim == 1
        sensors = self.sense(observation[None] if single else observation)
        if state is None:
            state = self.circuit.initial_state(len(sensors))
        elif state and next(iter(state.values())).shape[0] != len(sensors):
            raise CircuitMismatch(
                f"the state is of {next(iter(state.values())).shape[0]} environments "
                f"and the observation of {len(sensors)}; pass state=None to start anew"
            )
        elif episode_start is not None and np.any(episode_start):
            starts = torch.as_tensor(np.atleast_1d(episode_start).astype(bool))
            state = self.circuit.reset_state(state, starts.to(self.device))
        activity, pinned = None, [] if pins is None else [pins]
        if record:
            motor, state, activity = self.circuit.forward_with_activity(sensors, state, *pinned)
        else:
            motor, state = self.circuit(sensors, state, *pinned)
        actions = self.draw(motor, deterministic).cpu().numpy()
        return (actions[0] if single else actions), state, activity

    def draw(self, motor: Float[Tensor, "batch motors"], deterministic: bool) -> Shaped[Tensor, "*shape"]:  # noqa: ARG002
        """Turn motor commands into actions; learners that explore by noise add it here."""
        return to_actions(motor.tanh() if self.squash else motor, self.action_space)

    def forward(self, observation: Float[Tensor, "batch obs"], deterministic: bool = True) -> Shaped[Tensor, "*shape"]:
        """Act on a batch from the initial state."""
        return self._predict(observation, deterministic)

    def _predict(  # type: ignore[override]
        self,
        observation: Tensor,
        deterministic: bool = True,  # noqa: ARG002
    ) -> Tensor:
        state = self.circuit.initial_state(observation.shape[0])
        return to_actions(self.circuit(self.sensing(observation.float()), state)[0], self.action_space)


def to_actions(motor: Float[Tensor, "*batch motors"], action_space: spaces.Space) -> Shaped[Tensor, "*shape"]:
    """Turn motor commands into actions: clipped and scaled to a Box, the largest for a Discrete."""
    if isinstance(action_space, spaces.Discrete):
        return motor.argmax(-1)
    assert isinstance(action_space, spaces.Box)
    motor = motor.clamp(-1.0, 1.0)
    if np.all(action_space.low == -1) and np.all(action_space.high == 1):
        return motor
    low, high = (torch.as_tensor(bound, device=motor.device) for bound in (action_space.low, action_space.high))
    return low + (motor + 1.0) * 0.5 * (high - low)


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


def build_circuit(
    name: str,
    layout: Layout,
    action_space: spaces.Space,
    options: Mapping[str, Any] | None,
    seed: int | None,
) -> Circuit:
    """Build a circuit for an environment's senses and motors."""
    rng = torch.Generator().manual_seed(seed) if seed is not None else None
    return make_circuit(name, layout.sizes, n_motors_for(action_space), dict(options or {}), rng)
