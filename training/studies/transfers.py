"""Transfer: one agent on bodies that it never saw, as it is and trained on, beside an untrained control."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from ...agents import Agent, AgentSpec
from ...envs import Body, EnvBatch, make_body
from ...envs.tasks.registry import task_class
from ...errors import CircuitMismatch, InvalidOption, InvalidRun
from ...intervals import bootstrap_mean
from ...options import COUNT, FLAG, Instance, ListOf, Number, checked
from ..learning.training import train
from ..rollouts.evaluation import evaluate_agent, result_of
from ..rollouts.saved_models import SavedModel
from ..runs.references import Scale, scale_of
from ..runs.result import FINETUNED, TESTS, TRAINED, Result, Weights
from ..runs.run import A_RUN, Run

CONTROL = "untrained ncap"
_COLUMNS = ["body", "agent", "trained_on", "mean", "low", "high", "normalized", "net_speed", "success", "n", "note"]


@checked(
    InvalidOption,
    run=A_RUN,
    bodies=ListOf(Instance((str, Path, Body), "a body or its name"), '["swimmer4"]'),
    episodes=COUNT,
    finetune=Number(0, is_whole=True),
    progress=FLAG,
)
def transfer(
    run: Run | str | Path,
    bodies: Sequence[str | Body] = ("swimmer4", "swimmer8", "swimmer12"),
    episodes: int = 20,
    finetune: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Evaluate a run's agent on its own and other bodies, beside untrained NCAP as a control.

    All are tested on the same episodes. A body that the circuit does not fit gets a row that says so; an
    MLP is resampled along bodies of other sizes. Every score is added to the run's results.

    Args:
        run: the run or its folder.
        bodies: names or bodies.
        episodes: on each body.
        finetune: environment steps to train on each other body, each a run in finetuned/BODY-from-STEP, and to
            test again after; 0 for none.
        progress: show bars.

    Returns:
        One row per body and agent: body, agent, trained_on (whether the run was trained on that body), mean, low, high
        (of the return, 95 % bootstrap interval over episodes), normalized (the mean where random actions have 0 and
        the best agent known has 1; see `normalized_return`), net_speed (m/s), success (share of episodes, where
        the task says what one is; see `Task.success`), n (episodes), note.
        `worst_and_mean` sums it up.

    Raises:
        UnknownName: no such body.
        CircuitMismatch: the circuit fits none of the bodies asked for.
        InvalidOption: a negative number of steps, or no episodes.
        InvalidRun: nothing is trained yet.
    """
    run = run if isinstance(run, Run) else Run(run)
    others = [make_body(body) for body in bodies]
    checkpoint = run.load_checkpoint(with_training=False)
    if checkpoint is None:
        raise InvalidRun(f"{run.path} has no checkpoint yet; `nervecord resume {run.path}` trains it")
    weights = Weights.of(checkpoint.step, checkpoint.weights)
    own = [make_body(body) for body in run.config.bodies or (run.config.body,)]
    chosen = [*own, *(body for body in others if body not in own)]
    results, found = run.results, []
    problems = []

    def test(make_agent: Callable[[], Agent], envs: EnvBatch, body: Body, label: str) -> str:
        """Evaluate an agent; return why it cannot be, if it cannot."""
        of, missing, values = weights, "", dict[str, Any]()
        try:
            agent = make_agent()
            values |= evaluate_agent(agent, envs, progress=progress).metrics
            of = Weights.of(0, agent.circuit.state_dict()) if label == CONTROL else weights
        except CircuitMismatch as error:
            missing = str(error)
        result = result_of(run.resolved.config, of, episodes, values, body, agent=label, missing=missing)
        found.append(results.add(result))
        return missing

    for body in chosen:
        there = run.resolved.on(body)
        # Bodies are drawn in training only; what is evaluated is the body that was named.
        envs = there.make_envs(episodes, randomize={})
        try:
            if problem := test(functools.partial(run.agent, body, checkpoint), envs, body, TRAINED):
                problems.append(problem)
            elif finetune and body not in own:
                test(_finetuned(run, weights, body, finetune, progress).agent, envs, body, FINETUNED)
            control = AgentSpec("ncap", there.agent.layout, there.agent.n_motors)
            test(functools.partial(Agent, control), envs, body, CONTROL)
        finally:
            envs.close()
    if others and problems and len(problems) == len(chosen) - len(own):
        raise CircuitMismatch(problems[0])
    return pd.DataFrame([_row(result, run) for result in found], columns=_COLUMNS)


