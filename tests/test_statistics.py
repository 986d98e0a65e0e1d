"""Estimates and intervals against closed forms and against their own meaning."""

import math

import numpy as np
import pytest
from nervecord.intervals import (
    Interval,
    bootstrap_iqm,
    bootstrap_mean,
    difference_of_iqms,
    iqm,
    performance_profile,
    probability_of_improvement,
)


def test_iqm_is_the_mean_of_the_middle_half():
    assert iqm([1, 2, 3, 4, 100, -50, 5, 6]) == np.mean([2, 3, 4, 5])
    assert iqm([1.0, 2.0, 9.0]) == 4.0


@pytest.mark.parametrize("estimate", [bootstrap_mean, bootstrap_iqm])
def test_intervals_cover_the_truth_about_as_often_as_they_say(estimate):
    rng = np.random.default_rng(0)
    covered = [found.low <= 0 <= found.high for found in (estimate(rng.standard_normal(20)) for _ in range(150))]
    # The bootstrap of 20 values is a little narrow; a wrong axis or a wrong quantile is far off.
    assert 0.85 <= np.mean(covered) <= 0.99


def test_strata_are_resampled_each_by_itself():
    """Two tasks far apart, each without spread: pooled resampling would have a wide interval."""
    found = bootstrap_iqm([[0.0, 0.0, 0.0, 0.1], [100.0, 100.0, 100.0, 100.1]])
    assert found.high - found.low < 1
    assert found.n == 8


@pytest.mark.parametrize(("values", "width"), [([5.0, 5.0, 5.0], 0.0), ([5.0], np.nan), ([5.0, np.nan, 1.0], np.nan)])
def test_degenerate_samples(values, width):
    for estimate in (bootstrap_mean, bootstrap_iqm):
        found = estimate(values)
        assert np.array_equal([found.high - found.low], [width], equal_nan=True)


def test_the_same_values_have_the_same_interval():
    values = np.random.default_rng(1).standard_normal(7)
    assert bootstrap_mean(values) == bootstrap_mean(values)
    assert bootstrap_mean(values).low < values.mean() < bootstrap_mean(values).high


def test_probability_of_improvement():
    assert probability_of_improvement([4, 5, 6], [1, 2, 3]).mean == 1
    assert probability_of_improvement([1, 2, 3], [1, 2, 3]).mean == 0.5
    found = probability_of_improvement([1.0, 3.0], [2.0, 2.0])
    assert found.mean == 0.5
    assert (found.low, found.high) == (0.0, 1.0)
    rng = np.random.default_rng(0)
    # P(X > Y) of two normals a standard deviation apart is Phi(1 / sqrt 2) = 0.760.
    assert probability_of_improvement(rng.normal(1, 1, 60), rng.normal(0, 1, 60)).mean == pytest.approx(0.76, abs=0.03)


def test_performance_profile():
    share, low, high = performance_profile([1, 2, 3, 4], [0, 2.5, 9])
    assert share.tolist() == [1.0, 0.5, 0.0]
    assert (low <= share).all()
    assert (share <= high).all()
    assert low[1] < 0.5 < high[1]


def test_a_difference_of_iqms_has_an_interval_over_both_samples():
    rng = np.random.default_rng(0)
    x, y = rng.normal(10, 1, 400), rng.normal(8, 1, 400)
    found = difference_of_iqms(x, y)
    assert found.mean == pytest.approx(iqm(x) - iqm(y))
    # The IQM of n normal values has a standard error of about 1.1 / sqrt(n).
    assert found.high - found.low == pytest.approx(2 * 1.96 * 1.1 * math.sqrt(2 / 400), rel=0.1)
    assert difference_of_iqms([3, 3], [1, 1, 1]) == Interval(2.0, 2.0, 2.0, 5)
    assert math.isnan(difference_of_iqms([3], [1, 2]).low)
    assert math.isnan(difference_of_iqms([], [1, 2]).mean)
