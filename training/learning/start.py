"""Begin training from the weights of another run, on the same body or on another: fine-tuning."""

from __future__ import annotations

import dataclasses

from ...agents import Agent
from ...errors import CircuitMismatch
from ..runs.resolution import Resolved
from ..runs.run import Run


def inherit(resolved: Resolved) -> Resolved:
    """Return a run with what it takes over from the run that it starts from, if it starts from one.

    Its circuit counts in the control steps of the body that it was made for.

    Raises:
        InvalidRun: there is no such run.
        CircuitMismatch: its circuit is another.
    """
    if resolved.config.start is None:
        return resolved
    before = Run(resolved.config.start)
    if before.config.circuit != resolved.config.circuit:
        raise CircuitMismatch(
            f"{before.path} holds circuit {before.config.circuit}, this run {resolved.config.circuit}; "
            "--start needs the same circuit"
        )
    return Resolved(resolved.config, dataclasses.replace(resolved.agent, dt_ref=before.resolved.agent.dt_ref))


def start_from(agent: Agent, resolved: Resolved) -> None:
    """Give a fresh agent the weights of the run `config.start`, and the statistics of what it saw.

    Raises:
        InvalidRun: there is no such run, or nothing trained in it yet.
        CircuitMismatch: the way in which it saw its observations is another.
    """
    assert resolved.config.start is not None
    run = Run(resolved.config.start)
    before = run.agent(resolved.config.body)
    try:
        agent.load(before.circuit.state_dict(), before.observation_stats)
    except CircuitMismatch as error:
        raise CircuitMismatch(f"{run.path}: {error}") from error
