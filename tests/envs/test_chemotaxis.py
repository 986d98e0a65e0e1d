"""Odours, temperature, and the task of following one: fields, what is smelled, indices of known paths."""

import json

import numpy as np
import pytest
from nervecord.envs import EnvBatch, Field, Landscape, Source, make_arena
from nervecord.envs.arenas import arena_json
from nervecord.envs.arenas.fields import LiveField
from nervecord.errors import InvalidArena, InvalidTask
from nervecord.testing import check_arena, check_task

FIELDS = Landscape(
    odour=Field(
        (Source(x=1.0, amplitude=2.0, size=0.5, course=((20.0, 1.0, 2.0),)), Source("cone", x=-1.0, size=2.0)),
        base=0.01,
    ),
    temperature=Field(base=293.0, slope_x=2.0, slope_y=-1.0),
)


def value(field, place, seconds=0.0):
    """Return a field at a place, some seconds after the start."""
    live = LiveField(field, 1)
    live.reset(np.array([0]), [None])
    live.advance(np.array([0]), np.full((1, 2), 99.0), np.array([seconds]), 0.03, [None])
    return live.at(np.array([place]))[0]


def test_fields_have_their_values():
    at_peak, between = value(FIELDS.odour, [1.0, 1.0], 10.0), value(FIELDS.odour, [0.0, 0.0])
    assert at_peak == pytest.approx(0.01 + 2.0 + max(0.0, 1 - np.hypot(2, 1) / 2))
    assert between == pytest.approx(0.01 + 2 * np.exp(-1 / (2 * 0.25)) + 0.5)
    assert value(FIELDS.temperature, [1.0, 1.0], 10.0) == 293.0 + 2 - 1
    # d ln c / dr = -r / size^2 for one gaussian.
    one = Field((Source(size=0.7),))
    near = [value(one, [0.5, 0.0]), value(one, [0.501, 0.0])]
    assert np.diff(np.log(near))[0] / 0.001 == pytest.approx(-0.5 / 0.49, rel=2e-3)


def test_fields_are_kept_as_json():
    check_arena(FIELDS)
    assert make_arena(json.loads(json.dumps(arena_json(FIELDS)))) == FIELDS


def test_senses_read_the_fields_at_the_nose():
    envs = EnvBatch("swim", 3, arena=FIELDS, senses=["joint_pos", "odour", "temperature"], n_threads=1)
    envs.seed([1, 2, 3])
    envs.reset(np.arange(3))
    envs.step(np.ones((3, 5)))
    nose, seen = envs.physics.read("nose_pos"), envs.layout.split(envs.observation())
    np.testing.assert_allclose(
        seen["odour"][:, 0], np.log([value(FIELDS.odour, each, 0.03) for each in nose]), rtol=1e-6
    )
    np.testing.assert_allclose(seen["temperature"][:, 0], 2 * nose[:, 0] - nose[:, 1], rtol=1e-6, atol=1e-9)
    assert {sense.name: sense.scale for sense in envs.layout.senses}["odour"] == (5.0,)


def test_the_task_keeps_its_laws():
    check_task("chemotaxis")


class Towards:
    """Moves noses by hand: a physics whose readings of the nose are set."""

    def __init__(self, physics):
        self.physics, self.nose = physics, physics.read("nose_pos").copy()

    def __getattr__(self, name):
        return getattr(self.physics, name)

    def read(self, name):
        return self.nose if name == "nose_pos" else self.physics.read(name)


def followed(path, n_steps=30, **options):
    """Return the metrics of noses that go a share of the way to their sources in each step."""
    envs = EnvBatch("chemotaxis", 4, episode_steps=n_steps, n_threads=1, **options)
    envs.seed([1, 2, 3, 4])
    envs.reset(np.arange(4))
    start, source = envs.physics.read("nose_pos").copy(), envs.task.target_pos.copy()
    envs.task.physics = Towards(envs.physics)
    for step in range(1, n_steps + 1):
        envs.task.physics.nose = start + path(step / n_steps) * (source - start)
        ended = envs.step(np.zeros((4, 5)))
    return envs, ended.metrics, np.linalg.norm(source - start, axis=1)


def test_indices_of_a_straight_way_to_the_source():
    envs, metrics, begun = followed(lambda share: share)
    assert set(np.round(begun / 0.6, 6)) <= {1.7, 3.4}
    np.testing.assert_allclose(metrics["half_plane"], 1.0)
    np.testing.assert_allclose(metrics["chemotaxis_index"], np.mean(np.arange(1, 31) / 30))
    np.testing.assert_allclose(metrics["late_index"], np.mean(np.arange(21, 31) / 30))
    np.testing.assert_allclose(metrics["disc_index"], 1.0)
    np.testing.assert_allclose(metrics["reached"], 1.0)
    first = np.ceil((1 - 0.25 * 0.6 / begun) * 30 + 1e-9) * 0.03
    np.testing.assert_allclose(metrics["seconds_to_target"], first)
    np.testing.assert_allclose(envs.task.reward(), 1.0)


