"""Trials: runs with everything that is measured of them, many at once, each kept in a file of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...agents import Agent
from ...circuits import Wiring
from ...envs import Body, make_body
from ...errors import InvalidOption, InvalidRun, NervecordError, OutputExists
from ...progress import progress_bar
from ..learning.engine import Engine, check_engine, run_tasks
from ..learning.start import begun
from ..learning.training import train
from ..probes import Subject, run_probe
from ..rollouts.evaluation import EVALUATION_SEED, check_episodes, conditions_on, evaluate_on, result_of
from ..rollouts.interventions import Intervention
from ..rollouts.recorder import record
from ..runs.config import RunConfig
from ..runs.lock import hold
from ..runs.result import FINETUNED, TESTS, TRAINED, UNTRAINED, Result, Weights, conditions_of
from ..runs.run import Run
from ..runs.trial_files import TrialFiles, asked_of

# Control steps per second and core of each algorithm, roughly: what a progress bar goes by.
_RATE = {"es": 300_000, "cmaes": 300_000, "ppo": 12_000}
_SLOWEST = 300
_GAIT_EPISODES = 4
# Stages of scores after training: of a run that started from another's weights, they are those of a finetuned one.
AFTER = (TRAINED, FINETUNED)
_log = logging.getLogger(__name__)


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
        interventions: evaluate the trained agent under each of these too; its scores have the name as their stage.
    """

    study: str
    agent: str
    config: RunConfig
    untrained: bool = False
    bodies: tuple[str, ...] = ()
    gait: bool = False
    interventions: Mapping[str, tuple[Intervention, ...]] = dataclasses.field(default_factory=dict)

    @property
    def cost(self) -> float:
        """About how long it takes on one core, seconds."""
        return self.config.steps / _RATE.get(self.config.algorithm, _SLOWEST)

    @property
    def about(self) -> dict[str, Any]:
        """What every row of its scores says."""
        return {"study": self.study, "agent": self.agent, **run_facts(self.config)}

    def asked(self, episodes: int, out: Path) -> dict[str, Any]:
        """Return what its scores depend on, as JSON types, the same wherever the study's folder `out` lies."""
        config = self.config
        if config.start is not None and Path(config.start).is_relative_to(out.resolve()):
            config = dataclasses.replace(config, start=Path(config.start).relative_to(out.resolve()).as_posix())
        bodies = [make_body(body).to_json() for body in self.bodies]
        asked = asked_of(config, episodes=episodes, untrained=self.untrained, bodies=bodies, gait=self.gait)
        # Trials of other studies were stored without.
        done = {name: [dataclasses.asdict(each) for each in some] for name, some in self.interventions.items()}
        return {**asked, "interventions": done} if done else asked


@dataclasses.dataclass(frozen=True)
class Measured:
    """What came of a trial.

    Attributes:
        weights: how many are trained.
        results: each with its stage.
        curve: evaluations in training: environment step, metric, mean.
        note: why it could not be, "" where it could.
    """

    weights: int | None = None
    results: Sequence[tuple[str, Result]] = ()
    curve: Sequence[tuple[int, str, float]] = ()
    note: str = ""


