"""Evolution strategies: the estimator, SB3's habits, determinism, and learning."""

import gymnasium
import numpy as np
import pytest
import torch
from nervecord.agents import CMAES, ES, Agent, AgentSpec, CircuitPolicy
from nervecord.agents.algorithms import members as members_module
from nervecord.agents.algorithms.cmaes import CovarianceSearch
from nervecord.agents.algorithms.es import AntitheticSearch
from nervecord.agents.algorithms.members import Members, Round
from nervecord.agents.algorithms.registry import algorithm_named
from nervecord.agents.sb3.vec_env_batch import VecEnvBatch
from nervecord.agents.sensing import layout_of
from nervecord.envs import EnvBatch
from nervecord.envs.sb3_env import SwimmerVecEnv
from nervecord.errors import CircuitMismatch, TrainingDiverged
from small_es import flat_weights, small_es
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env


def step(model: ES, noise: torch.Tensor, returns: np.ndarray) -> None:
    model.learner.state = {**model.learner.state, "noise": noise}
    model.learner.learn_from(returns)


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


def test_a_member_without_a_return_is_the_worst_of_its_generation():
    method = AntitheticSearch({"population": 4, "sigma": 0.1, "learning_rate": 0.1})
    asked, _, _ = method.ask(method.start(torch.zeros(3)), np.random.default_rng(0))
    lost, worst = (method.tell(asked, np.array([1.0, 2.0, last, 0.0]))[0]["mean"] for last in (np.nan, -1.0))
    assert torch.equal(lost, worst)


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
    assert np.mean(returns) > 50  # 67 to 108 over four seeds when written


def test_partners_of_a_pair_get_the_same_episode_on_any_vec_env():
    env = make_vec_env("Pendulum-v1", 6)
    batch = VecEnvBatch(env, layout_of(env, env.observation_space))
    batch.seed([5, 6, 7, 5, 6, 7])
    shown = batch.reset(np.arange(6))
    assert np.array_equal(shown[:3], shown[3:])
    assert not np.array_equal(shown[0], shown[1])


def test_an_odd_population_is_refused_by_pairs_alone():
    assert CMAES("CircuitPolicy", SwimmerVecEnv(5, body="swimmer3"), seed=0).learner.method.population == 5
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
    learner = small_cmaes(sigma=0.5).learner
    target, scale = np.array([0.3, -0.7, 1.1, 0.2]), np.array([1.0, 10.0, 100.0, 1000.0])
    for _ in range(150):
        (part,) = learner.rounds()
        assert len(set(part.seeds)) == 1
        learner.learn_from(-(scale * (part.weights.numpy() - target) ** 2).sum(1))
    assert np.allclose(learner.state["mean"], target, atol=1e-3)


def test_cmaes_needs_as_many_evaluations_as_the_library():
    """Hansen's own package on the same bowl, by the number of generations to the same distance; a few seeds each."""
    cma = pytest.importorskip("cma", reason="the peer is not installed; pip install cma")
    n, population, scale = 8, 10, 10.0 ** np.linspace(0, 3, 8)

    def ours(seed: int) -> int:
        search = CovarianceSearch({"population": population, "sigma": 0.5})
        state = search.start(torch.ones(n))
        for generation in range(2000):
            state, weights, _ = search.ask(state, np.random.default_rng([seed, generation]))
            values = (scale * weights.double().numpy() ** 2).sum(1)
            if values.min() < 1e-8:
                return generation
            state, _ = search.tell(state, -values)
        return 2000

    def theirs(seed: int) -> int:
        search = cma.CMAEvolutionStrategy(np.ones(n), 0.5, {"popsize": population, "seed": seed + 1, "verbose": -9})
        for generation in range(2000):
            asked = search.ask()
            values = [(scale * np.asarray(each) ** 2).sum() for each in asked]
            if min(values) < 1e-8:
                return generation
            search.tell(asked, values)
        return 2000

    own, its = (np.median([run(seed) for seed in range(7)]) for run in (ours, theirs))
    assert 0.8 < own / its < 1.25, (own, its)


def test_cmaes_in_two_sittings_equals_one_and_leaves_the_global_generator_alone(tmp_path):
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    whole = small_cmaes()
    np.random.seed(7)  # noqa: NPY002
    whole.learner.rounds()
    assert np.random.random() == expected  # noqa: NPY002
    whole = small_cmaes().learn(4 * 360)
    half = small_cmaes().learn(2 * 360)
    half.save(tmp_path / "half.zip")
    loaded = CMAES.load(tmp_path / "half.zip", env=SwimmerVecEnv(6, body="swimmer4", episode_steps=60))
    loaded.learn(2 * 360, reset_num_timesteps=False)
    assert np.array_equal(flat_weights(whole), flat_weights(loaded))