def test_indices_of_the_way_back_and_of_none():
    _, away, _ = followed(lambda share: -share)
    np.testing.assert_allclose(away["half_plane"], -1.0)
    np.testing.assert_allclose(away["chemotaxis_index"], -np.mean(np.arange(1, 31) / 30))
    np.testing.assert_allclose(away["disc_index"], -1.0)
    np.testing.assert_allclose(away["seconds_to_target"], 0.9)
    _, still, begun = followed(lambda share: 0.0 * share)
    np.testing.assert_allclose([still["chemotaxis_index"], still["disc_entered"], still["disc_index"]], 0.0)
    np.testing.assert_allclose(still["start_distance"], begun)


def test_the_reward_is_the_concentration():
    envs, _, begun = followed(lambda _: 0.5, spread=1.0)
    np.testing.assert_allclose(envs.task.reward(), np.exp(-((0.5 * begun) ** 2) / (2 * 0.6**2)))
    envs, _, begun = followed(lambda _: 0.5, spread=4.0, form="cone")
    np.testing.assert_allclose(envs.task.reward(), 1 - 0.5 * begun / 2.4)


def smelled(**options):
    envs = EnvBatch("chemotaxis", 4, n_threads=1, **options)
    envs.seed([1, 2, 3, 4])
    first = envs.layout.split(envs.reset(np.arange(4)))["odour"][:, 0]
    return envs, first, envs.layout.split(envs.step(np.zeros((4, 5))).observation)["odour"][:, 0]


def test_shuffled_odours_are_those_of_others_and_noise_is_a_factor():
    _, own, then = smelled()
    _, others, others_then = smelled(shuffled=True)
    np.testing.assert_allclose(others, np.roll(own, 1))
    np.testing.assert_allclose(others_then, np.roll(then, 1))
    _, noisy, noisy_then = smelled(odour_noise=0.1)
    factors = np.exp(np.array([noisy - own, noisy_then - then]))
    assert (factors != 1).all()
    assert np.abs(factors - 1).max() < 0.5
    assert not np.allclose(*factors)
    np.testing.assert_array_equal(smelled(odour_noise=0.1)[2], noisy_then)


def test_a_stopped_episode_goes_on():
    envs, _, _ = smelled(odour_noise=0.1)
    state = envs.get_state()
    after = [envs.step(np.full((4, 5), 0.3)) for _ in range(3)][-1]
    envs.set_state(state)
    again = [envs.step(np.full((4, 5), 0.3)) for _ in range(3)][-1]
    np.testing.assert_array_equal(again.observation, after.observation)
    for name, values in after.metrics.items():
        np.testing.assert_array_equal(again.metrics[name], values)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: EnvBatch("swim", 1, senses=["joint_pos", "odour"]), InvalidTask, "there is no odour to sense"),
        (lambda: EnvBatch("swim", 1, senses=["temperature"]), InvalidTask, "the arena has no temperature"),
        (lambda: EnvBatch("chemotaxis", 1, shuffled=True), InvalidTask, "2 environments or more"),
        (lambda: EnvBatch("chemotaxis", 1, distances=[]), InvalidTask, "distances"),
        (lambda: EnvBatch("chemotaxis", 1, distances=[0.0]), InvalidTask, "distances"),
        (lambda: EnvBatch("chemotaxis", 1, odour_noise=-1.0), InvalidTask, "odour_noise is -1"),
        (lambda: EnvBatch("chemotaxis", 1, form="square"), InvalidTask, "form is 'square'"),
        (lambda: Source(size=0.0), InvalidArena, "size is 0"),
        (lambda: Field(base=float("inf")), InvalidArena, "base is inf"),
        (lambda: Landscape(odour={"sources": [{"width": 1}]}), InvalidArena, "source"),
        (lambda: Landscape(odour=3), InvalidArena, "field 3 is none"),
        (lambda: Field((Source(),) * 300), InvalidArena, "there are 300 sources; give 256 at most"),
        (lambda: Source(x=2000.0), InvalidArena, "x is 2000.0; give a number from -1000 to 1000"),
        (lambda: Source(course=[[1, 0, 2000]]), InvalidArena, "within 1000 m"),
        (lambda: Source(course=[[2, 0, 0], [1, 0, 1]]), InvalidArena, "later ones behind"),
        (lambda: Source(course=[[1, 0]]), InvalidArena, "points of seconds, x and y"),
        (lambda: Source(course="east"), InvalidArena, "points of seconds, x and y"),
        (lambda: Source(lifetime=0.0), InvalidArena, "lifetime is 0"),
        (lambda: Source(respawn=1.0), InvalidArena, "for one with a lifetime"),
        (lambda: Field(noise=-1.0), InvalidArena, "noise is -1"),
        (lambda: EnvBatch("swim", 1, senses=["to_target"]), InvalidTask, "Swim has no target to sense"),
    ],
)
def test_what_cannot_be_is_one_line(make, error, says):
    with pytest.raises(error, match=says) as refused:
        make()
    assert "\n" not in str(refused.value)
