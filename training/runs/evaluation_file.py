"""What evaluation.json of a run holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ...errors import InvalidRun
from ...files import read_json
from ...options import ListOf, Number, wrong_value

# JSON has no NaN: one episode has no interval, and null is where its bounds were.
_BOUND = Number(-math.inf, also=(None,))
_INTERVAL = {"mean": Number(-math.inf), "low": _BOUND, "high": _BOUND, "n": Number(1, is_whole=True)}


def read_evaluation(path: Path) -> dict[str, Any] | None:
    """Return what an evaluation.json holds, None if there is none: each metric's interval and episodes, the step.

    Raises:
        InvalidRun: it is no evaluation.
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
    episodes = {} if wrong else found.get("episodes")
    if not isinstance(episodes, dict) or wrong_value(episodes, dict.fromkeys(episodes, ListOf(_BOUND))):
        wrong = "episodes are no lists of numbers by metric"
    if wrong:
        raise InvalidRun(f"{path} is damaged: {wrong}; remove it, and nervecord evaluate writes it anew")
    evaluation: dict[str, Any] = found
    return evaluation
