"""Wiring read from activity: planted networks, independent units, NCAP with noise, and what says too little."""

import dataclasses

import numpy as np
import pytest
from nervecord import RunConfig, train
from nervecord.circuits import Neuron, Synapse, Wiring
from nervecord.errors import InvalidOption, InvalidRecording
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.connectivity import auroc, average_precision, participation_ratio
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.rollouts.recorder import disturbances, record


@pytest.fixture(scope="module")
def worm(tmp_path_factory):
    config = RunConfig(steps=1600, episode_steps=400, algorithm_options={"n_envs": 2, "population": 4})
    return train(config, tmp_path_factory.mktemp("worm") / "run", progress=False)


def network(activity: np.ndarray, weights: np.ndarray, worm) -> Subject:
    """Return a subject of units with this activity [E, T, N] and these weights [post, pre]."""
    names = [f"unit_{i}" for i in range(activity.shape[2])]
    neurons = tuple(Neuron(name, "inter") for name in names)
    synapses = tuple(Synapse(names[j], names[i], weights[i, j]) for i, j in np.argwhere(weights))
    recording = record(worm, 1)
    blank = {"rewards": np.zeros(activity.shape[:2], np.float32), "lengths": np.full(len(activity), activity.shape[1])}
    meta = {**recording.meta, "neurons": [{"role": "inter"}] * len(names)}
    held = dataclasses.replace(recording, activity=activity, neurons=tuple(names), meta=meta, **blank)
    return Subject(held, Wiring(neurons, synapses))


def planted(rng: np.random.Generator, noise: float, n: int = 20, steps: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Return the activity of leaky tanh units, of which 15 % of the pairs are joined, and their weights."""
    weights = rng.choice([-1, 1], (n, n)) * rng.uniform(0.5, 2, (n, n)) * (rng.random((n, n)) < 0.15)
    np.fill_diagonal(weights, 0)
    x, found = np.zeros((4, n)), np.zeros((4, steps, n))
    for step in range(steps):
        x = x + 0.3 * (np.tanh(x @ weights.T) - x) + noise * rng.standard_normal(x.shape)
        found[:, step] = x
    return found.astype(np.float32), weights


def test_a_planted_network_is_found_by_regression_and_correlation_does_worse(worm):
    for seed in range(2):
        found = run_probe("connectivity", network(*planted(np.random.default_rng(seed), 0.3), worm)).numbers
        assert found["regression_auroc"] > 0.99
        assert found["regression_signed_r"] > 0.9
        assert found["correlation_auroc"] < found["regression_auroc"]
        assert found["null_auroc"] == pytest.approx(0.5, abs=0.05)


def test_units_on_their_own_show_no_wiring(worm):
    rng = np.random.default_rng(0)
    alone = np.zeros((4, 1500, 20), np.float32)
    for step in range(1, 1500):
        alone[:, step] = 0.9 * alone[:, step - 1] + rng.standard_normal((4, 20))
    _, weights = planted(rng, 0.3, steps=1)
    found = run_probe("connectivity", network(alone, weights, worm)).numbers
    assert found["regression_auroc"] == pytest.approx(0.5, abs=0.1)
    assert found["correlation_auroc"] == pytest.approx(0.5, abs=0.1)


def test_activity_of_few_dimensions_carries_the_warning(worm):
    t = 0.2 * np.arange(400)
    rng = np.random.default_rng(1)
    circle = np.stack([np.cos(t), np.sin(t)], 1) @ rng.standard_normal((2, 20))
    _, weights = planted(rng, 0.3, steps=1)
    result = run_probe("connectivity", network(np.tile(circle, (2, 1, 1)).astype(np.float32), weights, worm))
    assert result.numbers["dimensions"] == pytest.approx(2, abs=0.3)
    assert "too few to read wiring from it" in result.words[1]
    assert len(run_probe("connectivity", network(*planted(rng, 0.3), worm)).words) == 1


def test_noise_in_every_neuron_shows_the_wiring_of_ncap(worm):
    wiring = worm.agent().circuit.wiring()
    found = {}
    for level in (0.0, 0.3):
        noise = disturbances(worm, level, "absolute") if level else ()
        found[level] = run_probe("connectivity", Subject(record(worm, 4, None, noise), wiring, worm)).numbers
    assert (found[0.3]["pairs"], found[0.3]["contacts"]) == (340, 30)
    assert found[0.3]["regression_auroc"] > 0.99
    assert found[0.3]["regression_precision"] > 0.99
    assert found[0.0]["regression_auroc"] < 0.97
    assert found[0.0]["dimensions"] < found[0.3]["dimensions"]


def test_noise_is_of_each_neurons_own_size_is_the_same_again_and_spares_what_is_held(worm):
    quiet = record(worm, 4)
    noise = disturbances(worm, 0.5, episodes=4)
    spread = quiet.activity.std((0, 1))
    assert [each.value for each in noise] == pytest.approx(0.5 * spread, rel=1e-5)
    one, again = (record(worm, 4, None, (*noise, Intervention("B_d_2"))) for _ in range(2))
    assert np.array_equal(one.activity, again.activity)
    assert not np.array_equal(one.activity[0], one.activity[1])
    assert (one.activity[..., one.neurons.index("B_d_2")] == 0).all()
    assert one.meta["interventions"][0]["kind"] == "noise"
    with pytest.raises(InvalidOption, match="give a standard deviation of 0 or more"):
        Intervention("B_d_2", "noise", -0.1)


def test_what_has_nothing_to_tell_apart_is_one_line(worm):
    activity, weights = planted(np.random.default_rng(0), 0.3, n=6, steps=60)
    with pytest.raises(InvalidRecording, match="0 of 0 pairs"):
        run_probe("connectivity", network(activity, 0 * weights, worm))
    held = network(activity, weights, worm)
    with pytest.raises(InvalidRecording, match="neuron unit_0 is recorded but is not in the wiring"):
        run_probe("connectivity", dataclasses.replace(held, wiring=Wiring((), ())))


def test_scores_are_those_that_are_known():
    is_contact = np.array([True, False, True, False, False])
    assert auroc(np.array([5.0, 4, 3, 2, 1]), is_contact) == pytest.approx(5 / 6)
    assert auroc(np.zeros(5), is_contact) == 0.5
    assert average_precision(np.array([5.0, 4, 3, 2, 1]), is_contact) == pytest.approx((1 + 2 / 3) / 2)
    assert participation_ratio(np.random.default_rng(0).standard_normal((1, 20_000, 7))) == pytest.approx(7, rel=0.01)
