"""Evolution strategies: the estimator, SB3's habits, determinism, and learning."""

import gymnasium
import numpy as np
import pytest
import torch
from nervecord.agents import CMAES, ES, CircuitPolicy
from nervecord.agents.algorithms.members import Members, Round
from nervecord.envs.sb3_env import SwimmerVecEnv
from nervecord.errors import CircuitMismatch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger


def small_es(seed: int = 0, **options) -> ES:
    env = SwimmerVecEnv(8, body="swimmer4", episode_steps=60)
    return ES("CircuitPolicy", env, seed=seed, policy_kwargs={"circuit": "ncap"}, **options)


def step(model: ES, noise: torch.Tensor, returns: np.ndarray) -> None:
    model.set_logger(Logger(None, []))
    model._noise = noise
    model._tell(returns)


def flat_weights(model: ES) -> np.ndarray:
    return torch.nn.utils.parameters_to_vector(model.policy.circuit.parameters()).detach().numpy()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    one, two, other = (small_es(seed).learn(960) for seed in (0, 0, 1))
    assert np.array_equal(flat_weights(one), flat_weights(two))
    assert not np.array_equal(flat_weights(one), flat_weights(other))
    assert not np.array_equal(flat_weights(one), [1, 1, 1, -1])


def test_training_in_two_sittings_equals_one_through_save_and_load(tmp_path):
    whole = small_es().learn(960)
    half = small_es().learn(480)
    half.save(tmp_path / "half.zip")
    loaded = ES.load(tmp_path / "half.zip", env=SwimmerVecEnv(8, body="swimmer4", episode_steps=60))
    loaded.learn(480, reset_num_timesteps=False)
    assert np.array_equal(flat_weights(whole), flat_weights(loaded))
    assert loaded.num_timesteps == 960


class StopAfter(BaseCallback):
    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def _on_step(self) -> bool:
        return self.n_calls < self.calls


def test_a_callback_stops_it_and_half_a_generation_changes_no_weight():
    model = small_es()
    model.learn(10_000, callback=StopAfter(30))
    assert model.num_timesteps == 8 * 30
    assert np.array_equal(flat_weights(model), [1, 1, 1, -1])


def test_the_gradient_points_uphill_on_a_known_slope():
    model = small_es(learning_rate=0.01)
    noise = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    noise = torch.cat([noise, -noise])
    slope = torch.tensor([1.0, -2.0, 0.0, 3.0])
    before = flat_weights(model)
    step(model, noise, (noise @ slope).numpy())
    moved = flat_weights(model) - before
    assert moved @ slope.numpy() > 0


def test_ties_cancel():
    model = small_es()
    before = flat_weights(model)
    step(model, torch.randn(8, 4), np.ones(8))
    assert np.array_equal(flat_weights(model), before)


def test_any_gymnasium_environment_and_discrete_actions_learn():
    env = make_vec_env("CartPole-v1", n_envs=16, seed=0)
    model = ES(
        CircuitPolicy, env, seed=0, learning_rate=0.1, sigma=0.5, episode_limit=200,
        policy_kwargs={"circuit": "mlp", "circuit_options": {"hidden": [8]}},
    )  # fmt: skip
    model.learn(60_000)
    returns = []
    one = gymnasium.make("CartPole-v1")
    for episode in range(10):
        observed, _ = one.reset(seed=100 + episode)
        total, over = 0.0, False
        while not over and total < 200:
            action, _ = model.predict(observed)
            observed, reward, terminated, truncated, _ = one.step(int(action))
            total, over = total + reward, terminated or truncated
        returns.append(total)
    # A random policy balances for about 22 steps.
    assert np.mean(returns) > 100


def test_an_odd_population_is_refused():
    with pytest.raises(CircuitMismatch, match="even number"):
        ES("CircuitPolicy", SwimmerVecEnv(3, body="swimmer3"))


def test_state_of_another_batch_is_refused():
    model = small_es()
    _, state = model.predict(np.zeros((4, 15)), None)
    with pytest.raises(CircuitMismatch, match="state is of 4"):
        model.predict(np.zeros((2, 15)), state)


def small_cmaes(**options) -> CMAES:
    env = SwimmerVecEnv(6, body="swimmer4", episode_steps=60)
    return CMAES("CircuitPolicy", env, seed=3, policy_kwargs={"circuit": "ncap"}, **options)


def test_cmaes_finds_the_minimum_of_an_ill_conditioned_bowl():
    """Its reference problem: a quadratic whose axes differ by a thousand."""
    model = small_cmaes(sigma=0.5)
    model.set_logger(Logger(None, []))
    target, scale = np.array([0.3, -0.7, 1.1, 0.2]), np.array([1.0, 10.0, 100.0, 1000.0])
    for _ in range(150):
        weights, seeds = model._ask(model._rng_of(model.generation))
        assert len(set(seeds)) == 1
        model._tell(-(scale * (weights.numpy() - target) ** 2).sum(1))
        model.generation += 1
    assert np.allclose(flat_weights(model), target, atol=1e-3)


def test_cmaes_in_two_sittings_equals_one_and_leaves_the_global_generator_alone(tmp_path):
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    whole = small_cmaes()
    np.random.seed(7)  # noqa: NPY002
    whole._ask(whole._rng_of(0))
    assert np.random.random() == expected  # noqa: NPY002
    whole = small_cmaes().learn(4 * 360)
    half = small_cmaes().learn(2 * 360)
    half.save(tmp_path / "half.zip")
    loaded = CMAES.load(tmp_path / "half.zip", env=SwimmerVecEnv(6, body="swimmer4", episode_steps=60))
    loaded.learn(2 * 360, reset_num_timesteps=False)
    assert np.array_equal(flat_weights(whole), flat_weights(loaded))


def test_cmaes_refuses_what_its_matrix_would_not_hold():
    with pytest.raises(CircuitMismatch, match=r"for 2 to 1000 of them.*use es, or ppo"):
        CMAES("CircuitPolicy", SwimmerVecEnv(4, body="swimmer4"), policy_kwargs={"circuit": "mlp"})


def test_a_member_that_runs_away_is_a_bad_one_and_no_error():
    env = SwimmerVecEnv(4, "swim", body="swimmer3", episode_steps=20)
    policy = CircuitPolicy(
        env.observation_space,
        env.action_space,
        circuit="ctrnn",
        circuit_options={"units": 4},
        layout=env.layout,
        seed=0,
    )
    members = Members(policy, env)
    flat = torch.nn.utils.parameters_to_vector(policy.circuit.parameters()).detach()
    weights = flat.repeat(4, 1)
    weights[2] = float("nan")
    outcome = members.evaluate(Round(weights, np.arange(4)))
    assert np.isfinite(outcome.returns).all()
