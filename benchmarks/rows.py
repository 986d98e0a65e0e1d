"""Rows of the tables that benchmarks return."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def rate_row(name: str, rates: Sequence[float], **more: Any) -> dict[str, Any]:
    """Return a row with the median of steps per second, its spread, and the columns `more`."""
    rate, low, high = (round(value) for value in (statistics.median(rates), min(rates), max(rates)))
    return {"name": name, "steps_per_second": rate, "low": low, "high": high, **more}


def ratio_rows(
    rates: Mapping[str, float], asked: Iterable[tuple[str, str, float]], digits: int
) -> list[dict[str, Any]]:
    """Return rows of speed ratios beside their targets, where both were measured."""
    return [
        {"name": f"{ours} / {theirs}", "value": round(rates[ours] / rates[theirs], digits), "unit": "times",
         "asked": least}
        for ours, theirs, least in asked
        if theirs in rates and ours in rates
    ]  # fmt: skip
