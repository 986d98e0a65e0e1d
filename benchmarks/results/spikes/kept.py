"""Measurements, a file each, and the words of the rules that judge them.

Intervals are 95 % bootstraps over seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ....files import read_json, write_json
from ....intervals import Interval, bootstrap_mean
from ....threads import one_thread
from ..runs import run_each
from ..tables import interval_text

# What is measured: a function that can be imported by name, and its arguments; it returns JSON types.
Measurement = tuple[Callable[..., Any], tuple[Any, ...]]
_MEASURED = "measured"
KEPT = (f"{_MEASURED}/**/*.json",)  # what tables are made from


def measure(out: Path, wanted: Mapping[str, Measurement], workers: int | None, part: str) -> None:
    """Write out/measured/NAME.json for each measurement that has none; see `run_each`."""
    paths = {name: out / _MEASURED / f"{name}.json" for name in wanted}
    left = {name: (paths[name], *each) for name, each in wanted.items() if not paths[name].exists()}
    run_each(_measure, left, workers, part)


def _measure(path: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with one_thread():
        write_json(path, function(*arguments))


def seeds_of(out: Path, part: str, arm: str = "") -> dict[int, Any]:
    """Return what was measured of an arm of a part so far, by seed."""
    files = (out / _MEASURED / part / plain(arm)).glob("*.json")
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
