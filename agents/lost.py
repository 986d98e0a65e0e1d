"""Name the circuit and the neuron where motor commands are not finite."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from ..circuits.first_steps import lost_neuron
from ..circuits.registry import shown_name
from ..errors import InvalidAction
from .agent import Agent
from .loop import Rollout


@contextlib.contextmanager
def naming_lost(agent: Any, rollout: Rollout) -> Iterator[None]:
    """Let the error of a step's actions name the agent's circuit, and the first neuron that is not finite.

    Args:
        agent: the agent that acts; of anything that is no `Agent`, errors stay as they are.
        rollout: the environments in which it acts.

    Raises:
        InvalidAction: actions were refused.
    """
    try:
        yield
    except InvalidAction as error:
        if not isinstance(agent, Agent):
            raise
        state = rollout.state and {name: rollout.state[name] for name in agent.circuit.initial_state(1)}
        with torch.no_grad():
            activity = agent.run(rollout.observation, state, rollout.episode_start, record=True)[2]
        assert activity is not None
        lost = lost_neuron(agent.circuit, activity)
        told = f"; the first neuron that is not finite is {lost}" if lost else ""
        raise InvalidAction(f"circuit {shown_name(agent.spec.circuit)}: {error}{told}") from error
