"""Routing: combine several trained agents into one that recognises its body and selects the agent for it.

After Hussaini, Milford and Fischer, ICRA 2023 (https://arxiv.org/abs/2209.08723), with whole agents as experts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ...agents import Agent
from ...circuits import Composed
from ...circuits.liquid.fixed import moments
from ...circuits.routing.recogniser import Recogniser
from ...envs import make_body
from ...errors import InvalidOption, InvalidRun
from ...options import COUNT, FLAG, PATH, ListOf, OneOf, checked
from ...progress import progress_bar
from ..learning.checks import check
from ..learning.start import load_policy
from ..probes.tools.ridge_classifier import ridge_readout
from ..rollouts.evaluation import evaluate_agent
from ..rollouts.interventions import Intervention
from ..rollouts.recorder import record_agent
from ..runs.config import RunConfig
from ..runs.made import check_new, write_made
from ..runs.resolution import Resolved
from ..runs.run import A_RUN, Run, agent_with

RECOGNISER = "recogniser"
_RECORDED_SEED = 700_000  # of the episodes it learns from, which evaluations never see
_KINDS: Mapping[str, Mapping[str, Any]] = {
    "motion": {"units": 200, "window": 1.8},
    "facts": {"units": 0, "window": 0.06},
}


@dataclasses.dataclass(frozen=True)
class Routing:
    """A router, and its accuracy.

    Attributes:
        run: run of the router, for `evaluate`, `transfer`, `render` and others; nothing in it is trained by RL.
        table: one row per body: body, agent (run that should act on it), told (accuracy: share of decisions in held-out
            episodes that name that run, over all acting agents), routed and alone (mean returns of the router and of
            that run).
    """

    run: Run
    table: pd.DataFrame


@checked(
    InvalidOption,
    runs=ListOf(A_RUN, '["runs/a", "runs/b"]'),
    out=PATH,
    by=OneOf(tuple(_KINDS)),
    episodes=COUNT,
    progress=FLAG,
)
def route(
    runs: Sequence[Run | str | Path],
    out: str | Path,
    by: Literal["motion", "facts"] = "motion",
    episodes: int = 5,
    seed: int = 0,
    progress: bool = False,
    trust: bool = False,
) -> Routing:
    """Combine several runs into one agent, which uses each run on the bodies that it was trained on; write it to `out`.

    All agents step all the time, so that their states stay current, but only one commands the motors, selected by a
    recogniser (see `Recogniser`). With "motion", a fixed spiking liquid receives the senses, and a ridge classifier on
    its spikes in 1.8 s selects the run. It is fitted to recordings of every body moved by every agent, because any
    agent may act before the body is recognised; until then, the first run acts. With "facts", the sense `context` is
    compared with that of the bodies, and the run of the nearest body acts at once.

    Args:
        runs: runs or their folders, of the same task and on bodies with the same number of joints.
        out: folder of the new run.
        by: how bodies are recognised, "motion" or "facts".
        episodes: number of episodes recorded for each body and agent, the last of which is held out for testing; also
            number of episodes of the evaluation.
        seed: seed of the liquid.
        progress: show progress bars.
        trust: follow links in the folders, and run their circuits' code; see `Folder`.

    Raises:
        InvalidOption: there are fewer than two runs or fewer than two episodes.
        InvalidRun: a run has no checkpoint yet, or runs differ in task, joints, control step or surroundings, or share
            a body.
        OutputExists: `out` exists.
    """
    opened = [run if isinstance(run, Run) else Run(run, trust) for run in runs]
    if len(opened) < 2:
        raise InvalidOption(f"{len(opened)} runs leave nothing to choose; give two or more")
    if episodes < 2:
        raise InvalidOption(f"episodes is {episodes}; give 2 or more, since the last is held out")
    check_new(out)
    _check_alike(opened)
    resolved = check(_config(opened, by, seed))
    agent = Agent(resolved.agent)
    circuit = agent.circuit
    assert isinstance(circuit, Composed)
    for number, run in enumerate(opened):
        load_policy(circuit.parts[_expert(number)], run.agent())  # type: ignore[arg-type]
    cases = [(resolved.on(body), number) for number, run in enumerate(opened) for body in _bodies(run)]
    rollouts = len(cases) * (len(opened) if by == "motion" else 0) + len(cases)
    with torch.no_grad(), progress_bar(total=rollouts, desc="route", unit="rollout", disable=not progress) as bar:
        if by == "motion":
            told = _told_by_motion(agent, cases, len(opened), episodes, bar.update)
        else:
            told = _told_by_facts(agent, cases, len(opened))
        rows = []
        for (there, number), share in zip(cases, told, strict=True):
            rows.append(_row(agent, there, opened[number], share, episodes))
            bar.update(1)
    made = {"by": "route", "of": [str(run.path) for run in opened], "told_by": by}
    run = write_made(out, resolved, circuit.state_dict(), agent.observation_stats, 0, made)
    return Routing(run, pd.DataFrame(rows))


def _bodies(run: Run) -> list[Any]:
    return [make_body(body) for body in run.config.bodies or (run.config.body,)]


def _expert(number: int) -> str:
    return f"agent{number}"


def _check_alike(runs: Sequence[Run]) -> None:
    """Refuse runs that cannot move one body in turn, or of which two are for the same."""
    first, seen = runs[0], dict[Any, Path]()

    def facts(run: Run) -> dict[str, Any]:
        config = run.resolved.config
        options = {name: value for name, value in config.task_options.items() if name != "senses"}
        return {
            "task": config.task, "task options": options, "arena": config.arena, "episode length": config.episode_steps,
            "number of joints": run.resolved.agent.n_motors, "control step": run.resolved.agent.layout.dt,
        }  # fmt: skip

    for run in runs:
        for (name, one), other in zip(facts(first).items(), facts(run).values(), strict=True):
            if one != other:
                raise InvalidRun(f"{run.path} has {name} {other} and {first.path} {one}; give runs that share it")
        if ":" in run.config.circuit:
            raise InvalidRun(f"the circuit of {run.path} comes from a file; a router takes circuits that have a name")
        for body in _bodies(run):
            if body in seen:
                raise InvalidRun(f"{seen[body]} and {run.path} are both for {body.name}; give one run for each body")
            seen[body] = run.path


def _config(runs: Sequence[Run], by: str, seed: int) -> RunConfig:
    """Return the config of the composed run: a plan with each run's agent, and the recogniser that gates its motors."""
    first = runs[0].resolved.config
    senses = list(dict.fromkeys(sense for run in runs for sense in run.resolved.senses))
    heard = ["context"] if by == "facts" else [sense for sense in senses if sense not in ("time", "context")]
    parts: dict[str, Any] = {
        RECOGNISER: {"circuit": "recogniser", "options": dict(_KINDS[by]), "motors": len(runs)},
    }
    wires: list[dict[str, Any]] = [{"source": f"in.{sense}", "target": f"{RECOGNISER}.{sense}"} for sense in heard]
    for number, run in enumerate(runs):
        name, agent = _expert(number), run.agent()
        options = {"circuit": run.config.circuit, "options": dict(run.resolved.config.circuit_options)}
        parts[name] = {"circuit": "policy", "options": {**options, "bound": "tanh" if agent.squash else "clip"}}
        wires += [{"source": f"in.{sense}", "target": f"{name}.{sense}"} for sense, _ in agent.circuit.senses]
        wires.append({"source": name, "target": "out", "gate": f"{RECOGNISER}:{number}:{number + 1}"})
    bodies = tuple(body for run in runs for body in _bodies(run))
    options = {**first.task_options, "senses": [*senses, *(sense for sense in heard if sense not in senses)]}
    return RunConfig(
        "compose", "es", body=bodies[0], bodies=bodies, task=first.task, task_options=options, arena=first.arena,
        episode_steps=first.episode_steps, seed=seed, circuit_options={"plan": {"parts": parts, "wires": wires}},
    )  # fmt: skip


