"""Trials: runs with everything that is measured of them, many at once, kept in one store."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...agents import CircuitPolicy
from ...circuits import Wiring
from ...envs import Body, make_body
from ...errors import InvalidRecording, NervecordError
from ...progress import progress_bar
from ..learning.checks import check
from ..learning.engine import Engine, run_tasks
from ..learning.training import train
from ..probes import Subject, run_probe
from ..rollouts.evaluation import evaluate_on
from ..rollouts.recorder import record
from ..runs.config import RunConfig
from ..runs.lock import hold
from ..runs.run import Run
from ..runs.scores import Store

# Control steps per second and core of each algorithm, roughly: what a progress bar goes by.
_RATE = {"es": 10_000, "cmaes": 10_000, "ppo": 2_000}
_SLOWEST = 600
_GAIT_EPISODES = 4

Rows = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One run, and what is measured of it beside its return.

    Attributes:
        study: what the trial belongs to.
        agent: the label that it shares with the other seeds.
        config: of the run.
        untrained: evaluate the agent as it was before training.
        bodies: evaluate the trained agent on these bodies too, as it is.
        gait: probe the trained agent's gait.
    """

    study: str
    agent: str
    config: RunConfig
    untrained: bool = False
    bodies: tuple[str, ...] = ()
    gait: bool = False

    @property
    def cost(self) -> float:
        """About how long it takes on one core, seconds."""
        return self.config.steps / _RATE.get(self.config.algorithm, _SLOWEST)


def run_trials(
    trials: Mapping[str, Trial],
    out: Path,
    store: Store,
    episodes: int = 20,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    progress: bool = True,
) -> None:
    """Run the trials that the store does not hold yet, each in the folder `out`/NAME, the longest first.

    A trial that cannot be, whatever the error, keeps its reason as a note in the store; the others go on.

    Raises:
        InvalidRun: a folder holds a run of another config, or trials run in `out` already; see `run_tasks` for
            the rest.
    """
    held = store.sources()
    for name in held & trials.keys():
        if (out / name / "config.json").exists():
            Run.create(out / name, trials[name].config, check)
    left = sorted((name for name in trials if name not in held), key=lambda name: -trials[name].cost)
    # Absolute, because a worker on another machine starts in another folder.
    tasks = {name: (trials[name], (out / name).resolve(), episodes) for name in left}
    done = sum(trials[name].cost for name in held & trials.keys())
    bar = progress_bar(
        total=done + sum(trials[name].cost for name in left), initial=done, disable=not progress, desc="trials",
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    with hold(out), bar, contextlib.closing(run_tasks(measure, tasks, workers, engine, address)) as outcomes:
        for number, (name, outcome) in enumerate(outcomes, 1):
            if isinstance(outcome, Exception):
                trial = trials[name]
                note = str(outcome) or type(outcome).__name__
                outcome = [{"study": trial.study, "agent": trial.agent, **run_facts(trial.config), "note": note}]
            store.put(name, outcome)
            bar.set_postfix_str(f"{len(trials) - len(left) + number}/{len(trials)} {name}", refresh=False)
            bar.update(trials[name].cost)


def measure(trial: Trial, path: Path, episodes: int) -> Rows:
    """Train one trial's run, or go on with it, and return its rows for the store."""
    config = trial.config
    about = {"study": trial.study, "agent": trial.agent, **run_facts(config)}
    run = train(config, path, progress=False)
    agent = run.policy()
    about["weights"] = sum(parameter.numel() for parameter in agent.circuit.parameters())
    own = make_body(config.body)
    rows: Rows = list(curve_rows(run))

    def test(stage: str, step: int, policy: Callable[[], CircuitPolicy], body: Body) -> None:
        place = {"stage": stage, "step": step, "body": body.name}
        try:
            rows.extend({**place, **row} for row in evaluate_on(config, policy(), body, episodes).rows())
        except NervecordError as error:
            rows.append({**place, "note": str(error)})

    if trial.untrained:
        test("untrained", 0, lambda: run.policy(trained=False), own)
    test("finetuned" if config.start else "trained", config.steps, lambda: agent, own)
    for body in map(make_body, trial.bodies):
        if body != own:
            test("trained", config.steps, lambda body=body: run.policy(body), body)  # type: ignore[misc]
    if trial.gait:
        rows += [{"stage": "trained", "step": config.steps, "body": own.name, **row} for row in _gait(run)]
    return [{**about, **row} for row in rows]


def run_facts(config: RunConfig) -> dict[str, Any]:
    """Return what a store's rows say of a run."""
    return {
        "circuit": config.circuit,
        "algorithm": config.algorithm,
        "reward": config.reward,
        "trained_on": make_body(config.body).name,
        "seed": config.seed,
    }


def curve_rows(run: Run) -> Iterator[dict[str, Any]]:
    """Return a run's evaluations in training as rows for a store."""
    table, body = run.metrics(), make_body(run.config.body).name
    for step, metric, value in zip(table["step"], table["metric"], table["value"], strict=True):
        if metric.startswith("eval/"):
            place = {"stage": "training", "body": body, "step": int(step)}
            yield {**place, "metric": metric.removeprefix("eval/"), "value": float(value)}


def _gait(run: Run) -> Iterator[dict[str, Any]]:
    try:
        numbers = run_probe("gait", Subject(record(run, _GAIT_EPISODES), Wiring((), ()))).numbers
    except InvalidRecording as error:
        yield {"metric": "gait", "note": str(error)}
        return
    for metric, value in numbers.items():
        if not metric.endswith(("_low", "_high")):
            yield {"metric": metric, "value": float(value)}
