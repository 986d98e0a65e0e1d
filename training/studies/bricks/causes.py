"""What bricks cause: the joints' commands and the return without each of them, and when it is that they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ....agents import Agent
from ....circuits import Circuit, Pins
from ....envs import EnvBatch
from ...rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from ...rollouts.recorder import record_agent
from ...rollouts.recording import Recording
from .partition import Brick


def silencing(circuit: Circuit, silenced: Sequence[Sequence[str]]) -> Float[Tensor, "sets neurons"]:
    """Return for each set of units a factor for each neuron, 0 for those of the set, no unit."""
    names = [neuron.name for neuron in circuit.neurons]
    scale = torch.ones(len(silenced), len(names))
    for row, units in enumerate(silenced):
        scale[row, [names.index(unit) for unit in units]] = 0.0
    return scale


def alike_at_random(
    bricks: Sequence[Brick], layers: Mapping[str, Sequence[str]], seed: int = 0
) -> list[tuple[str, ...]]:
    """Return for each brick as many units of its layer, drawn at random: the control of silencing it."""
    rng = np.random.default_rng(seed)
    return [tuple(rng.choice(layers[each.layer], len(each.units), replace=False).tolist()) for each in bricks]


def remaining_returns(
    agent: Agent, envs: EnvBatch, silenced: Sequence[Sequence[str]], progress: bool = False
) -> Float[np.ndarray, "sets+1 episodes"]:
    """Return the returns without each set of units, no unit; the last row has those of the intact circuit.

    Everything runs at once, on the same episodes.

    Args:
        agent: whose units they are.
        envs: one environment for each set and one more, times the episodes.
        silenced: names of the units that are held at 0.
        progress: show a bar.
    """
    pins, seeds = _each_episode(agent, envs, silenced)
    found = evaluate_agent(agent, envs, seeds, pins, progress).returns
    return found.reshape(-1, len(silenced) + 1).T


def record_without(
    agent: Agent, envs: EnvBatch, silenced: Sequence[Sequence[str]], progress: bool = False
) -> Recording:
    """Record what `remaining_returns` runs, but for neurons: each episode without each set of units, and then intact.

    Args:
        agent, envs, silenced, progress: as there.
    """
    pins, seeds = _each_episode(agent, envs, silenced)
    unwatched: Any = _Unwatched(agent, pins)
    return record_agent(unwatched, envs, seeds, progress=progress)


def returns_while(
    rewards: Float[np.ndarray, "sets+1 episodes time"], holds: Bool[np.ndarray, "predicates sets+1 episodes time"]
) -> Float[np.ndarray, "sets predicates"]:
    """Return what remains, of the return from the steps in which something is so, without each set of units.

    That is the sum of rewards in those steps relative to the intact circuit's, the last row of `rewards`: it falls
    where less is earned in such a step, and where there are fewer of them. NaN where the intact circuit's sum is 0.
    """
    earned = np.einsum("set,pset->sp", rewards, holds, dtype=float)
    return np.divide(earned[:-1], earned[-1], out=np.full_like(earned[:-1], np.nan), where=earned[-1] != 0)


class _Unwatched:
    """An agent with pinned neurons, none of which is recorded."""

    neurons, firing = (), ()

    def __init__(self, agent: Agent, pins: Pins) -> None:
        self._agent, self._pins = agent, pins

    def predict_with_activity(self, observation: Any, state: Any, episode_start: Any) -> tuple[Any, Any, Tensor]:
        actions, state = self._agent.predict(observation, state, episode_start, pins=self._pins)
        return actions, state, torch.zeros(len(observation), 0)


def _each_episode(agent: Agent, envs: EnvBatch, silenced: Sequence[Sequence[str]]) -> tuple[Pins, list[int]]:
    """Return pins and seeds of every environment: all sets in the first episode, then in the second, and so on."""
    scale = silencing(agent.circuit, [*silenced, ()])
    episodes = envs.n_envs // len(scale)
    seeds = np.repeat(EVALUATION_SEED + np.arange(episodes), len(scale)).tolist()
    scale = scale.repeat(episodes, 1)
    return Pins(scale, torch.zeros_like(scale)), seeds


@torch.inference_mode()
def remaining_commands(
    circuit: Circuit, sensors: Float[Tensor, "time batch sensors"], silenced: Sequence[Sequence[str]]
) -> Float[np.ndarray, "sets motors"]:
    """Return how much of each motor's command remains without a set of units: its spread relative to the intact one's.

    The circuit hears the same sensors in all cases, in the units that `Agent.sense` returns, so that a change is of the
    circuit and not of what its body then does. NaN for a motor that is never moved.
    """
    scale = silencing(circuit, [*silenced, ()])
    n_sets, batch = len(scale), sensors.shape[1]
    scale = scale.repeat_interleave(batch, 0).to(sensors)
    pins, state = Pins(scale, torch.zeros_like(scale)), circuit.initial_state(n_sets * batch)
    commands = []
    for row in sensors:
        motor, state = circuit(row.repeat(n_sets, 1), state, pins)
        commands.append(motor)
    spread = torch.stack(commands).unflatten(1, (n_sets, batch)).double().std((0, 2)).numpy()
    return np.divide(spread[:-1], spread[-1], out=np.full_like(spread[:-1], np.nan), where=spread[-1] > 1e-9)
