"""Whole episodes in compiled code: body, circuit and reward of every environment in one call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..circuits.lane_step import LaneStep, lane_step_of
from ..envs import EnvBatch
from ..envs.physics.lane_physics import LanePhysics
from ..envs.physics.lanes import Controller, compiled_step, rows, step_numbers
from ..errors import CircuitMismatch
from .agent import Agent
from .loop import Batch

# Links times physics steps of one call: about a tenth of a second, after which Python handles signals.
_AT_ONCE = 7_000_000
_log = logging.getLogger(__name__)
_said: set[str] = set()


def _nothing(n_steps: int) -> None:
    """Ignore the number of control steps done."""


def reason_not_fused(agent: Agent, envs: Batch) -> str | None:
    """Say in one line why these episodes do not run in compiled code as a whole; None where they do."""
    if not isinstance(envs, EnvBatch) or not isinstance(envs.physics, LanePhysics):
        return "the physics is not lanes"
    if envs.steerable is None:
        return "the task computes more in a step than its physics does"
    if agent.device.type != "cpu":
        return f"the circuit is on {agent.device}"
    if agent.missing is not None:
        return "a part of the observation is missing"
    if lane_step_of(agent.circuit) is None:
        return f"{type(agent.circuit).__name__} has no lane_step of its own"
    return None


def say_not_fused(agent: Agent, envs: Batch) -> None:
    """Say once, where the physics is lanes, why episodes run step by step."""
    reason = reason_not_fused(agent, envs)
    if isinstance(envs, EnvBatch) and isinstance(envs.physics, LanePhysics) and reason and reason not in _said:
        _said.add(reason)
        _log.warning("episodes run step by step, not as a whole in compiled code: %s", reason)


class Fused:
    """Episodes of an agent's circuit in environments on lanes.

    Args:
        agent: the circuit, its senses, and its normaliser with the present statistics.
        envs: the environments.

    Raises:
        CircuitMismatch: the episodes cannot run in compiled code, or the circuit's `lane_step` does not fit it.
        MissingDependency: numba cannot compile the step.
    """

    def __init__(self, agent: Agent, envs: Batch) -> None:
        if reason := reason_not_fused(agent, envs):
            raise CircuitMismatch(f"episodes do not run in compiled code as a whole: {reason}")
        assert isinstance(envs, EnvBatch)
        physics, step = envs.steerable, lane_step_of(agent.circuit)
        assert physics is not None
        assert step is not None
        self._physics, self._envs, self._agent, self._n_room = physics, envs, agent, step.n_room
        _check_fit(agent, step)
        self._address = compiled_step(step.function, physics.width)
        self._numbers = step_numbers(step.numbers, physics.width)
        self._columns, self._senses = sensor_numbers(agent)

    def run(
        self,
        seeds: list[int],
        weights: Float[Tensor, "members weights"] | None = None,
        initial: Float[Tensor, "members memory"] | None = None,
        on_part: Callable[[int], Any] = _nothing,
        missing: Bool[np.ndarray, " obs"] | None = None,
    ) -> tuple[Float[np.ndarray, " envs"], Int[np.ndarray, " envs"], dict[str, Float[np.ndarray, " envs"]]]:
        """Run an episode in every environment; return returns (no unit), lengths in control steps, and metrics.

        Args:
            seeds: one per episode.
            weights: a row of flat weights for each environment; None uses the agent's own in all of them.
            initial: the circuit's flat state at the start, one row per environment or one for all; None uses the
                agent's own.
            on_part: called from time to time with the number of control steps done.
            missing: columns of the observation that read zero, after normalising; None where nothing is missing.
        """
        envs, n = self._envs, self._envs.n_envs
        if weights is None:
            weights = torch.nn.utils.parameters_to_vector(self._agent.circuit.parameters())[None]
        if initial is None:
            initial = flat_state(self._agent.circuit.initial_state(1))
        memory, senses = initial.expand(n, -1), self._senses
        if missing is not None:
            senses = senses.copy()
            senses[missing[self._columns], rows.FACTOR] = 0.0
        controller = Controller(
            self._address, self._numbers, self._lanes(weights), self._lanes(memory), self._n_room,
            self._columns, senses, int(self._agent.squash),
        )  # fmt: skip
        envs.seed(seeds)
        envs.reset(np.arange(n))
        links = n * envs.body.n_links * self._physics.n_substeps
        at_once, done = max(_AT_ONCE // links, 1), 0
        while done < envs.episode_steps and controller.tallies[:, rows.RUNS].any():
            n_steps = min(at_once, envs.episode_steps - done)
            self._physics.steer(controller, n_steps)
            done += n_steps
            on_part(n_steps)
        returns, lengths, runs, speed = (
            controller.tally(which, n) for which in (rows.RETURN, rows.COUNTED, rows.RUNS, rows.END_SPEED)
        )
        return returns, lengths.astype(int), {"net_speed": speed, "diverged": runs < 0.5}

    def _lanes(self, values: Float[Tensor, "some numbers"]) -> Float[np.ndarray, "blocks numbers width"]:
        """Lay rows side by side in blocks; a single row serves all lanes, and the last row pads the last block."""
        width, found = self._physics.width, values.detach().double().numpy()
        n_blocks = -(-len(found) // width)
        padded = np.arange(n_blocks * width).clip(max=len(found) - 1)
        return np.ascontiguousarray(found[padded].reshape(n_blocks, width, -1).transpose(0, 2, 1))


def flat_state(state: dict[str, Tensor]) -> Float[Tensor, "batch memory"]:
    """Return a circuit's state as a row of numbers for each environment, in the order of its names."""
    if not state:
        return torch.zeros(1, 0)
    return torch.cat([value.flatten(1) for value in state.values()], 1)


def _check_fit(agent: Agent, step: LaneStep) -> None:
    kind = type(agent.circuit).__name__
    state = flat_state(agent.circuit.initial_state(1)).shape[1]
    for what, there, here in (("weights", step.n_weights, agent.n_weights), ("numbers of state", step.n_memory, state)):
        if there != here:
            raise CircuitMismatch(
                f"the lane_step of {kind} takes {there} {what} and the circuit has {here}; give LaneStep its numbers"
            )


def sensor_numbers(agent: Agent) -> tuple[Int[np.ndarray, " sensors"], Float[np.ndarray, "sensors 5"]]:
    """Return, for each sensor, its column in the observation and the numbers of its normalisation."""
    columns = agent.sensing.columns.numpy()
    senses = np.zeros((len(columns), rows.SENSE))
    senses[:, rows.FACTOR], senses[:, rows.SCALE] = 1.0, agent.sensing.scale.double().numpy()
    senses[:, rows.SENSE_LOW], senses[:, rows.SENSE_HIGH] = -np.inf, np.inf
    if (normalizer := agent.normalizer) is not None:
        spread = normalizer.std.numpy()
        senses[:, rows.SHIFT], senses[:, rows.FACTOR] = normalizer.mean.numpy()[columns], 1.0 / spread[columns]
        senses[:, rows.SENSE_LOW], senses[:, rows.SENSE_HIGH] = -normalizer.clip, normalizer.clip
    return columns, senses
