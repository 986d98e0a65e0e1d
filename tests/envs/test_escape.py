"""The task of escaping from a touch: when and where it is felt, and what is measured of known motions."""

import numpy as np
import pytest
from nervecord.envs import EnvBatch
from nervecord.errors import InvalidTask

N, STEPS = 4, 300


class Moved:
    """A physics whose bodies are moved by hand: a straight line of links at a place and an angle."""

    def __init__(self, physics, n_links):
        self.physics, self.place, self.angle, self.n_links = physics, np.zeros((N, 2)), np.zeros(N), n_links

    def __getattr__(self, name):
        return getattr(self.physics, name)

    def read(self, name):
        way = np.stack([np.cos(self.angle), np.sin(self.angle)], -1)
        if name == "com_pos":
            return self.place
        if name == "link_pos":
            return self.place[:, None] - 0.1 * np.arange(self.n_links)[:, None] * way[:, None]
        return self.physics.read(name)


def moved(speed, angle=lambda _: 0.0, **options):
    """Return the metrics of bodies with a speed along themselves, m/s, and an angle, by seconds since the touch."""
    envs = EnvBatch("escape", N, episode_steps=STEPS, n_threads=1, earliest=3.0, latest=4.0, **options)
    envs.seed(list(range(N)))
    envs.reset(np.arange(N))
    hands = envs.task.physics = Moved(envs.physics, 6)
    total, rewards = [], np.zeros(N)
    for _ in range(STEPS):
        since = (envs.elapsed + 1 - envs.task._onset) * envs.dt
        turned = np.array([angle(each) for each in since])
        go = np.array([speed(each) for each in since]) * envs.dt
        before = hands.place.copy()
        hands.angle = turned
        hands.place = before + go[:, None] * np.stack([np.cos(turned), np.sin(turned)], -1)
        envs.task._com_before[:] = before
        envs.elapsed += 1
        rewards += envs.task.reward()
        total.append(envs.task.pulse())
    return envs.task.metrics(), np.array(total), rewards


def test_the_touch_is_felt_once_by_a_fifth_of_the_links():
    for where, touched in (("front", slice(0, 1)), ("behind", slice(5, 6))):
        _, felt, _ = moved(lambda _: 0.05, where=where, strength=0.7)
        assert np.unique(felt).tolist() == [0.0, 0.7]
        assert felt[:, :, touched].max(0).min() == 0.7
        assert (felt > 0).sum(0).sum() == N * 10  # 0.3 s
        begins = np.argmax(felt.max(2) > 0, 0) * 0.03
        assert ((begins > 2.9) & (begins < 4.1)).all()
        assert len(set(begins.tolist())) == N
    both = EnvBatch("escape", 40, n_threads=1)
    both.seed(list(range(40)))
    both.reset(np.arange(40))
    assert 8 < both.metrics()["touched_front"].sum() < 32


def test_a_reversal_is_timed_and_measured():
    """0.06 m/s on, and from a second after the touch 0.09 m/s back for two seconds; it turns by 90 degrees."""
    found, _, rewards = moved(
        lambda t: 0.06 if t <= 1.0 or t > 3.0 else -0.09, lambda t: 0.0 if t < 1 else np.pi / 2, where="front"
    )
    # Over a second, the way back outweighs the way on after 0.4 s.
    np.testing.assert_allclose(found["latency"], 1.4, atol=0.061)
    np.testing.assert_allclose(found["backward"], 2 * 0.09 / 0.6, atol=0.01)
    np.testing.assert_allclose(found["turn"], np.pi / 2, atol=1e-6)
    assert found["reversed"].tolist() == [1.0] * N
    assert (found["turned_little"] + 2 * found["turned_aside"] + 4 * found["turned_about"]).tolist() == [2.0] * N
    assert not found["speed_gain"].any()
    # Tenths of a body length: 1 a step before; for three seconds after the touch, the way back is paid.
    steps_before = STEPS - 100 - 0
    assert (rewards > 0).all()
    assert (rewards < steps_before + 1.5 * 67).all()


def test_who_swims_on_has_not_escaped():
    found, _, _ = moved(lambda _: 0.06, where="front")
    assert not found["reversed"].any()
    assert not found["backward"].any()
    assert (found["latency"] > 4.0).all()


def test_a_speed_up_is_the_second_after_over_the_second_before():
    found, _, _ = moved(lambda t: 0.06 if t <= 0 else 0.09, where="behind")
    np.testing.assert_allclose(found["speed_gain"], 0.03 / 0.6, atol=1e-9)
    assert not found["reversed"].any()
    assert not found["latency"].any()


def test_a_stopped_episode_goes_on():
    envs = EnvBatch("escape", 2, episode_steps=120, earliest=1.0, latest=2.0, n_threads=1)
    envs.seed([1, 2])
    envs.reset(np.arange(2))
    for _ in range(50):
        envs.step(np.full((2, 5), 0.3))
    state = envs.get_state()
    after = [envs.step(np.full((2, 5), -0.3)) for _ in range(30)][-1]
    envs.set_state(state)
    again = [envs.step(np.full((2, 5), -0.3)) for _ in range(30)][-1]
    np.testing.assert_array_equal(again.observation, after.observation)
    for name, values in after.metrics.items():
        np.testing.assert_array_equal(again.metrics[name], values)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"earliest": 5.0, "latest": 4.0}, "give a later latest"),
        ({"strength": 2.0}, "strength is 2"),
        ({"earliest": 0.0}, "earliest is 0"),
        ({"where": "left"}, "where is 'left'"),
    ],
)
def test_what_cannot_be_is_one_line(options, says):
    with pytest.raises(InvalidTask, match=says) as refused:
        EnvBatch("escape", 1, n_threads=1, **options)
    assert "\n" not in str(refused.value)
