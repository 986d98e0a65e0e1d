"""The loop in which an agent acts in a batch of environments, for one episode each or continuously."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from ..circuits import Circuit, State
from ..envs.env_batch import Step
from ..envs.senses import Layout
from ..errors import InvalidAction

Ids = Int[np.ndarray, " some"]
Act = Callable[
    [Float[np.ndarray, "envs obs"], Any, Bool[np.ndarray, " envs"]], tuple[Float[np.ndarray, "envs actions"], Any, Any]
]


class Batch(Protocol):
    """Environments that are stepped together: an `EnvBatch`, or an adapter that makes one of something else.

    Attributes:
        n_envs: how many.
        layout: what stands where in an observation.
    """

    n_envs: int
    layout: Layout

    @property
    def action_space(self) -> spaces.Space:
        """What an action of one environment is."""
        ...

    def seed(self, seeds: Sequence[int | None]) -> None:
        """Give environment i the generator of seeds[i] at its next reset; None keeps the one it has."""
        ...

    def reset(self, ids: Ids) -> Float[np.ndarray, "envs obs"]:
        """Start new episodes in some environments; return what all of them show, in the layout's units."""
        ...

    def step(self, actions: Shaped[np.ndarray, "envs ..."], ids: Ids | None = None) -> Step:
        """Apply actions, in the environments' units, for one control step; only in `ids`, if they are given."""
        ...


class Rollout:
    """An agent acting in a batch of environments, one control step at a time.

        rollout = Rollout(envs, act)
        rollout.start(seeds)
        while rollout.is_running:
            rollout.step()

    Args:
        envs: the environments.
        act: called with observations [envs, obs], the last state (None at the start) and a mask of episode starts
            [envs]; returns actions [envs, ...] in the environments' units, the next state, and anything else, which
            is available as `extra`.

    Attributes:
        running: indices of the environments whose episode has not ended; only these are stepped.
        observation: observations of all environments, in the units of their layout.
        episode_start: environments whose next step is the first of an episode.
        state: last state that `act` returned.
        actions, extra: actions and extra output of `act` in the last step.
        returns: sum of rewards of each environment's current episode.
        lengths: control steps of each environment's current episode.
        ended: indices of the environments whose episode ended with the last step.
        elapsed: control steps since `start`.
    """

    observation: Float[np.ndarray, "envs obs"]
    actions: Shaped[np.ndarray, "envs ..."]
    episode_start: Bool[np.ndarray, " envs"]
    returns: Float[np.ndarray, " envs"]
    lengths: Int[np.ndarray, " envs"]
    running: Ids
    ended: Ids
    extra: Any

    def __init__(self, envs: Batch, act: Act) -> None:
        self.envs, self.act = envs, act
        self._everyone = np.arange(envs.n_envs)

    def start(self, seeds: Sequence[int | None] | None = None) -> None:
        """Start an episode in every environment; environment i is seeded with seeds[i] unless that is None."""
        if seeds is not None:
            self.envs.seed(seeds)
        self.go_on(self.envs.reset(self._everyone), None, np.ones(self.envs.n_envs, bool))
        self.returns, self.lengths = np.zeros(self.envs.n_envs), np.zeros(self.envs.n_envs, int)
        self.elapsed = 0

    def go_on(
        self, observation: Float[np.ndarray, "envs obs"], state: Any, episode_start: Bool[np.ndarray, " envs"]
    ) -> None:
        """Continue running episodes from given observations, state and mask of episode starts."""
        self.observation, self.state, self.episode_start = observation, state, episode_start
        self.running = self._everyone

    @property
    def is_running(self) -> bool:
        """Whether any episode has not ended."""
        return len(self.running) > 0

    def step(self) -> Step:
        """Run one control step in the running environments; the result has a row for every environment."""
        before, everyone = self.state, len(self.running) == len(self._everyone)
        self.actions, self.state, self.extra = self.act(self.observation, before, self.episode_start)
        try:
            stepped = self.envs.step(self.actions, None if everyone else self.running)
        except InvalidAction:
            self.state = before  # of the step that was not taken, so that it can be looked at
            raise
        self.observation = stepped.observation
        if self.episode_start.any():
            self.episode_start = np.zeros(len(self._everyone), bool)
        self.elapsed += 1
        if everyone:
            self.returns += stepped.reward
            self.lengths += 1
        else:
            self.returns[self.running] += stepped.reward[self.running]
            self.lengths[self.running] += 1
        over = stepped.terminated | stepped.truncated
        if np.count_nonzero(over):
            self.ended = self.running[over[self.running]]
            self.running = self.running[~over[self.running]]
        else:
            self.ended = self._everyone[:0]
        return stepped

    def restart(self, ids: Ids) -> None:
        """Start new episodes in some environments, with returns and lengths at 0."""
        self.observation = self.envs.reset(ids)
        self.returns[ids], self.lengths[ids] = 0.0, 0
        self.episode_start = np.zeros(len(self._everyone), bool)
        self.episode_start[ids] = True
        self.running = self._everyone


class Replayed(NamedTuple):
    """One control step of a circuit on what was sensed before.

    Attributes:
        before: the state before the step.
        motor: commands in units of the motor's range.
        state: the state after the step.
        activity: every neuron's value, in its own unit.
    """

    before: State
    motor: Float[Tensor, "batch motors"]
    state: State
    activity: Float[Tensor, "batch neurons"]


def replay(
    circuit: Circuit,
    sensors: Float[Tensor, "time batch sensors"],
    state: State | None = None,
    episode_start: Bool[Tensor, "time batch"] | None = None,
) -> Iterator[Replayed]:
    """Run an agent's circuit on recorded observations, without environments; yield each control step.

    Args:
        circuit: the circuit.
        sensors: sensor values as `Agent.sense` returns them.
        state: state to start from; None is the initial state.
        episode_start: steps before which the state is reset.
    """
    state = circuit.initial_state(sensors.shape[1]) if state is None else state
    for step, row in enumerate(sensors):
        before = state if episode_start is None else circuit.reset_state(state, episode_start[step])
        motor, state, activity = circuit.forward_with_activity(row, before)
        yield Replayed(before, motor, state, activity)
