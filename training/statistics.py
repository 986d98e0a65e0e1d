"""Intervals that a reviewer would accept."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval, from `n` independent values."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.mean:.4g} (n = {self.n})"
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}] (n = {self.n})"


def bootstrap_mean(values: ArrayLike, seed: int = 0) -> Interval:
    """Return the mean with its 95 % BCa bootstrap interval (Efron 1987); same values, same interval.

    One value has no interval (NaN); values that are all equal have one of no width.
    """
    values = np.asarray(values, float).ravel()
    mean = float(values.mean()) if len(values) else np.nan
    if len(values) < 2:
        return Interval(mean, np.nan, np.nan, len(values))
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean, len(values))
    # BCa's acceleration needs a jackknife of at least three values.
    method = "BCa" if len(values) > 2 else "percentile"
    interval = stats.bootstrap((values,), np.mean, method=method, rng=np.random.default_rng(seed)).confidence_interval
    return Interval(mean, float(interval.low), float(interval.high), len(values))
