"""Results that earlier versions left in a run: evaluation.json, and the table of its transfers in results.sqlite."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import InvalidRun
from ...files import read_json
from ...options import ListOf, Number, wrong_value
from .result import FINETUNED, TRAINED, Result, Weights
from .score_table import read_scores

# JSON has no NaN: a single episode has no interval, so its bounds are null.
_BOUND = Number(-math.inf, also=(None,))
_INTERVAL = {"mean": Number(-math.inf), "low": _BOUND, "high": _BOUND, "n": Number(1, is_whole=True)}


def old_results(run: Path) -> list[Result]:
    """Return the results that earlier versions wrote beside a run's results; fields they did not save are None.

    Results of their probes are left out: these versions did not save the weights' step or the interventions on neurons.

    Raises:
        InvalidRun: a file is damaged.
    """
    found: list[Result] = []
    path = run / "evaluation.json"
    if (held := read_evaluation(path)) is not None and held.get("episodes"):
        config = _config(run)
        body = config.get("asked", config).get("body")
        name = body.get("name") if isinstance(body, dict) else body
        found.append(_result("evaluation", str(name), TRAINED, held.get("step"), held["episodes"], path))
    path = run / "results.sqlite"
    rows = read_scores(path, "transfer")
    for (of, agent), of_agent in rows.groupby(["body", "agent"], sort=False):
        stage, step = of_agent["stage"].iloc[0], of_agent["step"].iloc[0]
        values = {
            str(metric): each.sort_values("episode")["value"].tolist() for metric, each in of_agent.groupby("metric")
        }
        what = "evaluation" if of == of_agent["trained_on"].iloc[0] and stage == TRAINED else "transfer"
        note = of_agent["note"].iloc[0]
        # Fine-tuned agents were saved with the steps of fine-tuning only, without those of their initial weights.
        known = None if stage == FINETUNED or pd.isna(step) else int(step)
        missing = note if isinstance(note, str) else ""
        found.append(_result(what, str(of), str(agent), known, values, path, missing))
    return found


def read_evaluation(path: Path) -> dict[str, Any] | None:
    """Return an evaluation.json (each metric's interval and episodes, and the step), or None if there is none.

    Raises:
        InvalidRun: the file is not an evaluation.
    """
    if not path.exists():
        return None
    found = read_json(path, f"{path.parent} is damaged")
    wrong = "" if isinstance(found, dict) and "return" in found else "no return in it"
    for name in () if wrong else found.keys() - {"step", "episodes"}:
        if not isinstance(found[name], dict) or not found[name].keys() >= _INTERVAL.keys():
            wrong = f"{name} lacks one of {', '.join(_INTERVAL)}"
        elif each := wrong_value(found[name], _INTERVAL):
            wrong = f"{name}'s {each}"
    episodes = {} if wrong else found.get("episodes", {})
    if not isinstance(episodes, dict) or wrong_value(episodes, dict.fromkeys(episodes, ListOf(_BOUND))):
        wrong = "episodes are not lists of numbers by metric"
    elif not wrong and wrong_value(found, {"step": Number(0, is_whole=True)}):
        wrong = "step is not a whole number"
    if wrong:
        raise InvalidRun(f"{path} is damaged: {wrong}; remove it and run nervecord evaluate again")
    evaluation: dict[str, Any] = found
    return evaluation


def _config(run: Path) -> dict[str, Any]:
    config = read_json(run / "config.json", f"{run} is damaged")
    return config if isinstance(config, dict) else {}


def _result(
    what: str, body: str, agent: str, step: int | None, values: dict[str, Any], path: Path, missing: str = ""
) -> Result:
    written = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).isoformat()
    episodes = max(map(len, values.values()), default=0)
    conditions = {"body": body, "interventions": [], "episodes": episodes}
    version = "of format 2" if _config(path.parent).get("format") == 2 else "of format 3 or before"
    return Result(what, Weights(step), conditions, agent=agent, values=values, missing=missing, version=version,
                  when=written)  # fmt: skip
