"""Assemblies and biclusters that were planted are found."""

import dataclasses

import numpy as np
import pytest
from nervecord.errors import InvalidRecording
from nervecord.extras import absence
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.biclusters import find_biclusters
from nervecord.training.probes.functional_connectome import assemblies, community, derivatives
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from planted import WIRING, acting
from sklearn.metrics import adjusted_rand_score

pytest.importorskip("hmmlearn", reason=absence("probes", "hmmlearn"))


@pytest.fixture(scope="module")
def worm(tmp_path_factory):
    config = RunConfig(steps=9600, episode_steps=300, algorithm_options={"n_envs": 8})
    run = train(config, tmp_path_factory.mktemp("worm") / "run", progress=False)
    return Subject(record(run, 2), run.agent().circuit.wiring(), run)


def test_three_planted_assemblies_are_found_with_their_members_and_times():
    rng = np.random.default_rng(0)
    time = np.arange(300)
    activity = 0.02 * rng.standard_normal((4, 300, 12))
    planted = {60: (0, 1, 2, 3), 150: (4, 5, 6, 7), 240: (8, 9, 10, 11)}
    for centre, members in planted.items():
        activity[:, :, list(members)] += (1 / (1 + np.exp(-(time - centre) / 5)))[None, :, None]
    found, errors = assemblies(derivatives(activity))
    assert len(found) == 3
    assert errors == sorted(errors, reverse=True)
    by_peak = {int(np.argmax(each.course)): each.members for each in found}
    for centre, members in planted.items():
        peak = min(by_peak, key=lambda peak: abs(peak - centre))
        assert abs(peak - centre) <= 15
        assert by_peak[peak] == members


def test_the_community_of_a_graph_is_its_densest_part():
    strength = np.full((6, 6), 0.01)
    strength[:3, :3] = 1
    strength[3:, 3:] = 0.5
    np.fill_diagonal(strength, 0)
    assert community(strength) == (0, 1, 2)


@pytest.mark.parametrize("counts", [True, False])
def test_planted_states_and_groups_are_found(counts):
    rng = np.random.default_rng(1)
    states = np.repeat([0, 1, 2, 0, 2, 1, 0, 1, 2, 1], 40)
    groups = np.repeat([0, 1, 2], 8)
    rates = np.array([[1.0, 6, 12], [12, 1, 6], [6, 12, 1]])[groups][:, states].T
    samples = rng.poisson(rates).astype(float) if counts else rng.normal(rates / 4, 0.5)
    found = find_biclusters(samples, [200, 200])
    assert adjusted_rand_score(states, found.states) == 1
    assert adjusted_rand_score(groups, found.groups) == 1
    assert found.together[groups[:, None] == groups].min() > 0.9


def test_a_start_that_loses_a_state_is_left_out():
    rng = np.random.default_rng(42)  # where one start of hmmlearn's comes to NaN
    neurons = int(rng.integers(4, 30))
    states = np.repeat(rng.integers(0, 3, 16), 16)
    samples = rng.standard_normal((3, neurons))[states] + 0.01 * rng.standard_normal((256, neurons))
    samples[rng.integers(0, 256, 2)] += 20 * rng.standard_normal((2, neurons))
    found = find_biclusters((samples - samples.mean(0)) / samples.std(0), [128, 128])
    assert found.states.max() >= 1


def test_noise_is_one_group_that_no_resample_agrees_upon():
    samples = np.random.default_rng(2).standard_normal((400, 10))
    found = find_biclusters(samples, [400])
    assert found.states.max() == 0
    assert found.groups.max() == 0


def test_a_worm_is_taken_apart(worm):
    found = run_probe("functional_connectome", worm)
    assert found.numbers["assemblies"] >= 1
    assert found.words[0].startswith("Assembly 1:")
    states = run_probe("biclusters", worm)
    assert states.numbers["states"] >= 2
    # A joint's muscles pull one way or the other: never in one group.
    group = dict(zip(states.arrays["neuron"], states.arrays["group"], strict=True))
    assert group["muscle_d_0"] != group["muscle_v_0"]


def test_too_short_or_not_finite_is_one_line(worm):
    recording = worm.recording
    broken = np.array(recording.activity)
    broken[0, 7, 3] = np.nan
    for name in ("functional_connectome", "biclusters"):
        with pytest.raises(InvalidRecording, match=f"{recording.neurons[3]} is not finite in episode 0, step 7"):
            run_probe(name, dataclasses.replace(worm, recording=dataclasses.replace(recording, activity=broken)))
        short = dataclasses.replace(
            recording, activity=recording.activity[:, :40], rewards=np.asarray(recording.rewards)[:, :40]
        )
        with pytest.raises(InvalidRecording, match="40 steps"):
            run_probe(name, dataclasses.replace(worm, recording=short))


def test_neurons_that_never_change_together_form_no_assembly():
    wave = np.sin(0.2 * np.arange(1000))[None].repeat(2, 0)
    by_episode = np.stack([np.zeros(1000), np.ones(1000)])  # constant within each, so that it does not change
    for several in ([wave], [wave, by_episode]):
        with pytest.raises(InvalidRecording, match="one neuron alone changes, and assemblies need two"):
            run_probe("functional_connectome", Subject(acting(*several), WIRING))
    with pytest.raises(InvalidRecording, match="no two of 2 neurons ever rise or fall together"):
        run_probe("functional_connectome", Subject(acting(wave, -wave), WIRING))
