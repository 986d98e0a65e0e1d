"""Transfer: one agent on bodies that it never saw, as it is and trained on, beside an untrained control."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...agents import Agent
from ...envs import Body, make_body
from ...errors import CircuitMismatch, InvalidRun
from ...intervals import bootstrap_mean
from ..learning.training import train
from ..rollouts.evaluation import evaluate_on
from ..runs.config import RunConfig
from ..runs.resolve import Resolved, resolve
from ..runs.run import Run
from ..runs.scores import COLUMNS, Store
from .trials import Rows, run_facts

CONTROL = "untrained ncap"
_STUDY = "transfer"
_AGENT = ["body", "agent"]
_log = logging.getLogger(__name__)


def transfer(
    run: Run | str | Path,
    bodies: Sequence[str | Body] = ("swimmer4", "swimmer8", "swimmer12"),
    episodes: int = 20,
    finetune: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Evaluate a run's agent on its own and other bodies, with untrained NCAP as the control.

    All are tested on the same episodes. A body that the circuit does not fit gets a row that says so; an
    MLP is resampled along bodies of other sizes. Every score is kept in the run's results.sqlite, beside those
    of other bodies; what the same weights reached on more episodes is kept instead.

    Args:
        run: the run or its folder.
        bodies: names or bodies.
        episodes: on each body.
        finetune: environment steps to train on each other body, each a run in finetuned/, and to test
            again after; 0 for none.
        progress: show bars.

    Returns:
        One row per body and agent: body, agent, mean, low, high (of the return, 95 % bootstrap interval
        over episodes), net_speed (m/s), n (episodes), note.

    Raises:
        UnknownName: no such body.
        CircuitMismatch: the circuit fits none of the bodies asked for.
        InvalidRun: a negative number of steps.
    """
    run = run if isinstance(run, Run) else Run(run)
    others = [make_body(body) for body in bodies]
    if finetune < 0:
        raise InvalidRun(f"finetune is {finetune} steps; give 0 or more")
    own = make_body(run.config.body)
    chosen = [own, *(body for body in others if body != own)]
    rows: Rows = []
    problems = []
    for body in chosen:
        try:
            rows += _test(run, run.agent(body), body, "trained", episodes, progress)
        except CircuitMismatch as error:
            problems.append(str(error))
            rows.append({"agent": "trained", "stage": "trained", "body": body.name, "note": str(error)})
        else:
            if finetune and body != own:
                tuned = _finetuned(run, body, finetune, progress)
                rows += _test(tuned, tuned.agent(), body, "finetuned", episodes, progress)
        rows += _test(run, Agent(_control(run, body).agent), body, "untrained", episodes, progress)
    if others and problems and len(problems) == len(chosen) - 1:
        raise CircuitMismatch(problems[0])
    about = {"study": _STUDY, **run_facts(run.config)}
    scores = pd.DataFrame([{**about, **row} for row in rows], columns=list(COLUMNS))
    _keep(run, scores)
    return _table(scores)


def transfer_table(run: Run) -> pd.DataFrame:
    """Return what every `transfer` of a run came to, with the columns of its table, each in its own unit."""
    return _table(Store(run.path / "results.sqlite").read(_STUDY))


def _keep(run: Run, scores: pd.DataFrame) -> None:
    """Put scores beside those of other bodies; where the same weights have more episodes, those stay."""
    store, step = Store(run.path / "results.sqlite"), _step(run)
    held = store.read(_STUDY)
    is_current = (held["stage"] != "trained") | held["step"].isna() | (held["step"] == step)
    groups = dict(list(held[is_current].groupby(_AGENT, sort=False)))
    kept = []
    for key, new in scores.groupby(_AGENT, sort=False):
        old = groups.get(key, new)
        if old["episode"].nunique() > new["episode"].nunique():
            kept.append(f"{key[1]} on {key[0]} ({old['episode'].nunique()})")
        else:
            groups[key] = new
    if kept:
        _log.warning("nervecord: %s keeps what was measured on more episodes: %s", run.path, ", ".join(kept))
    merged = pd.concat(groups.values()).astype(object)
    store.put(_STUDY, merged.where(merged.notna(), None).to_dict("records"))  # type: ignore[arg-type]


def _table(scores: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (body, agent), of_agent in scores.groupby(_AGENT, sort=False):
        values = of_agent.pivot_table(index="episode", columns="metric", values="value")
        row: dict[str, Any] = {"body": body, "agent": agent, "n": len(values), "note": _text(of_agent["note"].iloc[0])}
        if len(values):
            interval = bootstrap_mean(values["return"])
            row |= {"mean": interval.mean, "low": interval.low, "high": interval.high}
            row["net_speed"] = float(values["net_speed"].mean())
        rows.append(row)
    return pd.DataFrame(rows, columns=["body", "agent", "mean", "low", "high", "net_speed", "n", "note"])


def _test(run: Run, agent: Agent, body: Body, stage: str, episodes: int, progress: bool) -> Rows:
    resolved = _control(run, body) if stage == "untrained" else run.resolved.on(body)
    found = evaluate_on(resolved, agent, episodes, progress=progress)
    label = CONTROL if stage == "untrained" else stage
    place = {"agent": label, "stage": stage, "step": 0 if stage == "untrained" else _step(run), "body": body.name}
    return [{**place, **row} for row in found.rows()]


def _text(note: Any) -> str:
    return note if isinstance(note, str) else ""


def _step(run: Run) -> int:
    checkpoint = run.load_checkpoint()
    assert checkpoint is not None
    return checkpoint.step


def _finetuned(run: Run, body: Body, steps: int, progress: bool) -> Run:
    config = dataclasses.replace(run.config, body=body, steps=steps, start=str(run.path.resolve()))
    return train(config, run.path / "finetuned" / body.name, progress)


def _control(run: Run, body: Body) -> Resolved:
    """Return untrained NCAP on a body, with the task and the surroundings of the run."""
    of_run = run.config
    config = RunConfig(
        "ncap", "es", body, of_run.task, episode_steps=of_run.episode_steps, task_options=of_run.task_options,
        arena=of_run.arena, physics=of_run.physics,
    )  # fmt: skip
    return resolve(config)
