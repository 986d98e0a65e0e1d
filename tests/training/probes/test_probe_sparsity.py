"""Sparse codes: chances that are known to all digits, and sets of active neurons that are."""

import numpy as np
import pytest
from nervecord import RunConfig, train
from nervecord.errors import InvalidOption
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.sparsity import active_sets, false_match, miss, union_fill
from nervecord.training.rollouts.recorder import record


@pytest.mark.parametrize(
    ("n", "active", "synapses", "threshold", "chance"),
    [
        (10_000, 300, 24, 12, 8.375845e-13),
        (2000, 40, 20, 15, 2.471923e-23),
        (100_000, 2000, 6, 6, 6.353089e-11),
        (100_000, 2000, 10, 10, 1.001632e-17),
        (100_000, 2000, 20, 10, 1.541928e-12),
        (100_000, 2000, 24, 12, 8.586941e-15),
        (100_000, 2000, 40, 10, 4.915419e-9),
        (100_000, 2000, 120, 10, 1.587998e-4),
        (100_000, 2000, 240, 20, 1.079908e-7),
        (300, 150, 24, 12, 0.5840149),
        (10_000, 64, 24, 12, 4.0416e-21),
        (200, 20, 10, 3, 0.0652855),
    ],
)
def test_a_false_match_has_the_chance_that_is_published(n, active, synapses, threshold, chance):
    # The published values have so many digits.
    assert false_match(n, active, synapses, threshold) == pytest.approx(
        chance, rel=1e-6 if chance != 4.0416e-21 else 2e-5
    )


def test_draws_match_as_often_as_the_formula_says():
    rng = np.random.default_rng(0)
    hits = rng.hypergeometric(20, 180, 10, size=200_000)
    assert (hits >= 3).mean() == pytest.approx(false_match(200, 20, 10, 3), rel=0.02)


def test_a_miss_has_the_chance_that_is_published():
    assert miss(128, 30, 12, 64) == pytest.approx(0.07169852, rel=1e-6)
    assert miss(128, 30, 12, 77) == pytest.approx(0.4265260, rel=1e-6)
    assert miss(128, 30, 12, 0) == 0
    assert union_fill(100, 10, 1) == pytest.approx(0.1)
    assert union_fill(100, 10, 2) == pytest.approx(0.19)


def test_numbers_that_cannot_be_are_one_line():
    with pytest.raises(InvalidOption, match="active is 30 of 20 cells; give 20 or less"):
        false_match(20, 30, 5, 2)
    with pytest.raises(InvalidOption, match="silent is -1; give a whole number, 0 or more"):
        miss(20, 5, 2, -1)


def test_a_number_of_patterns_below_zero_is_one_line():
    with pytest.raises(InvalidOption, match="patterns"):
        union_fill(10, 2, -1)
    assert union_fill(10, 2, 100) > 0.99


def test_random_states_share_as_many_active_neurons_as_chance():
    sets = active_sets(np.random.default_rng(0).standard_normal((400, 50)), 0.2)
    assert (sets.sum(1) == 10).all()
    overlap = (sets.astype(int) @ sets.T.astype(int))[np.triu_indices(400, 1)]
    assert overlap.mean() == pytest.approx(10 * 10 / 50, rel=0.02)


def test_phases_of_a_swimming_worm_follow_each_other(tmp_path):
    config = RunConfig(steps=3200, episode_steps=300, algorithm_options={"n_envs": 4, "population": 8})
    run = train(config, tmp_path / "run", progress=False)
    found = run_probe("sparsity", Subject(record(run, 2), run.agent().circuit.wiring(), run)).numbers
    assert found["overlap_opposite"] < found["overlap_chance"] < found["overlap_next"]
    assert found["active"] == 6
