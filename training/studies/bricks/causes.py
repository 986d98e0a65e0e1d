"""What bricks cause: the joints' commands and the return without each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ....agents import Agent
from ....circuits import Circuit, Pins
from ....envs import EnvBatch
from ...rollouts.evaluation import EVALUATION_SEED, evaluate_agent
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
    scale = silencing(agent.circuit, [*silenced, ()])
    episodes = envs.n_envs // len(scale)
    seeds = np.repeat(EVALUATION_SEED + np.arange(episodes), len(scale)).tolist()
    scale = scale.repeat(episodes, 1)
    found = evaluate_agent(agent, envs, seeds, Pins(scale, torch.zeros_like(scale)), progress).returns
    return found.reshape(episodes, -1).T


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