def run_trials(
    trials: Mapping[str, Trial],
    out: Path,
    files: TrialFiles,
    episodes: int = 20,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    progress: bool = True,
) -> None:
    """Run the trials that are not done yet, each in the folder `out`/NAME, the longest first.

    A trial that cannot be, whatever its error, leaves the reason as a note, and is tried again the next time; the
    others go on. When all are through, the table of their scores is written.

    Raises:
        InvalidOption: no episodes.
        InvalidRun: a folder holds a run of another config, or trials run in `out` already; see `run_tasks`
            for the rest.
    """
    check_episodes(episodes)
    check_engine(workers, engine, address)
    for name, trial in trials.items():
        _check_folder(out / name, trial.config)
    asked = {name: trial.asked(episodes, out) for name, trial in trials.items()}
    left = sorted((name for name in trials if not files.holds(name, asked[name])), key=lambda name: -trials[name].cost)
    # Absolute, because a worker on another machine starts in another folder.
    tasks = {name: (trials[name], (out / name).resolve(), episodes) for name in left}
    done = sum(trials[name].cost for name in trials.keys() - set(left))
    bar = progress_bar(
        total=done + sum(trials[name].cost for name in left), initial=done, disable=not progress, desc="trials",
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    with bar, hold(out), contextlib.closing(run_tasks(measure, tasks, workers, engine, address)) as outcomes:
        for number, (name, outcome) in enumerate(outcomes, 1):
            found = outcome
            if isinstance(outcome, Exception):
                found = Measured(note=str(outcome) or type(outcome).__name__)
            about = {**trials[name].about, "weights": found.weights}
            files.put(name, asked[name], about, found.results, found.curve, found.note)
            bar.set_postfix_str(f"{len(trials) - len(left) + number}/{len(trials)} {name}", refresh=False)
            bar.update(trials[name].cost)
    files.write_table()


def check_written(files: TrialFiles, study: str, paths: Iterable[Path], told: str) -> None:
    """Refuse to replace tables and figures in the folder of a study that has no scores there yet.

    Raises:
        OutputExists: one of the paths exists; the message has `told`, such as "no ablation wrote it".
    """
    if files.table(study).empty:
        for path in paths:
            if path.exists():
                raise OutputExists(f"{path} exists and {told}; give another --out")


def _check_folder(path: Path, config: RunConfig) -> None:
    """Refuse a folder that holds a run of another config; one that is damaged is the trial's own trouble."""
    try:
        Run(path)
    except NervecordError:
        return
    Run.create(path, config)


def measure(trial: Trial, path: Path, episodes: int) -> Measured:
    """Train one trial's run, or go on with it, and measure it; what is measured already is not measured again."""
    try:
        return _measure(trial, train(trial.config, path, progress=False), episodes)
    except NervecordError as error:
        return Measured(note=str(error))
    except Exception as error:  # of plug-ins, say; the other trials have no part in it
        _log.exception("nervecord: trial %s failed", path)
        return Measured(note=f"{type(error).__name__}: {' '.join(str(error).split())}")


def _measure(trial: Trial, run: Run, episodes: int) -> Measured:
    config, weights = trial.config, run.last_weights()
    assert weights is not None
    agent = run.agent()
    own = None if len(config.bodies) > 1 else make_body(config.body)
    results: list[tuple[str, Result]] = []
    if trial.untrained:
        before = begun(run.resolved)
        initial = Weights.of(0, before.circuit.state_dict())
        results.append((UNTRAINED, evaluated(run, lambda: before, initial, None, episodes, UNTRAINED)))
    results.append((FINETUNED if config.start else TRAINED, evaluated(run, lambda: agent, weights, None, episodes)))
    for body in map(make_body, trial.bodies):
        if body != own:
            results.append((TRAINED, evaluated(run, lambda body=body: run.agent(body), weights, body, episodes)))  # type: ignore[misc]
    if trial.gait:
        results.append((TRAINED, _gait(run, weights)))
    for name, interventions in trial.interventions.items():
        results.append((name, evaluated(run, lambda: agent, weights, None, episodes, interventions=interventions)))
    return Measured(sum(parameter.numel() for parameter in agent.circuit.parameters()), results, curve(run))


def evaluated(
    run: Run,
    agent: Callable[[], Agent],
    weights: Weights,
    body: Body | None,
    episodes: int,
    label: str = TRAINED,
    interventions: Sequence[Intervention] = (),
) -> Result:
    """Return what an agent comes to, from the run's results where it was measured before, else measured now and kept.

    Raises:
        InvalidOption: no episodes.
    """
    conditions = conditions_on(run.resolved.config, episodes, body, interventions)
    held = run.results.where(TESTS, agent=label, weights=weights, **conditions).best
    if held is not None and not held.missing:
        return held
    try:
        values: Mapping[str, Any] = evaluate_on(run.resolved.on(body), agent(), episodes, interventions).metrics
        missing = ""
    except (InvalidRun, InvalidOption):
        raise
    except NervecordError as error:
        values, missing = {}, str(error)
    return run.results.add(
        result_of(run.resolved.config, weights, episodes, values, body, interventions, label, missing)
    )


def run_facts(config: RunConfig) -> dict[str, Any]:
    """Return what the rows of a table say of a run."""
    return {
        "circuit": config.circuit,
        "algorithm": config.algorithm,
        "reward": config.task_options.get("reward", "paper"),
        "trained_on": config.trained_on,
        "seed": config.seed,
    }


def means_of(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over episodes of each metric of the trained agents, in its own unit; a row for each trial."""
    trained = scores[scores["stage"].isin(AFTER)]
    return trained.pivot_table(index="source", columns="metric", values="value")


def curve(run: Run) -> list[tuple[int, str, float]]:
    """Return a run's evaluations in training: environment step, metric, mean."""
    table = run.metrics()
    table = table[table["metric"].str.startswith("eval/")]
    return [
        (int(step), metric.removeprefix("eval/"), float(value))
        for step, metric, value in zip(table["step"], table["metric"], table["value"], strict=True)
    ]


def _gait(run: Run, weights: Weights) -> Result:
    conditions = conditions_of(run.resolved.config, _GAIT_EPISODES, EVALUATION_SEED)
    held = run.results.where("probe", "gait", weights=weights, **conditions).best
    if held is not None and not held.missing:
        return _means(held)
    made = Result("probe", weights, conditions, name="gait")
    try:
        found = run_probe("gait", Subject(record(run, _GAIT_EPISODES).until_first_end(), Wiring((), ())))
    except NervecordError as error:
        return dataclasses.replace(made, missing=str(error))
    numbers = {name: {"value": value, "unit": found.units[name]} for name, value in found.numbers.items()}
    plain = json.loads(json.dumps(numbers))
    return _means(run.results.add(dataclasses.replace(made, numbers=plain, words=found.words)))


def _means(gait: Result) -> Result:
    """Leave out the ends of intervals, which are over episodes; a study's are over seeds."""
    return dataclasses.replace(
        gait, numbers={name: each for name, each in gait.numbers.items() if not name.endswith(("_low", "_high"))}
    )
