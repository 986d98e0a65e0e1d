"""Facets: a neuron that answers to either of two situations has two, one that answers to one has one."""

import dataclasses

import numpy as np
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.facets import divide, strongest_moments
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from planted import WIRING, acting, planted
from sklearn.metrics import adjusted_rand_score


def smooth_noise(rng, episodes=4, steps=1500, parts=6):
    noise = rng.standard_normal((episodes, steps, parts))
    kernel = np.exp(-(np.arange(-10, 11) ** 2) / 20)
    smooth = np.apply_along_axis(lambda row: np.convolve(row, kernel, "same"), 1, noise)
    return smooth / smooth.std((0, 1))


def test_a_planted_or_has_two_facets():
    rng = np.random.default_rng(0)
    situations = smooth_noise(rng)
    one, other = situations[..., 0], situations[..., 3]
    series = np.maximum(one, other)
    episode, step = strongest_moments(series)
    found = divide(situations, episode, step, 0.2)
    assert found.count == 2
    cause = one[episode, step] > other[episode, step]
    clear = np.abs(one - other)[episode, step] > 0.5
    assert adjusted_rand_score(cause[clear], found.facet[clear]) > 0.95


def test_a_neuron_with_one_cause_has_one_facet():
    situations = smooth_noise(np.random.default_rng(1))
    episode, step = strongest_moments(situations[..., 2])
    assert divide(situations, episode, step, 0.2).count == 1


def test_moments_are_apart_and_the_strongest():
    series = smooth_noise(np.random.default_rng(2))[..., 0]
    episode, step = strongest_moments(series)
    assert len(step) == 150
    for number in range(4):
        assert np.diff(np.sort(step[episode == number])).min() >= 8
    assert series[episode, step].min() > np.quantile(series, 0.7)


def test_facets_of_a_worm_with_a_planted_or(tmp_path):
    config = RunConfig(steps=9600, episode_steps=500, algorithm_options={"n_envs": 8})
    run = train(config, tmp_path / "run", progress=False)
    recording = record(run, 3)
    joints = np.asarray(recording.joint_pos)
    planted = np.array(recording.activity)
    # Bent far to either side at the middle joint: two opposite moments of the stroke.
    planted[:, :, 0] = np.abs(joints[:, :, 2])
    subject = Subject(dataclasses.replace(recording, activity=planted), run.agent().circuit.wiring(), run)
    result = run_probe("facets", subject)
    facets = dict(zip(result.arrays["neuron"], result.arrays["facets"], strict=True))
    assert facets[recording.neurons[0]] >= 2
    told = next(line for line in result.words if line.startswith(recording.neurons[0]))
    assert "dorsally" in told
    assert "ventrally" in told
    # A regular gait divides whatever reads it, which the words say first.
    assert result.numbers["linear_with_several"] == 1
    assert "the count says little" in result.words[0]


def test_linear_readouts_of_an_irregular_movement_have_one_facet():
    moves = smooth_noise(np.random.default_rng(3), parts=22)
    body = acting(moves[..., 0], moves[..., 11])
    body = dataclasses.replace(body, joint_pos=moves[..., :11], joint_vel=moves[..., 11:])
    result = run_probe("facets", Subject(body, WIRING))
    assert result.numbers["linear_with_several"] <= 0.05
    assert not any("count says little" in line for line in result.words)


def test_a_neuron_that_rests_once_the_gait_has_settled_has_no_moments():
    wave = np.array(planted(episodes=2).joint_pos[..., 0])
    early = np.where(np.arange(1000) < 50, wave, 0.0)
    found = run_probe("facets", Subject(acting(wave, early), WIRING))
    assert found.numbers["constant"] == 1
    assert found.arrays["neuron"].tolist() == ["n0"]
