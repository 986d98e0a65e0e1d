"""Estimates with intervals that a reviewer would accept: over seeds, which are what a claim generalises to.

After Agarwal et al. 2021 (https://arxiv.org/abs/2108.13264), by scipy's bootstrap.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy  # loads its statistics, which take a second, only when they are used
from jaxtyping import Float
from numpy.typing import ArrayLike

_RESAMPLES = 9_999


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval, from `n` independent values."""

    mean: float
    low: float
    high: float
    n: int

    def __float__(self) -> float:
        return float(self.mean)

    def __str__(self) -> str:
        return self.told()

    def told(self, unit: str = "") -> str:
        """Return the estimate, its interval and its unit, "" for none, in words."""
        bounds = "" if np.isnan(self.low) else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.mean:.4g}{bounds}{unit and ' '}{unit} (n = {self.n})"


def bootstrap_mean(values: Float[ArrayLike, "*shape"], seed: int = 0) -> Interval:
    """Return the mean with its 95 % BCa bootstrap interval (Efron 1987); deterministic for a given seed.

    The interval is NaN for a single value or if a value is not finite, and has zero width if all values are equal. For
    two values it is the percentile interval.
    """
    return _bootstrap(np.mean, [np.asarray(values, float).ravel()], seed)


def bootstrap_iqm(scores: Float[ArrayLike, " seeds"] | Sequence[Float[ArrayLike, " seeds"]], seed: int = 0) -> Interval:
    """Return the interquartile mean with its 95 % stratified bootstrap interval.

    Args:
        scores: one score per seed; or, for several tasks, a sequence of such arrays (strata), which are resampled
            separately.
        seed: seed of the resampling.
    """
    strata = [np.asarray(stratum, float).ravel() for stratum in scores] if _is_nested(scores) else None  # type: ignore[union-attr]
    return _bootstrap(iqm, strata or [np.asarray(scores, float).ravel()], seed)


def iqm(values: Float[ArrayLike, "*shape"], axis: int | None = None) -> Any:
    """Return the interquartile mean (25 % trimmed mean).

    A quarter is rounded down to whole values, as in scipy and rliable, so for up to 3 values it is the plain mean.
    """
    return scipy.stats.trim_mean(np.asarray(values, float), 0.25, axis=axis)


def probability_of_improvement(
    better: Float[ArrayLike, " seeds"], worse: Float[ArrayLike, " others"], seed: int = 0
) -> Interval:
    """Return the probability that a random seed of one sample beats a random seed of the other, with its 95 % interval.

    Ties count half.
    """
    x, y = np.asarray(better, float).ravel(), np.asarray(worse, float).ravel()

    def wins(x: np.ndarray, y: np.ndarray, axis: int = -1) -> Any:
        x, y = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
        ahead = x[..., :, None] - y[..., None, :]
        return ((ahead > 0) + 0.5 * (ahead == 0)).mean((-1, -2))

    estimate = float(wins(x, y))
    if min(len(x), len(y)) < 2:
        return Interval(estimate, np.nan, np.nan, len(x) + len(y))
    low, high = _percentiles(wins, [x, y], "percentile", seed)
    return Interval(estimate, low, high, len(x) + len(y))


def difference_of_iqms(
    scores: Float[ArrayLike, " seeds"], others: Float[ArrayLike, " others"], seed: int = 0
) -> Interval:
    """Return the difference of two interquartile means, with its 95 % bootstrap interval.

    Both samples are resampled independently.
    """
    x, y = np.asarray(scores, float).ravel(), np.asarray(others, float).ravel()
    n = len(x) + len(y)
    if min(len(x), len(y)) == 0:
        return Interval(np.nan, np.nan, np.nan, n)
    estimate = float(iqm(x) - iqm(y))
    if min(len(x), len(y)) < 2 or not np.isfinite([estimate]).all():
        return Interval(estimate, np.nan, np.nan, n)
    if np.ptp(x) == np.ptp(y) == 0:
        return Interval(estimate, estimate, estimate, n)
    low, high = _percentiles(lambda x, y, axis=-1: iqm(x, axis) - iqm(y, axis), [x, y], "percentile", seed)
    return Interval(estimate, low, high, n)


def performance_profile(
    scores: Float[ArrayLike, " seeds"], thresholds: Float[ArrayLike, " thresholds"], seed: int = 0
) -> tuple[Float[np.ndarray, " thresholds"], Float[np.ndarray, " thresholds"], Float[np.ndarray, " thresholds"]]:
    """Return the share of seeds above each threshold, and the bounds of its 95 % bootstrap interval."""
    scores, thresholds = np.asarray(scores, float).ravel(), np.asarray(thresholds, float).ravel()
    rng = np.random.default_rng(seed)
    drawn = rng.choice(scores, (2000, len(scores)))
    shares = (drawn[:, :, None] > thresholds).mean(1)
    low, high = np.quantile(shares, (0.025, 0.975), axis=0)
    return (scores[:, None] > thresholds).mean(0), low, high


def _is_nested(scores: Any) -> bool:
    return len(scores) > 0 and all(np.ndim(stratum) == 1 for stratum in scores)


def _bootstrap(statistic: Callable[..., Any], strata: Sequence[np.ndarray], seed: int) -> Interval:
    values = np.concatenate(strata)
    n = len(values)
    estimate = float(statistic(values)) if n else np.nan
    if min(len(stratum) for stratum in strata) < 2 or not np.isfinite(values).all():
        return Interval(estimate, np.nan, np.nan, n)
    if all(np.ptp(stratum) == 0 for stratum in strata):
        return Interval(estimate, estimate, estimate, n)

    def pooled(*strata: np.ndarray, axis: int = -1) -> Any:
        return statistic(np.concatenate(strata, axis), axis=axis)

    low = high = np.nan
    # BCa's acceleration needs a jackknife of at least three values; scipy has it for one sample.
    if len(strata) == 1 and n > 2:
        with warnings.catch_warnings():
            # A degenerate jackknife gives NaN, which is dealt with below.
            warnings.simplefilter("ignore")
            low, high = _percentiles(pooled, strata, "BCa", seed)
    if not np.isfinite([low, high]).all():
        low, high = _percentiles(pooled, strata, "percentile", seed)
    return Interval(estimate, low, high, n)


def _percentiles(
    statistic: Callable[..., Any], samples: Sequence[np.ndarray], method: Any, seed: int
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    # Resamples are drawn in batches: a statistic over pairs takes memory as the product of sizes.
    batch = max(1, 2_000_000 // int(np.prod([len(sample) for sample in samples])))
    found = scipy.stats.bootstrap(
        tuple(samples), statistic, n_resamples=_RESAMPLES, batch=batch, method=method, rng=rng, vectorized=True
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