def _on(agent: Agent, there: Resolved) -> Agent:
    return agent_with(there, agent.circuit.state_dict(), agent.observation_stats)


def _told_by_motion(
    agent: Agent, cases: Sequence[tuple[Resolved, int]], n_agents: int, episodes: int, on_rollout: Callable[[], Any]
) -> list[float]:
    """Fit the recogniser to recordings; return the share of decisions that are right in each body's last episodes."""
    recogniser = _recogniser(agent)
    heard = [[_heard(agent, there, chosen, n_agents, episodes, on_rollout) for chosen in range(n_agents)]
             for there, _ in cases]  # fmt: skip
    rows = torch.cat([series.flatten(0, 1) for body in heard for series in body])
    _standardise(recogniser, rows)
    counts = [torch.cat([recogniser.hear(series) for series in body]) for body in heard]  # [decisions, episodes, units]
    known = [each[:, :-1].flatten(0, 1) for each in counts]
    numbers = np.repeat([number for _, number in cases], [len(each) for each in known])
    _set_readout(recogniser, *ridge_readout(torch.cat(known).double().numpy(), numbers, n_agents))
    guesses = [recogniser.readout(each[:, -1]).argmax(-1) for each in counts]
    return [float((guess == number).float().mean()) for guess, (_, number) in zip(guesses, cases, strict=True)]


