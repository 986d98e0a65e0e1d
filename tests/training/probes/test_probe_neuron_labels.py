"""Sentences for neurons: planted phrases are found, and NCAP's units are told as they are built."""

import dataclasses
import re

import numpy as np
import pytest
from nervecord.circuits import NCAP
from nervecord.errors import InvalidRecording
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.neuron_labels import _halves, label
from nervecord.training.probes.tools.predicates import Predicate, best_phrase, normalised_pmi
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig


@pytest.fixture(scope="module")
def worm(tmp_path_factory):
    config = RunConfig(steps=9600, episode_steps=500, algorithm_options={"n_envs": 8})
    run = train(config, tmp_path_factory.mktemp("worm") / "run", progress=False)
    return Subject(record(run, 4), run.agent().circuit.wiring(), run)


def coins(rng, n, steps=4000):
    """Predicates that stay for some steps, as a body's do."""
    drawn = rng.random((n, 2, steps // 10)) < 0.5
    return [Predicate(f"p{i}", f"not p{i}", np.repeat(holds, 10, axis=1)) for i, holds in enumerate(drawn)]


def test_a_planted_conjunction_is_recovered():
    rng = np.random.default_rng(0)
    predicates = coins(rng, 12)
    event = predicates[2].holds & ~predicates[5].holds & predicates[9].holds
    noisy = event ^ (rng.random(event.shape) < 0.03)
    everywhere = np.ones(event.shape, bool)
    phrase = best_phrase(predicates, noisy[everywhere], everywhere)
    assert phrase.text == "p2 and p9 and not p5"


def test_a_single_cause_gets_a_short_phrase_where_raw_information_would_not():
    rng = np.random.default_rng(1)
    predicates = coins(rng, 12)
    event = predicates[4].holds & (rng.random(predicates[4].holds.shape) < 0.6)
    everywhere = np.ones(event.shape, bool)
    assert best_phrase(predicates, event[everywhere], everywhere).text == "p4"
    short, chance = predicates[4].holds, event.mean()

    def raw(holds):
        return np.log((holds & event).mean() / (chance * holds.mean()))

    long = [raw(short & a.holds & b.holds) for a in predicates[:4] for b in predicates[5:]]
    assert max(long) > raw(short)


def test_scores_are_1_for_the_same_and_0_for_chance():
    assert normalised_pmi(np.array(0.3), 0.3, np.array(0.3)) == pytest.approx(1)
    assert normalised_pmi(np.array(0.12), 0.3, np.array(0.4)) == pytest.approx(0)


def test_noise_is_told_by_nothing():
    rng = np.random.default_rng(2)
    predicates = coins(rng, 12)
    halves = np.zeros((2, 4000), bool)
    halves[:, :2000] = True
    found = [label(predicates, np.repeat(rng.random((2, 400)), 10, axis=1), halves, ~halves) for _ in range(40)]
    assert np.mean([each.is_told for each in found]) < 0.2
    assert "better than chance" in next(each for each in found if not each.is_told).sentence("x")


def test_ncap_is_told_as_it_is_built(worm):
    sentences = {line.split()[0].rstrip(":"): line for line in run_probe("neuron_labels", worm).words}
    sides = {"d": "dorsal", "v": "ventral"}
    for kind in ("B", "muscle"):
        for side, way in sides.items():
            assert f"{kind}_{side}_0 is active when the head's oscillator is {way} (" in sentences[f"{kind}_{side}_0"]
            for joint in range(1, 5):
                told = sentences[f"{kind}_{side}_{joint}"]
                assert re.search(
                    rf"is active when joint {joint - 1} is bent {way}ly( by more than \d+ degrees)? \(", told
                ), told
    for side, way in sides.items():
        assert re.search(rf"when joint 2 is bent {way}ly( by more than \d+ degrees)? \(", sentences[f"q_{side}_2"])
        # The oscillator is not told by itself.
        assert "oscillator" not in sentences[f"osc_{side}"]


def test_scores_stand_beside_what_chance_gives(worm):
    result = run_probe("neuron_labels", worm)
    assert (result.arrays["score"] > result.arrays["null_95"]).mean() > 0.9
    assert abs(result.numbers["median_null"]) < 0.3
    assert result.numbers["told"] + result.numbers["untold"] == len(result.words)


def test_constant_neurons_are_counted_and_broken_ones_named(worm):
    recording = worm.recording
    still = np.array(recording.activity)
    still[:, :, 0] = 0.5
    counted = dataclasses.replace(worm, recording=dataclasses.replace(recording, activity=still))
    before = run_probe("neuron_labels", worm).numbers["constant"]
    assert run_probe("neuron_labels", counted).numbers["constant"] == before + 1
    nothing = dataclasses.replace(recording, activity=np.zeros_like(still))
    with pytest.raises(InvalidRecording, match="none of the 32 neurons ever changes"):
        run_probe("neuron_labels", Subject(nothing, NCAP(5).wiring()))


@pytest.mark.parametrize(("episodes", "steps"), [(1, 300), (8, 1000), (7, 2001), (3, 8880)])
def test_halves_are_apart_and_of_4000_steps_at_most(episodes, steps):
    seek, test = _halves((episodes, steps))
    for half in (seek, test):
        assert 0 < half.sum() < 4000 + episodes
    assert seek.any(0).nonzero()[0].max() < test.any(0).nonzero()[0].min()
