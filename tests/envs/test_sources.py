"""Sources that move, run low and come back, and what noses sense of them."""

import json

import numpy as np
import pytest
from nervecord.envs import EnvBatch, Field, Landscape, Source, make_arena
from nervecord.envs.arenas import arena_json
from nervecord.envs.arenas.fields import LiveField
from nervecord.testing import check_arena

ALL, DT = np.arange(2), 0.03
HERE = np.zeros((2, 2))


def live(*sources, **field):
    """Return a field around two environments at its start, and their generators."""
    found, rngs = LiveField(Field(sources, **field), 2), [np.random.default_rng(seed) for seed in (1, 2)]
    found.reset(ALL, rngs)
    return found, rngs


def pass_time(field, rngs, steps, nose=HERE, first=0):
    for step in range(first + 1, first + steps + 1):
        field.advance(ALL, nose, np.full(2, step * DT), DT, rngs)


def test_a_source_follows_its_course_and_stays_at_its_end():
    field, rngs = live(Source(course=[(0.6, 1.0, 0.0), (1.2, 1.0, 2.0)]))
    seen = []
    for first in range(0, 60, 10):
        pass_time(field, rngs, 10, first=first)
        seen.append(field.centres[0, 0].tolist())
    expected = [[0.5, 0], [1, 0], [1, 1], [1, 2], [1, 2], [1, 2]]
    np.testing.assert_allclose(seen, expected, atol=1e-12)


def test_a_source_runs_low_while_a_nose_is_within_its_radius():
    # A' = -A / T, so that after t seconds e^(-t / T) is left.
    field, rngs = live(Source(lifetime=2.0, radius=0.1, amplitude=3.0))
    pass_time(field, rngs, 50, np.array([[0.09, 0.0], [0.11, 0.0]]))
    np.testing.assert_allclose(field.amplitudes[:, 0], [3.0 * np.exp(-1.5 / 2.0), 3.0], rtol=1e-12)
    np.testing.assert_array_equal(field.centres, 0.0)
    field.reset(np.array([0]), rngs)
    np.testing.assert_array_equal(field.amplitudes, 3.0)


def test_an_empty_source_comes_back_elsewhere_and_whole():
    field, rngs = live(Source(lifetime=0.3, respawn=2.0))
    for _ in range(200):
        pass_time(field, rngs, 31, field.centres[:, 0].copy())  # to 4.5 % of the amplitude
        np.testing.assert_array_equal(field.amplitudes, 1.0)
        moved = np.linalg.norm(field.centres[:, 0] - HERE, axis=1)
        assert ((moved >= 0.4) & (moved <= 2.0)).all()
        field.centres[:] = 0.0
    assert not np.allclose(*field.get_state()["centres"] + [[[0.0, 0.0]], [[1.0, 0.0]]])


ARENA = Landscape(
    odour=Field((Source(lifetime=0.1, radius=0.2, respawn=1.0), Source(x=1.0, course=((1, 2, 0),))), noise=0.2),
    temperature=Field(base=293.0, slope_x=2.0, noise=0.5),
)


def sensed(seeds, steps=4):
    """Return what two worms sense of the arena in some steps."""
    envs = EnvBatch("swim", 2, "swimmer3", ARENA, senses=["odour", "temperature"], n_threads=1)
    envs.seed(seeds)
    return envs, [envs.reset(ALL), *(envs.step(np.ones((2, 2))).observation for _ in range(steps))]


def test_noise_is_of_the_sense_and_follows_the_environments_own_seed():
    envs, seen = sensed([1, 2])
    _, again = sensed([1, 2])
    _, others = sensed([3, 2])
    np.testing.assert_array_equal(seen, again)
    assert (np.array(seen)[:, 0] != np.array(others)[:, 0]).all()
    np.testing.assert_array_equal(np.array(seen)[:, 1], np.array(others)[:, 1])
    nose = envs.physics.read("nose_pos")
    np.testing.assert_allclose(seen[-1][:, 1], 2 * nose[:, 0] + 0.5 * envs.fields["temperature"].noise, rtol=1e-6)
    odour = envs.fields["odour"]
    np.testing.assert_allclose(np.exp(seen[-1][:, 0]), odour.at(nose) * (1 + 0.2 * odour.noise), rtol=1e-6)
    assert (odour.amplitudes[:, 0] < 1).all()  # where the noses are


def test_a_stopped_episode_goes_on_with_its_sources():
    envs, _ = sensed([1, 2])
    state = envs.get_state()
    after = [envs.step(np.ones((2, 2))).observation for _ in range(8)]
    envs.set_state(state)
    np.testing.assert_array_equal([envs.step(np.ones((2, 2))).observation for _ in range(8)], after)


def test_only_stepped_environments_age():
    envs, _ = sensed([1, 2], steps=0)
    envs.step(np.ones((2, 2)), np.array([1]))
    left = envs.fields["odour"].amplitudes[:, 0]
    np.testing.assert_allclose(left, [1.0, np.exp(-0.3)], rtol=1e-12)


def test_sources_are_kept_as_json():
    check_arena(ARENA)
    assert make_arena(json.loads(json.dumps(arena_json(ARENA)))) == ARENA


@pytest.mark.parametrize("physics", ["mujoco", "lanes"])
def test_sources_run_low_whoever_senses_them(physics):
    envs = EnvBatch("swim", 2, "swimmer3", ARENA, physics=physics, n_threads=1)
    envs.seed([1, 2])
    envs.reset(ALL)
    envs.step(np.ones((2, 2)))
    assert (envs.fields["odour"].amplitudes[:, 0] < 1).all()