def _heard(
    agent: Agent, there: Resolved, chosen: int, n_agents: int, episodes: int, on_rollout: Callable[[], Any]
) -> Float[Tensor, "time episodes sensors"]:
    """Return what the recogniser senses on a body that one of the agents moves."""
    on_body, envs = _on(agent, there), there.make_envs(episodes, randomize={})
    clamped = [Intervention(f"{RECOGNISER}/motor_{number}", "clamp", float(number == chosen))
               for number in range(n_agents)]  # fmt: skip
    try:
        recording = record_agent(on_body, envs, _RECORDED_SEED, clamped)
    finally:
        envs.close()
    on_rollout()
    shortest = int(min(recording.lengths))
    sensed = recording.activity[:, :shortest, on_body.circuit.groups[f"{RECOGNISER}/sensors"]]
    return torch.as_tensor(np.asarray(sensed)).transpose(0, 1)


def _told_by_facts(agent: Agent, cases: Sequence[tuple[Resolved, int]], n_agents: int) -> list[float]:
    """Let the recogniser choose the agent whose bodies' mean facts are nearest; return 1 for bodies that it gets right.

    Distances are in standard deviations over the bodies. |x - c|^2 is least where 2 c x - |c|^2 is highest.
    """
    recogniser, facts = _recogniser(agent), []
    for there, _ in cases:
        envs = there.make_envs(1, randomize={})
        try:
            envs.seed([_RECORDED_SEED])
            observation = envs.reset(np.arange(1))
        finally:
            envs.close()
        facts.append(torch.as_tensor(observation[0, there.agent.layout["context"]], dtype=torch.float32))
    rows = torch.stack(facts)
    _standardise(recogniser, rows)
    features = (rows - recogniser.mean) / recogniser.std
    numbers = torch.tensor([number for _, number in cases])
    centres = torch.stack([features[numbers == number].mean(0) for number in range(n_agents)])
    _set_readout(recogniser, 2 * centres, -centres.square().sum(-1))
    return (recogniser.readout(features).argmax(-1) == numbers).float().tolist()


def _recogniser(agent: Agent) -> Recogniser:
    recogniser = agent.circuit.get_submodule(f"parts.{RECOGNISER}")
    assert isinstance(recogniser, Recogniser)
    return recogniser


def _set_readout(recogniser: Recogniser, weights: Any, biases: Any) -> None:
    recogniser.readout.weight.copy_(torch.as_tensor(weights))
    recogniser.readout.bias.copy_(torch.as_tensor(biases))


def _standardise(recogniser: Recogniser, rows: Float[Tensor, "many sensors"]) -> None:
    for buffer, value in zip((recogniser.mean, recogniser.std), moments(rows), strict=True):
        buffer.copy_(value)


def _row(agent: Agent, there: Resolved, run: Run, told: float, episodes: int) -> dict[str, Any]:
    body = make_body(there.config.body)
    envs, its = there.make_envs(episodes, randomize={}), run.resolved.on(body).make_envs(episodes, randomize={})
    try:
        routed, alone = evaluate_agent(_on(agent, there), envs), evaluate_agent(run.agent(body), its)
    finally:
        envs.close()
        its.close()
    means = {"routed": routed.returns.mean(), "alone": alone.returns.mean()}
    return {"body": body.name, "agent": run.path.name, "told": told, **means, "n": episodes}
