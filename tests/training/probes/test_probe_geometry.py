"""Geometry and topology of layouts that are known: cubes, circles and lines."""

import dataclasses
import itertools

import numpy as np
import pytest
from nervecord.circuits import Wiring
from nervecord.errors import InvalidRecording
from nervecord.extras import absence
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.geometry import dissimilarity, generalisation, parallelism, transformed
from nervecord.training.probes.tools.alignment import alignment
from nervecord.training.probes.tools.conditions import gait_phase
from nervecord.training.probes.topology import persistence
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from planted import WIRING, acting, planted

LABELS = np.array(list(itertools.product([False, True], repeat=3)))
CUBE = np.where(LABELS, 1.0, -1.0)

pytest.importorskip("rsatoolbox", reason=absence("probes", "rsatoolbox"))


@pytest.fixture(scope="module")
def worm(tmp_path_factory):
    config = RunConfig(steps=9600, episode_steps=300, algorithm_options={"n_envs": 8})
    run = train(config, tmp_path_factory.mktemp("worm") / "run", progress=False)
    return Subject(record(run, 3), run.agent().circuit.wiring(), run)


def test_a_circle_has_one_loop_and_a_line_has_none():
    angle = np.arange(24) * 2 * np.pi / 24
    _, loops = persistence(np.stack([np.cos(angle), np.sin(angle)], 1))
    assert len(loops) == 1
    assert loops[0, 1] - loops[0, 0] == pytest.approx(np.sqrt(3) - 2 * np.sin(np.pi / 24), abs=1e-5)
    components, loops = persistence(np.arange(24.0)[:, None])
    assert len(loops) == 0
    assert np.allclose(components[:-1, 1], 1)


def test_a_swimming_worm_runs_around_one_loop(worm):
    numbers = run_probe("topology", worm).numbers
    assert numbers["loops"] == 1
    assert numbers["second_loop"] < numbers["longest_loop"] / 2


def test_a_factorised_cube_is_parallel_and_generalises():
    rotated = CUBE @ np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    for index in range(3):
        assert parallelism(rotated, LABELS, index) == pytest.approx(1)
        assert generalisation(rotated, LABELS, index) == 1
    assert alignment(rotated, CUBE[:, :1]) == pytest.approx(1 / np.sqrt(3))
    xor = (CUBE[:, 0] * CUBE[:, 1])[:, None]
    assert alignment(rotated, xor) == pytest.approx(0, abs=1e-12)


def test_random_layouts_neither_are_parallel_nor_generalise():
    rng = np.random.default_rng(0)
    scores = [
        (parallelism(states, LABELS, 0), generalisation(states, LABELS, 0))
        for states in rng.standard_normal((200, 8, 50))
    ]
    assert np.mean(scores, 0) == pytest.approx([0, 0.5], abs=0.05)


def test_alignment_knows_no_rotation_and_no_scale():
    rng = np.random.default_rng(1)
    states = rng.standard_normal((16, 5))
    turned = 3 * states @ np.linalg.qr(rng.standard_normal((5, 5)))[0] + 2
    assert alignment(states, turned) == pytest.approx(1)


def test_the_geo_topological_transform_keeps_what_it_is_given():
    states = np.random.default_rng(2).standard_normal((12, 4))
    rdm = dissimilarity(states)
    kept = rdm.copy()
    once, twice = transformed(rdm, "geo-topological"), transformed(rdm, "geo-topological")
    assert np.array_equal(rdm, kept)
    assert np.array_equal(once, twice)
    # Quantiles: a fifth is 0, a fifth is 1, and a monotone change of the distances changes nothing.
    values = once[np.triu_indices(12, 1)]
    assert (values == 0).mean() == pytest.approx(0.2, abs=0.03)
    assert (values == 1).mean() == pytest.approx(0.2, abs=0.03)
    assert np.allclose(transformed(rdm**3, "geo-topological"), once)


def test_distances_that_tie_are_one_side_or_the_other_of_a_step():
    points = np.array([[0.0], [0.0], [0.0], [0.0], [0.0], [1.0]])
    found = transformed(dissimilarity(points), "geo-topological", 0.2, 0.6)
    assert np.array_equal(found, dissimilarity(points))


def test_geodesic_distances_go_along_a_line_that_is_bent():
    # Three sides of a square: its ends are near each other through the air, and far along it.
    side = np.linspace(0, 1, 8)
    path = np.concatenate([np.stack([0 * side, side], 1), np.stack([side, 0 * side + 1], 1)[1:]])
    path = np.concatenate([path, np.stack([0 * side + 1, 1 - side], 1)[1:]])
    ways = transformed(dissimilarity(path), "geodesic", up=0.3)
    assert ways[0, -1] == 1 == ways.max()
    assert np.allclose(ways, ways.T)
    assert (np.diff(ways[0]) > 0).all()


def test_the_phase_of_a_planted_wave_is_its_own(worm):
    time = np.arange(600) * 0.03
    place = np.arange(1, 6) / 6
    planted = 2 * np.pi * 0.7 * time[:, None] - 2 * np.pi * place / 0.65
    recording = dataclasses.replace(worm.recording, joint_pos=np.cos(planted)[None], rewards=np.zeros((1, 600)))
    true = planted[120:, 0]
    error = np.angle(np.exp(1j * (gait_phase(recording)[0] - true)))[20:-20]
    assert np.abs(error).max() < 0.15


def test_geometry_of_a_worm(worm):
    numbers = run_probe("geometry", worm).numbers
    assert numbers["alignment_outputs"] > numbers["alignment_outputs_shuffled_95"]
    assert numbers["generalisation_bent"] > 0.9


def test_a_body_that_does_not_undulate_is_one_line(worm):
    recording = worm.recording
    steady = np.repeat(np.linspace(0, 1, recording.n_steps)[None, :, None], 5, 2)
    still = dataclasses.replace(recording, joint_pos=steady, rewards=recording.rewards[:1])
    for name in ("geometry", "topology"):
        with pytest.raises(InvalidRecording, match="does not undulate"):
            run_probe(name, Subject(still, Wiring((), ())))


def test_states_of_one_neuron_are_a_line_and_of_none_a_point():
    wave = np.array(planted(episodes=2).joint_pos[..., 0])
    early = np.where(np.arange(1000) < 50, wave, 0.0)  # constant from where the gait is measured
    for several, constant in (([wave], 0), ([wave, early], 1)):
        numbers = run_probe("topology", Subject(acting(*several), WIRING)).numbers
        assert (numbers["loops"], numbers["constant"]) == (0, constant)
    for probe in ("topology", "geometry"):
        with pytest.raises(InvalidRecording, match="none of the 1 neurons ever changes"):
            run_probe(probe, Subject(acting(early), WIRING))
