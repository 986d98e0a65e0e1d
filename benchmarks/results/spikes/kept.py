"""Measurements, a file each, and the words of the rules that judge them.

Intervals are 95 % bootstraps over seeds.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ....files import read_json, write_json
from ....intervals import Interval, bootstrap_mean
from ....progress import progress_bar
from ....threads import one_thread
from ....training.learning.engine import run_tasks
from ..tables import interval_text

# What is measured: a function that can be imported by name, and its arguments; it returns JSON types.
Measurement = tuple[Callable[..., Any], tuple[Any, ...]]
_log = logging.getLogger(__name__)


def measure(out: Path, wanted: Mapping[str, Measurement], workers: int | None, what: str) -> None:
    """Write out/NAME.json for each measurement that has none; one that fails is named, and the others go on."""
    left = {name: each for name, each in wanted.items() if not (out / f"{name}.json").exists()}
    tasks = {name: (out / f"{name}.json", function, arguments) for name, (function, arguments) in left.items()}
    bar = progress_bar(total=len(wanted), initial=len(wanted) - len(left), desc=what, unit="measurement")
    with bar, contextlib.closing(run_tasks(_measure, tasks, workers)) as outcomes:
        for name, outcome in outcomes:
            if isinstance(outcome, Exception):
                _log.error("nervecord: %s could not be measured: %s", name, outcome)
            bar.update(1)


def _measure(path: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with one_thread():
        write_json(path, function(*arguments))


def seeds_of(out: Path, part: str, arm: str = "") -> dict[int, Any]:
    """Return what was measured of an arm of a part so far, by seed."""
    files = (out / part / plain(arm)).glob("*.json")
    return {int(path.stem): read_json(path, f"{path} is damaged; remove it") for path in sorted(files)}


def plain(arm: str) -> str:
    """Return an arm's name as that of a folder."""
    return "".join(letter if letter.isalnum() else "-" for letter in arm)


def told(values: Iterable[float], digits: int = 1) -> str:
    """Return the mean over seeds with its interval, in the values' unit."""
    return interval_text(bootstrap_mean(list(values)), digits)


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Interval:
    """Return by how much ours is above theirs, over the seeds that both have, in their unit."""
    return bootstrap_mean([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])


def best_rate(found: Mapping[float, Mapping[int, float]]) -> tuple[float, Mapping[int, float]]:
    """Return the learning rate whose mean over seeds is highest, and its values by seed."""
    rate = max(found, key=lambda rate: sum(found[rate].values()) / max(len(found[rate]), 1))
    return rate, found[rate]


def at_most(found: Interval, bound: float) -> str:
    """Return the verdict of a rule that a number is below a bound: by where its interval lies, in its own unit."""
    return "holds" if found.high < bound else "fails" if found.low > bound else "undecided"


def at_least(found: Interval, bound: float) -> str:
    """Return the verdict of a rule that a number is above a bound: by where its interval lies, in its own unit."""
    return "holds" if found.low > bound else "fails" if found.high < bound else "undecided"


def ahead(found: Interval) -> str:
    """Return which of two a difference says is ahead."""
    return "ahead" if found.low > 0 else "behind" if found.high < 0 else "no difference"
