"""Fine-tuning: start training from the weights of another run, on the same body or on another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ...agents import Agent
from ...circuits import Circuit, Composed, load_weights
from ...circuits.routing.policy import Policy
from ...errors import CircuitMismatch
from ..runs.config import RunConfig
from ..runs.resolution import Resolved, resolve
from ..runs.run import Run


def inherit(config: RunConfig) -> Resolved:
    """Resolve a config with what it inherits from the run that it starts from, if any.

    Those of the circuit's options that the config does not give are that run's. The circuit's unit of time stays the
    control step of the body that it was made for.

    Raises:
        InvalidRun: there is no such run.
        CircuitMismatch: that run has another circuit.
        NervecordError: the config is invalid.
    """
    if config.start is None:
        return resolve(config)
    before = Run(config.start)
    if before.config.circuit != config.circuit:
        raise CircuitMismatch(
            f"{config.start} has circuit {before.config.circuit}, this run {config.circuit}; "
            "--start needs the same circuit"
        )
    options = {**before.resolved.config.circuit_options, **config.circuit_options}
    resolved = resolve(dataclasses.replace(config, circuit_options=options))
    return Resolved(resolved.config, dataclasses.replace(resolved.agent, dt_ref=before.resolved.agent.dt_ref))


def begun(resolved: Resolved) -> Agent:
    """Return the agent as its training begins: drawn from the seed, or with the weights of runs that it starts from.

    Raises:
        InvalidRun: there is no such run, or nothing trained in it yet.
        CircuitMismatch: its weights or observations do not fit.
    """
    agent = Agent(resolved.agent)
    start_parts(agent, resolved)
    if resolved.config.start is not None:
        start_from(agent, resolved)
    return agent


def start_from(agent: Agent, resolved: Resolved) -> None:
    """Give a fresh agent the weights and observation statistics of the run `config.start`.

    Raises:
        InvalidRun: there is no such run, or nothing trained in it yet.
        CircuitMismatch: that run normalised its observations in another way.
    """
    assert resolved.config.start is not None
    run = Run(resolved.config.start)
    before = run.agent(resolved.config.body)
    try:
        agent.load(before.circuit.state_dict(), before.observation_stats)
    except CircuitMismatch as error:
        raise CircuitMismatch(f"{run.path}: {error}") from error


def start_parts(agent: Agent, resolved: Resolved) -> None:
    """Give the parts of a composed circuit the weights of the runs that its plan names, if any.

    Raises:
        InvalidRun: there is no such run, or nothing trained in it yet.
        CircuitMismatch: its circuit's weights are not those of the part, or it saw normalised observations, which only
            a policy can take over.
    """
    plan = resolved.config.circuit_options.get("plan")
    if not isinstance(agent.circuit, Composed) or not isinstance(plan, Mapping):
        return
    for name, part in plan["parts"].items():
        if part.get("start") is not None:
            run = Run(part["start"])
            try:
                _load_part(agent.circuit.parts[name], run.agent())  # type: ignore[arg-type]
            except CircuitMismatch as error:
                raise CircuitMismatch(f"part {name}: {run.path}: {error}") from error


def load_policy(policy: Policy, agent: Agent) -> None:
    """Give a policy the weights of an agent, and its way of seeing and moving.

    Raises:
        CircuitMismatch: the agent's circuit is another, or its motors are bounded otherwise.
    """
    if agent.circuit.senses != policy.senses:
        raise CircuitMismatch(f"that agent senses {_listed(agent.circuit)}, and the part {_listed(policy)}")
    if not agent.circuit.is_bounded and (bound := "tanh" if agent.squash else "clip") != policy.bound:
        raise CircuitMismatch(f"that agent's motors are bounded by {bound}; give the part bound = {bound!r}")
    load_weights(policy.circuit, agent.circuit.state_dict())
    if agent.normalizer is None:
        return
    # The agent normalises what is observed, and then scales it; the policy is given it scaled.
    unit, columns = agent.sensing.scale, agent.sensing.columns
    policy.unit.copy_(unit)
    policy.mean.copy_(agent.normalizer.mean[columns] * unit)
    policy.std.copy_(agent.normalizer.std[columns] * unit)
    policy.clip.fill_(agent.normalizer.clip)


def _load_part(part: Circuit, agent: Agent) -> None:
    if isinstance(part, Policy):
        load_policy(part, agent)
    elif agent.normalizer is not None:
        raise CircuitMismatch(
            f"its observations were normalised, which the circuit alone does not know; give the part "
            f'circuit = "policy" and options = {{ circuit = "{agent.spec.circuit}" }}'
        )
    else:
        load_weights(part, agent.circuit.state_dict())


def _listed(circuit: Circuit) -> str:
    return ", ".join(f"{sense} ({size})" for sense, size in circuit.senses)