def worst_and_mean(table: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest return and the mean over bodies of each agent, of bodies trained on and of those never seen.

    Args:
        table: of `transfer`, `transfer_model` or `transfer_table`; returns have no unit, net_speed is in m/s.

    Returns:
        Rows with the table's columns: body is "worst" or "mean", and the note names the bodies. A mean has no interval,
        which would have to be over bodies. One body alone has no rows.
    """
    rows = []
    for (was_seen, agent), group in table[table["n"] > 0].groupby(["trained_on", "agent"], sort=False):
        if len(group) < 2:
            continue
        about = {"agent": agent, "trained_on": was_seen}
        worst = group.iloc[int(group["mean"].to_numpy().argmin())]
        scores = {name: worst[name] for name in ("mean", "low", "high", "net_speed", "success", "n")}
        rows.append({"body": "worst", **about, **scores, "note": worst["body"]})
        means = {name: group[name].mean() for name in ("mean", "net_speed", "success")}
        rows.append({"body": "mean", **about, **means, "n": group["n"].sum(), "note": ", ".join(group["body"])})
    return pd.DataFrame(rows, columns=_COLUMNS)


def transfer_model(
    saved: SavedModel,
    bodies: Sequence[str | Body] = ("swimmer4", "swimmer8", "swimmer12"),
    episodes: int = 20,
    progress: bool = False,
) -> pd.DataFrame:
    """Evaluate a model that SB3 saved on its own and other bodies, with untrained NCAP as the control.

    A body that the model does not fit gets a row that says so. Nothing is kept but what is returned.

    Args:
        saved: the model, with what it is tried in.
        bodies: names or bodies.
        episodes: on each body.
        progress: show bars.

    Returns:
        One row per body and agent, with the columns of `transfer`'s table: returns have no unit, net_speed is in m/s.

    Raises:
        UnknownName: no such body.
        CircuitMismatch: the model fits not even its own body.
        InvalidOption: no episodes.
    """
    own = make_body(saved.body)
    saved.make_envs(1).close()
    rows: list[dict[str, Any]] = []
    for body in (own, *(other for other in map(make_body, bodies) if other != own)):
        envs, about = saved.make_envs_on(body, episodes), {"body": body.name, "trained_on": body == own}
        try:
            control = Agent(AgentSpec("ncap", envs.layout, envs.body.n_joints))
            for label, agent in ((TRAINED, saved), (CONTROL, control)):
                try:
                    if label == TRAINED:
                        saved.check(envs)
                    found = evaluate_agent(agent, envs, progress=progress)
                    scores = _scores(found.metrics, saved.scale_on(body), saved.task)
                    rows.append({**about, "agent": label, "note": "", **scores})
                except CircuitMismatch as error:
                    rows.append({**about, "agent": label, "note": str(error), "n": 0})
        finally:
            envs.close()
    return pd.DataFrame(rows, columns=_COLUMNS)


def transfer_table(run: Run) -> pd.DataFrame:
    """Return a table of a run's scores on each body, with the columns of `transfer`'s table.

    Each is the measurement on most episodes, in its own unit. Where the last weights were not measured, those before
    are there, and the note says so.
    """
    results = run.results
    names = run.config.body_names
    # Of one body each: what several bodies come to together is no body's.
    alone = [result for result in results.where(TESTS).own if len(result.conditions.get("bodies", ("one",))) == 1]
    tests = sorted(alone, key=lambda result: result.body not in names)  # the run's own bodies first
    rows = []
    for body in dict.fromkeys(result.body for result in tests):
        for agent in (TRAINED, FINETUNED, CONTROL):
            of_agent = results.where(TESTS, agent=agent, body=body).own
            best = of_agent.best if agent == CONTROL else of_agent.shown
            if best is not None:
                rows.append({**_row(best, run), "note": best.missing or results.told(best)})
    return pd.DataFrame(rows, columns=_COLUMNS)


def _row(result: Result, run: Run) -> dict[str, Any]:
    row: dict[str, Any] = {
        "body": result.body, "agent": result.agent, "n": 0, "note": result.missing,
        "trained_on": result.body in run.config.body_names,
    }  # fmt: skip
    return row if result.missing else row | _scores(result.metrics, scale_of(result.conditions), run.config.task)


def _scores(metrics: Mapping[str, Float[np.ndarray, " episodes"]], scale: Scale | None, task: str) -> dict[str, Any]:
    """Return a row's numbers: of the return, no unit, and of net speed, m/s, and success where the task has them."""
    interval = bootstrap_mean(metrics["return"])
    normalized = {} if scale is None else {"normalized": scale.of(interval).mean}
    shown = {"net_speed": "net_speed", "success": task_class(task).success}
    means = {column: float(metrics[name].mean()) for column, name in shown.items() if name in metrics}
    return {"n": interval.n, "mean": interval.mean, "low": interval.low, "high": interval.high, **normalized, **means}


def _finetuned(run: Run, weights: Weights, body: Body, steps: int, progress: bool) -> Run:
    # Of these weights: a run that trained on is tuned anew.
    config = dataclasses.replace(run.config, body=body, bodies=(), steps=steps, start=str(run.path.resolve()))
    return train(config, run.path / "finetuned" / f"{body.name}-from-{weights.step}", progress)
