"""Food, eaten and elsewhere again; a border between two media; and the measures of reaching a target."""

import numpy as np
import pytest
from nervecord.envs import Arena, EnvBatch, Landscape, Zone, gel, newtonian
from nervecord.errors import InvalidTask
from nervecord.testing import check_task

ALL = np.arange(4)
LENGTH = 0.6


def made(task, n_steps=60, body="swimmer6", **options):
    envs = EnvBatch(task, 4, body, episode_steps=n_steps, n_threads=1, **options)
    envs.seed([1, 2, 3, 4])
    envs.reset(ALL)
    return envs


class Moved:
    """A physics whose bodies are where a test puts them, as they lie."""

    def __init__(self, physics):
        self.physics, self.by = physics, np.zeros((4, 2))

    def __getattr__(self, name):
        return getattr(self.physics, name)

    def read(self, name):
        found = self.physics.read(name)
        if name == "link_pos":
            return found + self.by[:, None]
        return found + self.by if name in ("nose_pos", "com_pos") else found


def moved(envs):
    """Let the task see bodies that are moved by hand, and hold still otherwise."""
    envs.task.physics = Moved(envs.physics)
    return envs.task.physics


@pytest.mark.parametrize("task", ["forage", "twomedia", "navigate"])
def test_tasks_keep_their_laws(task):
    check_task(task)


def swim_to_food(envs, steps):
    """Take the nose straight to the food, in equal steps, and return rewards and the last metrics."""
    by, way = moved(envs), envs.task.target_pos - envs.physics.read("nose_pos")
    rewards = []
    for step in range(1, steps + 1):
        by.by = step / steps * way
        stepped = envs.step(np.zeros((4, 5)))
        rewards.append(stepped.reward)
    return np.array(rewards), stepped.metrics, way


def test_food_is_eaten_within_its_radius_and_comes_back_where_it_should():
    envs = made("forage", 400)
    for eaten in range(1, 31):
        rewards, metrics, way = swim_to_food(envs, 4)
        distance = np.linalg.norm(way, axis=1)
        np.testing.assert_array_equal(metrics["eaten"], eaten)
        # All of the way, and 1 for eating, where it is out of reach until the last step.
        usual = distance > 4 * envs.task.target_radius
        np.testing.assert_allclose(rewards.sum(0)[usual], 2.0, atol=0.02)
        links = envs.task.physics.read("link_pos")
        away = np.linalg.norm(links - envs.task.target_pos[:, None], axis=2).min(1)[usual]
        assert ((away >= 0.5 * LENGTH) & (away <= 2.5 * LENGTH)).all()
        envs.task.physics = envs.task.physics.physics
        envs.physics.reset(ALL, np.zeros(4), np.zeros((4, 5)))
        for index in ALL:
            envs.task.place_target(index, envs.task.draw_target(index, np.zeros(2), envs.rngs[index]))


def test_measures_of_a_straight_way():
    envs = made("forage")
    start = np.linalg.norm(envs.task.target_pos - envs.physics.read("nose_pos"), axis=1)
    _, metrics, _ = swim_to_food(envs, 30)
    np.testing.assert_allclose(metrics["start_distance"], start)
    np.testing.assert_array_equal(metrics["reached"], 1.0)
    steps = np.maximum(np.floor(30 * (1 - 0.25 * LENGTH / start) + 1), 1)
    np.testing.assert_allclose(metrics["seconds_to_target"], 0.03 * steps)
    efficiency = np.minimum((start - 0.25 * LENGTH) / (start * steps / 30), 1.0)
    far = start > 0.25 * LENGTH
    np.testing.assert_allclose(metrics["path_efficiency"][far], efficiency[far], rtol=1e-6)
    expected = np.select([start > 1.5 * LENGTH, start > 0.5 * LENGTH], [1.5, 0.5], 0.0)
    np.testing.assert_array_equal(metrics["stratum"], expected)


def test_half_the_efficiency_there_and_back():
    envs = made("navigate")
    by, way = moved(envs), envs.task.target_pos - envs.physics.read("nose_pos")
    distance = np.linalg.norm(way, axis=1)
    # There and back to a quarter of the way, and then all of it: 1.5 times as long.
    for share in (0.25, 0.0, 0.25, 0.5, 0.75, 1.0):
        by.by = share * way
        metrics = envs.step(np.zeros((4, 5))).metrics
    far = distance > 0.4
    assert far.any()
    np.testing.assert_array_equal(metrics["reached"], 1.0)
    expected = (distance - 0.1) / (1.5 * distance)
    np.testing.assert_allclose(metrics["path_efficiency"][far], expected[far], rtol=1e-6)
    np.testing.assert_allclose(metrics["target_distance"], 0.0, atol=1e-9)