def test_cmaes_refuses_what_its_matrix_would_not_hold():
    with pytest.raises(CircuitMismatch, match=r"takes 2 to 1000 weights.*use es, or ppo"):
        CMAES("CircuitPolicy", SwimmerVecEnv(4, body="swimmer4"), policy_kwargs={"circuit": "mlp"})


def test_a_member_that_runs_away_is_a_bad_one_and_no_error():
    envs = EnvBatch("swim", 4, body="swimmer3", episode_steps=20)
    agent = Agent(AgentSpec("ctrnn", envs.layout, 2, {"units": 4}, seed=0))
    members = Members(agent, envs)
    flat = torch.nn.utils.parameters_to_vector(agent.circuit.parameters()).detach()
    weights = flat.repeat(4, 1)
    weights[2] = float("nan")
    outcome = members.evaluate(Round(weights, np.arange(4)))
    assert np.isfinite(outcome.returns).all()
    assert outcome.lost.tolist() == [False, False, True, False]


def test_a_generation_of_which_no_member_commands_finite_numbers_ends_training():
    model = small_es()
    model.learn(480)
    model.learner.state["mean"][:] = torch.nan
    with pytest.raises(TrainingDiverged, match=r"circuit ncap, generation 2: no member.* not finite is \w+; the last"):
        model.learn(480, reset_num_timesteps=False)


def test_weights_that_are_not_finite_end_training_before_the_circuit_has_them():
    model = small_es()
    model.learner.rounds()
    model.learner.state["mean"][:] = torch.nan
    before = flat_weights(model)
    with pytest.raises(TrainingDiverged, match="generation 1: the weights that it comes to are not finite"):
        model.learner.learn_from(np.arange(8.0))
    assert np.array_equal(flat_weights(model), before)


def test_members_whose_weights_fill_the_cache_take_turns_and_come_to_the_same(monkeypatch):
    envs = EnvBatch("swim", 10, body="swimmer4", episode_steps=40)
    agent = Agent(AgentSpec("gru", envs.layout, 3, {"units": 8}, seed=0))
    weights = torch.nn.utils.parameters_to_vector(agent.circuit.parameters()).detach().expand(10, -1)
    part = Round(weights + 0.1 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(0)), np.arange(10))
    together = Members(agent, envs).evaluate(part)
    monkeypatch.setattr(members_module, "_IN_CACHE", 4 * agent.n_weights * 4)  # three turns, of 4, 3 and 3
    in_turns = Members(agent, envs).evaluate(part)
    assert np.abs(together.returns - in_turns.returns).max() < 1e-4
    assert in_turns.lengths.tolist() == [40] * 10
    assert np.abs(together.metrics["net_speed"] - in_turns.metrics["net_speed"]).max() < 1e-6


def test_a_member_too_large_for_the_cache_takes_a_turn_alone(monkeypatch):
    envs = EnvBatch("swim", 2, body="swimmer4", episode_steps=5)
    agent = Agent(AgentSpec("mlp", envs.layout, 3, {"hidden": [8]}, seed=0))
    weights = torch.nn.utils.parameters_to_vector(agent.circuit.parameters()).detach().expand(2, -1)
    monkeypatch.setattr(members_module, "_IN_CACHE", agent.n_weights)  # a quarter of a member
    assert Members(agent, envs).evaluate(Round(weights, np.arange(2))).lengths.tolist() == [5, 5]


def test_members_on_a_device_that_is_no_processor_run_all_at_once():
    assert members_module.turns_for(torch.zeros(1).expand(256, 2**20)) == 128
    assert members_module.turns_for(torch.empty(256, 2**20, device="meta")) == 1


def test_a_population_larger_than_the_memory_is_refused_in_one_line():
    envs = EnvBatch("swim", 2, body="swimmer4", episode_steps=10)
    agent, algorithm = Agent(AgentSpec("mlp", envs.layout, 3)), algorithm_named("es")
    options = {**vars(algorithm.Options()), "n_envs": 2, "population": 10**9}
    with pytest.raises(CircuitMismatch, match=r"a population of 1,000,000,000 members .* give at most [\d,]+ members$"):
        algorithm.start(agent, envs, options, 0)
