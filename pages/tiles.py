"""The tiles at the top of a page: a run's main numbers, each with what it is of."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..intervals import Interval
from ..training.runs.references import Scale, scale_of
from ..training.runs.result import TESTS, TRAINED
from ..training.runs.results import Results
from ..training.runs.run import Run


def tiles_of(run: Run, facts: dict[str, Any]) -> list[dict[str, str]]:
    """Return the tiles of a run, with the facts of its `summary`."""
    tiles = [{"value": f"{facts['weights']:,}", "label": "trained weights"}]
    results = run.results
    found = results.where("evaluation").shown
    if found is not None:
        stale = _again(results.told(found), f"nervecord evaluate {run.argument}")
        value = found.intervals["return"]
        what = "return" if len(run.config.body_names) == 1 else f"mean return of {len(run.config.body_names)} bodies"
        tiles.append({"value": f"{value.mean:,.0f}", "label": f"{what}, {interval_told(value)}{stale}"})
        tiles += normalized(scale_of(found.conditions), value, stale)
        if "net_speed" in found.intervals:
            speed = f"{100 * found.intervals['net_speed'].mean:.1f} cm/s"
            tiles.append({"value": speed, "label": f"net speed of the centre of mass{stale}"})
    return tiles + _worst_tile(run, results)


def _worst_tile(run: Run, results: Results) -> list[dict[str, str]]:
    """Return the lowest return on the bodies that a run was trained on, where there are several."""
    names = run.config.body_names
    if len(names) == 1:
        return []
    tests = [results.where(TESTS, agent=TRAINED, body=name).shown for name in names]
    found = [each for each in tests if each is not None and not each.missing]
    if not found:
        return []
    worst = min(found, key=lambda each: each.intervals["return"].mean)
    value, stale = worst.intervals["return"], results.told(worst)
    label = f"lowest return of {len(found)} bodies, on {worst.body}, {interval_told(value)}"
    return [{"value": f"{value.mean:,.0f}", "label": f"{label}{_again(stale, f'nervecord evaluate {run.argument}')}"}]


def normalized(scale: Scale | None, value: Interval, stale: str = "") -> list[dict[str, str]]:
    """Return the tile of a return among those of others, where they were measured."""
    label = f"of the way from random actions to the best agent known{stale}"
    return [] if scale is None else [{"value": f"{100 * scale.of(value).mean:.1f} %", "label": label}]


def _again(stale: str, command: str) -> str:
    """Return what follows a number that may be stale: nothing, or since when and how to measure it anew."""
    return f" ({stale}; {command} measures it anew)" if stale else ""


def interval_told(value: Interval) -> str:
    """Return what a tile says of an estimate: its interval, and over how many episodes."""
    if pd.isna(value.low):
        return "one episode, no interval" if value.n == 1 else f"{value.n:,} episodes, no interval"
    return f"95 % interval {value.low:,.0f} to {value.high:,.0f}, {value.n:,} episodes"