def test_food_that_is_far_is_not_reached():
    envs = made("forage", radius=0.01)
    metrics = envs.step(np.zeros((4, 5))).metrics
    for name in ("reached", "path_efficiency", "eaten"):
        np.testing.assert_array_equal(metrics[name], 0.0)
    np.testing.assert_allclose(metrics["seconds_to_target"], 0.03)


def test_shuffled_food_is_that_of_another():
    own, others = made("forage"), made("forage", shuffled=True)
    np.testing.assert_allclose(others.task.to_target(), np.roll(own.task.to_target(), 1, axis=0))
    np.testing.assert_allclose(others.task.smelled(), np.roll(own.task.smelled(), 1))


def test_bodies_point_across_the_border_and_are_over_whole():
    body, length = "swimmer8", 0.8
    envs = made("twomedia", 200, body, settled=0.3)
    assert envs.arena.zones[0].x == pytest.approx(1.5 * length)
    links = envs.physics.read("link_pos")
    axis = np.stack([np.cos(envs.physics.read("link_angle")), np.sin(envs.physics.read("link_angle"))], -1).mean(1)
    np.testing.assert_array_less(np.abs(np.arctan2(axis[:, 1], axis[:, 0])), 0.21)
    by, border = moved(envs), envs.arena.zones[0].x
    ended = np.zeros(4, int)
    first, last = border - links[..., 0].max(1), border - links[..., 0].min(1)
    steps = range(1, 100)
    rewards = np.zeros(4)
    for step in steps:
        by.by = np.stack([np.full(4, 0.025 * step), np.zeros(4)], 1)
        stepped = envs.step(np.zeros((4, 7)))
        rewards += stepped.reward
        ended = np.where((ended == 0) & stepped.terminated, step, ended)
    metrics = stepped.metrics
    entered, crossed = (np.floor(where / 0.025) + 1 for where in (first, last))
    np.testing.assert_allclose(metrics["seconds_to_cross"], 0.03 * (crossed - entered), atol=0.031)
    np.testing.assert_array_equal(metrics["crossed"], 1.0)
    np.testing.assert_allclose(ended - crossed, 9, atol=1)
    np.testing.assert_allclose(rewards, 0.025 * 99 / length, atol=0.05)


def test_strokes_are_counted_on_both_sides():
    arena = Landscape(newtonian(0.001), (Zone(medium=newtonian(0.002), x=0.3),))
    envs = made("twomedia", 400, "worm8", arena=arena, settled=100.0)
    by, frequency, speeds = moved(envs), 1.3, []
    for step in range(1, 300):
        by.by = np.stack([np.full(4, 0.0 if step < 150 else 3.0), np.zeros(4)], 1)
        metrics = envs.step(np.full((4, 7), np.sin(2 * np.pi * frequency * 0.03 * step))).metrics
        speeds.append(envs.task.forward_com_speed())
    for side, seen in (("before", speeds[:149]), ("after", speeds[149:])):
        np.testing.assert_allclose(metrics[f"frequency_{side}"], frequency, rtol=0.15)
        np.testing.assert_allclose(metrics[f"speed_{side}"], np.mean(seen, axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: made("twomedia", arena=Arena(gel(0.1))), "first zone is a half-plane"),
        (lambda: made("twomedia", arena=Landscape(gel(0.1), (Zone("disc"),))), "first zone is a half-plane"),
        (lambda: made("twomedia", settled=-1.0), "settled is -1"),
        (lambda: made("twomedia", aim=4.0), "aim is 4"),
        (lambda: made("forage", far=0.5), "far is 0.5"),
        (lambda: made("forage", radius=0.0), "radius is 0"),
        (lambda: EnvBatch("forage", 1, shuffled=True), "2 environments or more"),
        (lambda: made("swim").task.place_target(0, np.zeros(2)), "Swim has no target to put anywhere"),
    ],
)
def test_what_cannot_be_is_one_line(make, says):
    with pytest.raises(InvalidTask, match=says) as refused:
        make()
    assert "\n" not in str(refused.value)
