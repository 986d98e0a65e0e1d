"""Several runs side by side: seeds of one config together, curves with intervals, one table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...drawing.figures import figure_svg, interval_curves
from ...envs import make_body
from ...errors import InvalidRun, OutputExists
from ...files import write_text, write_whole
from ...intervals import bootstrap_iqm, probability_of_improvement
from ...options import COUNT, FLAG, PATH, ListOf, checked
from ..rollouts.evaluation import evaluate, result_of
from ..runs.held_graphs import tell_graph
from ..runs.result import TRAINED, Result
from ..runs.run import A_RUN, Run
from ..runs.trial_files import TrialFiles, asked_of
from .trials import curve, run_facts

_STUDY = "comparison"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a comparison came to.

    Attributes:
        table: one row per group of runs that differ in their seed alone: IQM of the mean return over
            seeds with its 95 % interval (no unit), the net speed, m/s, and the probability that a seed beats
            one of the first group.
        path: the folder with table.csv, results.sqlite (every score; see `read_scores`) and curves.svg.
    """

    table: pd.DataFrame
    path: Path


@checked(InvalidRun, runs=ListOf(A_RUN, '["runs/a", "runs/b"]'), out=PATH, episodes=COUNT, progress=FLAG)
def compare(
    runs: Sequence[Run | str | Path], out: str | Path, episodes: int = 20, progress: bool = False
) -> Comparison:
    """Evaluate runs whose last weights were not yet, group them by config, and write table and curves to `out`.

    Raises:
        InvalidRun: fewer than two runs, no episodes, one that is no run or not trained, or the same seed
            twice in a group.
        OutputExists: something stands in `out` that no comparison wrote.
    """
    opened = [run if isinstance(run, Run) else Run(run) for run in runs]
    out = Path(out)
    if len(opened) < 2:
        raise InvalidRun(f"{len(opened)} run to compare; give two or more")
    files = TrialFiles(out)
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or len(files.table(_STUDY)))):
        raise OutputExists(f"{out} exists and holds no comparison; give another --out")
    groups = _groups(opened)
    for label, members in groups.items():
        for run in members:
            found = _evaluation(run, episodes, progress)
            about = {"study": _STUDY, "agent": label, **run_facts(run.config)}
            asked = asked_of(run.config, weights=found.weights.sha256, episodes=found.episodes)
            files.put(str(run.path), asked, about, [(TRAINED, found)], curve(run))
    scores = files.table(_STUDY)
    files.write_table()
    table = _table(scores, {label: [str(run.path) for run in runs] for label, runs in groups.items()})
    write_whole(out / "table.csv", lambda partial: table.to_csv(partial, index=False))
    curves = {label: [_learning(run) for run in members] for label, members in groups.items()}
    figure = interval_curves({label: seeds for label, seeds in curves.items() if all(len(s) for s, _ in seeds)})
    write_text(out / "curves.svg", figure_svg(figure))
    return Comparison(table, out)


def _groups(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Group runs whose configs differ in the seed alone; name groups by what differs between them."""
    facts = [_facts(run) for run in runs]
    names = [name for name in facts[0] if len({json.dumps(fact[name], sort_keys=True) for fact in facts}) > 1]
    groups: dict[str, list[Run]] = {}
    for run, fact in zip(runs, facts, strict=True):
        label = ", ".join(str(fact[name]) if isinstance(fact[name], str) else f"{name} {fact[name]}" for name in names)
        members = groups.setdefault(label or "all", [])
        if any(other.config.seed == run.config.seed for other in members):
            raise InvalidRun(f"seed {run.config.seed} of {label or 'this config'} is there twice; give each run once")
        members.append(run)
    return groups


def _facts(run: Run) -> dict[str, Any]:
    facts = run.config.to_json()
    del facts["seed"], facts["checkpoint_every"], facts["evaluate_every"]
    options = tell_graph(run.config.circuit_options)
    return {**facts, "body": make_body(run.config.body).name, "circuit_options": options}


def _evaluation(run: Run, episodes: int, progress: bool) -> Result:
    """Return what a run's last weights came to on most episodes, measured now if they were not yet."""
    found = run.results.current.where("evaluation").best
    if found is None:
        values = evaluate(run, episodes, progress=progress).metrics
        weights = run.last_weights()
        assert weights is not None
        # Not read back: a run in a folder that cannot be written is compared all the same.
        found = result_of(run.resolved.config, weights, episodes, values)
    return found


def _table(scores: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    trained = scores[scores["stage"] == "trained"]
    means = trained.pivot_table(index="source", columns="metric", values="value")
    first = means.loc[list(next(iter(groups.values())))]["return"]
    rows = []
    for number, (label, sources) in enumerate(groups.items()):
        members = means.loc[list(sources)]
        found = bootstrap_iqm(members["return"])
        better = probability_of_improvement(members["return"], first)
        rows.append(
            {
                "group": label,
                "seeds": len(members),
                "return": found.mean,
                "low": found.low,
                "high": found.high,
                "net_speed": float(members["net_speed"].mean()) if "net_speed" in members else np.nan,
                "beats_first": better.mean if number else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _learning(run: Run) -> tuple[list[float], list[float]]:
    table = run.metrics()
    # Without the learner's noise where training was evaluated.
    metric = "eval/return" if (table["metric"] == "eval/return").any() else "rollout/ep_rew_mean"
    rows = table[table["metric"] == metric]
    return rows["step"].tolist(), rows["value"].tolist()
