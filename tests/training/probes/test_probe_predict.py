"""Activity that predicts itself: what is learned, what is not, and what it says of the wiring."""

import dataclasses

import numpy as np
import pytest
from nervecord import RunConfig, train
from nervecord.circuits import Neuron, Synapse, Wiring
from nervecord.errors import InvalidRecording
from nervecord.training.probes import PROBES, Subject, predict, run_probe
from nervecord.training.probes.tools.predictor import Predictor, influence, train_predictor, windows_of
from nervecord.training.rollouts.recorder import record
from planted import acting


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    config = RunConfig(steps=1600, episode_steps=200, algorithm_options={"n_envs": 2, "population": 4})
    run = train(config, tmp_path_factory.mktemp("predict") / "run", progress=False)
    return record(run, 4)


def subject_of(recording, activity, weights):
    """Return a subject of units with this activity [E, T, N] and these weights [post, pre]."""
    names = tuple(f"unit_{i}" for i in range(activity.shape[2]))
    neurons = tuple(Neuron(name, "inter") for name in names)
    synapses = tuple(Synapse(names[j], names[i], weights[i, j]) for i, j in np.argwhere(weights))
    meta = {**recording.meta, "neurons": [{"role": "inter"}] * len(names)}
    held = dataclasses.replace(recording, activity=activity.astype(np.float32), neurons=names, meta=meta)
    return Subject(held, Wiring(neurons, synapses))


def network(rng, noise, n=8, steps=200):
    """Return the activity of leaky tanh units and their weights, a ring in which each hears the one before."""
    weights = np.roll(np.eye(n), 1, axis=0) * rng.choice([-2.0, 2.0], n)
    x, found = rng.standard_normal((4, n)), np.zeros((4, steps, n))
    for step in range(steps):
        x = x + 0.3 * (np.tanh(x @ weights.T) - x) + noise * rng.standard_normal(x.shape)
        found[:, step] = x
    return found, weights


def test_a_driven_network_is_predicted_and_its_ring_is_found(recorded, monkeypatch):
    monkeypatch.setattr(predict, "_UPDATES", 300)
    found = run_probe("predict", subject_of(recorded, *network(np.random.default_rng(0), 0.3)))
    numbers = found.numbers
    assert 0.1 < numbers["change_r2"] < 0.9
    assert numbers["regression_auroc"] == 1.0
    assert numbers["influence_auroc"] > 0.6
    assert (np.diag(found.arrays["attention"]) == 0).all()
    np.testing.assert_allclose(found.arrays["attention"].sum(1), 1, rtol=1e-5)
    assert found.words[0].startswith("On episodes that it did not see")


def test_noise_alone_is_not_predicted(recorded, monkeypatch):
    monkeypatch.setattr(predict, "_UPDATES", 100)
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.standard_normal((4, 200, 6)), 1)
    numbers = run_probe("predict", subject_of(recorded, walk, np.zeros((6, 6)))).numbers
    assert numbers["change_r2"] < 0.05
    assert "attention_auroc" not in numbers, "there is no wiring to score"


def test_influence_is_the_derivative_of_the_next_value():
    rng = np.random.default_rng(2)
    values = rng.standard_normal((2, 40, 3))
    model = train_predictor(values, rng.standard_normal((2, 40, 2)), 5)
    found = influence(model, values)
    window = windows_of(values)
    here = []
    for step in (-1e-3, 1e-3):
        moved = window.clone()
        moved[:, 1, -1] += step
        here.append(moved[..., -1] + model(moved).change)
    slope = ((here[1] - here[0]) / 2e-3).abs().mean(0).detach()
    np.testing.assert_allclose(found[:, 1], slope, rtol=0.02, atol=2e-3)


def test_training_is_the_same_again_and_no_neuron_hears_itself():
    rng = np.random.default_rng(3)
    values, behaviour = rng.standard_normal((2, 30, 4)), rng.standard_normal((2, 30, 1))
    one, again = (train_predictor(values, behaviour, 3, seed=5) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert (Predictor(4, 1)(windows_of(values)).attention.diagonal(dim1=1, dim2=2) == 0).all()


def test_what_cannot_be_predicted_is_one_line(recorded):
    one = dataclasses.replace(
        recorded, **{field.name: getattr(recorded, field.name)[:1] for field in dataclasses.fields(recorded)
                     if isinstance(getattr(recorded, field.name), np.ndarray)}
    )  # fmt: skip
    with pytest.raises(InvalidRecording, match="has 1 episode, and a prediction is tested on others"):
        run_probe("predict", Subject(one, Wiring((), ())))
    assert PROBES["predict"].is_study


def test_one_neuron_alone_is_predicted_from_nothing():
    wave = np.sin(0.2 * np.arange(200))[None].repeat(2, 0)
    with pytest.raises(InvalidRecording, match="one neuron alone changes"):
        run_probe("predict", Subject(acting(wave), Wiring((), ())))
