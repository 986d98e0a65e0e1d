"""Noise as a sense: a circuit's own randomness, drawn by the environment and repeated by the episode's seed."""

import numpy as np
import pytest
import torch
from nervecord.agents import ES
from nervecord.circuits import Circuit, Facts, Neuron, Wiring, register_circuit
from nervecord.circuits.registry import CIRCUITS, circuit_facts
from nervecord.envs.env_batch import EnvBatch
from nervecord.envs.sb3_env import SwimmerVecEnv
from nervecord.errors import InvalidTask
from scipy import stats
from small_es import flat_weights

N, STEPS = 3, 12


class Restless(Circuit):
    """Every joint is moved by noise of its own."""

    memory = "none"

    def __init__(self, senses, n_motors, *, rng=None):  # noqa: ARG002
        super().__init__()
        self.senses, self.n_motors = (("noise", n_motors),), n_motors
        self.neurons = tuple(Neuron(f"joint_{i}", "motor") for i in range(n_motors))
        self.gain = torch.nn.Parameter(torch.full((n_motors,), 0.5))

    @classmethod
    def facts(cls, options):  # noqa: ARG003
        return Facts(is_bounded=False, memory="none", noise=3)

    def initial_state(self, batch_size):  # noqa: ARG002
        return {}

    def forward_with_activity(self, sensors, state, pins=None):  # noqa: ARG002
        motor = self.gain * sensors
        return motor, state, motor

    def wiring(self, state=None):  # noqa: ARG002
        return Wiring(self.neurons, ())


@pytest.fixture
def restless():
    register_circuit("restless", Restless, "x", ("noise",))
    yield
    del CIRCUITS["restless"]


def batch_of(seeds, **options) -> EnvBatch:
    batch = EnvBatch("swim", len(seeds), body="swimmer4", episode_steps=STEPS, **options)
    batch.seed(seeds)
    return batch


def run(batch: EnvBatch, ids=None, steps=STEPS, start=True) -> np.ndarray:
    """Return the observations of an episode with still motors, [steps, envs, obs]."""
    rows = [batch.reset(np.arange(batch.n_envs))] if start else []
    rows += [batch.step(np.zeros((batch.n_envs, 3)), ids).observation for _ in range(steps)]
    return np.stack(rows)


def noise_of(batch: EnvBatch, observations: np.ndarray) -> np.ndarray:
    return observations[..., batch.layout["noise"]]


def test_the_same_seed_gives_the_same_noise_wherever_an_episode_runs():
    many, one, lanes = (batch_of(seeds, noise=N) for seeds in ([5, 6, 7], [6], [7, 6]))
    lanes_too = batch_of([7, 6], noise=N, physics="lanes")
    seen = noise_of(many, run(many))
    assert np.array_equal(seen[:, 1], noise_of(one, run(one))[:, 0])
    assert np.array_equal(seen[:, 1], noise_of(lanes, run(lanes))[:, 1])
    assert np.array_equal(seen[:, 1].astype(np.float32), noise_of(lanes_too, run(lanes_too))[:, 1])
    env = SwimmerVecEnv(2, body="swimmer4", episode_steps=STEPS, noise=N)
    env.seed_each([9, 6])
    assert np.array_equal(env.reset()[1, env.layout["noise"]], seen[0, 1])


def test_an_environment_that_waits_draws_nothing():
    batch = batch_of([1, 2], noise=N)
    seen = noise_of(batch, run(batch, ids=np.array([1])))
    assert np.ptp(seen[:, 0], axis=0).max() == 0
    alone = batch_of([2], noise=N)
    assert np.array_equal(seen[:, 1], noise_of(alone, run(alone))[:, 0])


def test_noise_is_standard_normal_and_new_in_every_step_and_environment():
    batch = batch_of(list(range(40)), noise=N)
    seen = noise_of(batch, run(batch)).ravel()
    assert len(np.unique(seen)) == len(seen)
    assert stats.kstest(seen, "norm").pvalue > 0.01


def test_looking_again_draws_nothing():
    batch = batch_of([1, 2], noise=N)
    shown = run(batch)[-1]
    assert np.array_equal(batch.observation(), shown)


def test_all_else_is_as_without_noise():
    with_noise, without = batch_of([3, 4], noise=N), batch_of([3, 4])
    assert without.layout.sizes == {name: n for name, n in with_noise.layout.sizes.items() if name != "noise"}
    assert list(with_noise.layout.sizes)[-1] == "noise"
    assert np.array_equal(run(with_noise)[..., :-N], run(without))


def test_it_resumes_bit_for_bit():
    batch = batch_of([1, 2], noise=N)
    run(batch, steps=4)
    state = batch.get_state()
    expected = run(batch, steps=5, start=False)
    other = batch_of([8, 9], noise=N)
    other.reset(np.arange(2))
    other.set_state(state)
    assert np.array_equal(other.observation()[:, other.layout["noise"]], state["noise"])
    assert np.array_equal(run(other, steps=5, start=False), expected)


def test_who_asks_for_no_noise_keeps_none():
    batch = batch_of([1, 2])
    run(batch, steps=4)
    assert "noise" not in batch.get_state()


def test_how_much_noise_is_wanted_is_checked():
    with pytest.raises(InvalidTask, match="noise is -1; give a whole number, 0 or more"):
        EnvBatch("swim", 1, noise=-1)
    with pytest.raises(InvalidTask, match="the sense noise has 0 values"):
        EnvBatch("swim", 1, senses=["joint_pos", "noise"])


def test_a_population_evolves_a_circuit_with_noise_and_repeats_itself(restless):  # noqa: ARG001
    n = circuit_facts("restless", {"joint_pos": 3, "noise": N}, 3).noise

    def trained(seed: int) -> np.ndarray:
        env = SwimmerVecEnv(4, body="swimmer4", episode_steps=20, noise=n)
        return flat_weights(ES("CircuitPolicy", env, seed=seed, policy_kwargs={"circuit": "restless"}).learn(160))

    assert np.array_equal(trained(0), trained(0))
    assert not np.array_equal(trained(0), trained(1))
    assert not np.array_equal(trained(0), [0.5] * 3)
