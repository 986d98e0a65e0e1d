"""Transfer: evaluate an agent on unseen bodies, zero-shot and fine-tuned, with an untrained control."""

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
from ...files import plain_name
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
    """Evaluate a run's agent on its own and other bodies, with untrained NCAP as a control.

    All agents are tested on the same episodes. A body that the circuit does not fit gets a row that says so; an MLP's
    weights are resampled along bodies of other sizes. Every score is added to the run's results.

    Args:
        run: the run or its folder.
        bodies: names or `Body` objects.
        episodes: number of episodes on each body.
        finetune: environment steps of fine-tuning on each other body, as a run in finetuned/BODY-from-STEP-for-STEPS,
            followed by another test; 0 for none.
        progress: show progress bars.

    Returns:
        One row per body and agent: body, agent, trained_on (whether the run was trained on that body), mean, low, high
            (return with 95 % bootstrap interval over episodes), normalized (mean on a scale from random actions, 0,
            to the best known agent, 1; see `normalized_return`), net_speed (m/s), success (share of episodes, if the
            task defines it; see `Task.success`), n (number of episodes), note. `worst_and_mean` summarises it.

    Raises:
        UnknownName: there is no such body.
        CircuitMismatch: the circuit fits none of the bodies.
        InvalidOption: `finetune` is negative, or `episodes` is below 1.
        InvalidRun: the run has no checkpoint yet.
    """
    run = run if isinstance(run, Run) else Run(run)
    others = [make_body(body) for body in bodies]
    checkpoint = run.load_checkpoint(with_training=False)
    if checkpoint is None:
        raise InvalidRun(f"{run.path} has no checkpoint yet; `nervecord resume {run.argument}` trains it")
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
    """Return each agent's worst and mean return over bodies, separately for bodies trained on and unseen bodies.

    Args:
        table: output of `transfer`, `transfer_model` or `transfer_table`.

    Returns:
        Rows with the table's columns, where body is "worst" or "mean" and the note names the bodies. Means have no
        interval. There are no rows for a single body.
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

    A body that the model does not fit gets a row that says so. Results are only returned, not stored.

    Args:
        saved: the model with its environment settings.
        bodies: names or `Body` objects.
        episodes: number of episodes on each body.
        progress: show progress bars.

    Returns:
        One row per body and agent, with the columns of `transfer`.

    Raises:
        UnknownName: there is no such body.
        CircuitMismatch: the model does not fit its own body.
        InvalidOption: `episodes` is below 1.
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
    """Return a run's stored scores on each body, with the columns of `transfer`.

    Each score is the measurement with most episodes. If the last weights were not measured, scores of earlier weights
    are returned, and the note says so.
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
    """Return a row's numbers: of the return, and of net speed, m/s, and success where the task has them."""
    interval = bootstrap_mean(metrics["return"])
    normalized = {} if scale is None else {"normalized": scale.of(interval).mean}
    shown = {"net_speed": "net_speed", "success": task_class(task).success}
    means = {column: float(metrics[name].mean()) for column, name in shown.items() if name in metrics}
    return {"n": interval.n, "mean": interval.mean, "low": interval.low, "high": interval.high, **normalized, **means}


def _finetuned(run: Run, weights: Weights, body: Body, steps: int, progress: bool) -> Run:
    # Of these weights, and for so many steps: a run that trained on is tuned anew, and so is one that is tuned shorter.
    config = dataclasses.replace(run.config, body=body, bodies=(), steps=steps, start=str(run.path.resolve()))
    name = plain_name(f"{body.name}-from-{weights.step}-for-{steps}")
    return train(config, run.path / "finetuned" / name, progress)
