"""One agent over many bodies: populations and PPO, by bodies' names, with the worst and the mean."""

import contextlib
import dataclasses
import pickle

import numpy as np
import pytest
import torch
from nervecord import RunConfig, evaluate, train, transfer
from nervecord.agents import Agent
from nervecord.agents.algorithms.es import EvolutionStrategy
from nervecord.agents.algorithms.ppo import ProximalPolicyOptimization
from nervecord.agents.algorithms.ppo_learner import PPOLearner
from nervecord.agents.places import on_body
from nervecord.cli.main import main
from nervecord.envs import EnvBatch
from nervecord.envs.deficits import Deficits
from nervecord.envs.joined import JoinedBatch
from nervecord.envs.physics.lanes import reason_not_compiled
from nervecord.errors import CircuitMismatch, InvalidOption, InvalidTask
from nervecord.training.learning.checks import check
from nervecord.training.learning.places import places_of
from nervecord.training.learning.populations import RoundRunner
from nervecord.training.learning.start import start_parts
from nervecord.training.rollouts.evaluation import evaluate_on
from nervecord.training.runs import resolve
from nervecord.training.studies.transfers import transfer_table, worst_and_mean

if reason := reason_not_compiled():
    pytest.skip(reason, allow_module_level=True)

SIZES = ("swimmer4", "swimmer6", "swimmer8")
ES = RunConfig("along", "es", bodies=SIZES, steps=6 * 8 * 3 * 100, episode_steps=100, evaluate_every=8 * 3 * 100,
               checkpoint_every=2400, algorithm_options={"n_envs": 8})  # fmt: skip
PPO = RunConfig(
    "along", "ppo", bodies=("swimmer4", "swimmer6", "swimmer6-thick"), steps=96, episode_steps=12, checkpoint_every=48,
    task_options={"senses": ["joint_pos", "body_velocities", "context"]},
    algorithm_options={"n_envs": 6, "n_steps": 8, "batch_size": 16, "normalize_observation": True},
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {config.algorithm: train(config, folder / config.algorithm, progress=False) for config in (ES, PPO)}


def weights_of(run):
    return {name: value.numpy() for name, value in run.agent().circuit.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("algorithm", ["es", "ppo"])
def test_a_run_in_two_parts_is_the_run_in_one(algorithm, runs, tmp_path):
    whole = runs[algorithm]
    half = dataclasses.replace(whole.config, steps=whole.config.steps // 2)
    train(half, tmp_path / "parts", progress=False)
    parts = train(whole.config, tmp_path / "parts", progress=False)
    assert same(weights_of(whole), weights_of(parts))
    assert whole.load_checkpoint().state["observation_stats"] == parts.load_checkpoint().state["observation_stats"]
    told = [run.metrics().query("metric != 'time/fps'").reset_index(drop=True) for run in (whole, parts)]
    half_way = told[1]["step"] > half.steps
    assert told[0][told[0]["step"] > half.steps].to_numpy().tolist() == told[1][half_way].to_numpy().tolist()


def test_a_worker_comes_to_what_the_learner_does():
    resolved = resolve(ES)
    agent = Agent(resolved.agent)
    with contextlib.ExitStack() as stack:
        places = places_of(resolved, agent, stack)
        assert [place.envs.physics_name for place in places] == ["lanes"] * 3
        learner = EvolutionStrategy().start(agent, places[0].envs, resolved.options, 0, places=places)
        (part,) = learner.rounds()
        here = next(learner.evaluate([part]))
    there = RoundRunner(pickle.loads(pickle.dumps(resolved))).evaluate(part)
    assert np.array_equal(here.returns, there.returns)
    assert here.steps == there.steps == 8 * 3 * 100
    assert np.array_equal(here.returns, np.mean([each.returns for each in here.by_body.values()], axis=0))
    assert tuple(here.by_body) == SIZES


def test_a_worker_has_the_frozen_parts_that_the_learner_has():
    """They start from an agent, which a worker does not open, and are buffers, which are not among the weights."""
    wires = [("in.joint_pos", "worm.joint_pos"), ("in.joint_pos", "nudge.joint_pos"), ("worm", "out"), ("nudge", "out")]
    plan = {
        "parts": {"worm": {"circuit": "ncap", "frozen": True, "start": "agent:ncap"},
                  "nudge": {"circuit": "mlp", "options": {"hidden": [4]}}},
        "wires": [{"source": source, "target": target} for source, target in wires],
    }  # fmt: skip
    resolved = resolve(RunConfig("compose", "es", "swimmer6", circuit_options={"plan": plan}, episode_steps=60,
                                 algorithm_options={"n_envs": 4, "population": 4}))  # fmt: skip
    agent = Agent(resolved.agent)
    start_parts(agent, resolved)
    with contextlib.ExitStack() as stack:
        places = places_of(resolved, agent, stack)
        learner = EvolutionStrategy().start(agent, places[0].envs, resolved.options, 0, places=places)
        (part,) = learner.rounds()
        here = next(learner.evaluate([part]))
    worker = RoundRunner(resolved)
    assert np.array_equal(worker.evaluate(part).returns, here.returns)
    other = RoundRunner(resolved).evaluate(dataclasses.replace(part, buffers={}))
    assert not np.array_equal(other.returns, here.returns), "an untrained worm swims otherwise"


@pytest.mark.slow
def test_workers_give_the_same_weights(tmp_path):
    options = {"n_envs": 4, "population": 8}
    config = dataclasses.replace(ES, algorithm_options=options)
    alone = train(config, tmp_path / "alone", progress=False)
    spread = train(config, tmp_path / "spread", progress=False, workers=2)
    assert same(weights_of(alone), weights_of(spread))


def test_steps_are_those_of_every_body_and_returns_are_logged_by_body(runs):
    found = runs["es"].metrics()
    assert found["step"].max() == ES.steps
    last = found[found["step"] == ES.steps].set_index("metric")["value"]
    for kind, mean, worst in (("return", "rollout/ep_rew_mean", "rollout/ep_rew_worst"),
                              ("eval/return", "eval/return", "eval/return_worst")):  # fmt: skip
        each = [last[f"{kind}/{body}"] for body in SIZES]
        assert last[mean] == pytest.approx(np.mean(each))
        assert last[worst] == min(each)
    afterwards = evaluate(runs["es"], 5)  # as many episodes as training evaluates on
    assert [last[f"eval/return/{body}"] for body in SIZES] == pytest.approx(
        [afterwards.bodies[body].returns.mean() for body in SIZES], rel=1e-6
    )
    assert {f"return/{body}" for body in PPO.body_names} < set(runs["ppo"].metrics()["metric"])


def test_es_learns_on_every_body(tmp_path):
    longer = dataclasses.replace(ES, steps=20 * 16 * 3 * 100, evaluate_every=None, algorithm_options={"n_envs": 16})
    run = train(longer, tmp_path / "longer", progress=False)
    trained, before = (evaluate_on(run.resolved, run.agent(trained=is_trained), 8) for is_trained in (True, False))
    gained = [trained.bodies[body].returns.mean() - before.bodies[body].returns.mean() for body in SIZES]
    assert min(gained) > 20, gained  # 46 to 75 over three seeds


def test_what_evaluate_says_of_a_body_is_what_it_says_of_that_body_alone(runs, capsys):
    run = runs["es"]
    found = evaluate(run, 3)
    for body in SIZES:
        assert np.array_equal(found.bodies[body].returns, evaluate(run, 3, body=body).returns)
    means = {body: each.returns.mean() for body, each in found.bodies.items()}
    assert found.worst[0] == min(means, key=means.get)
    assert found.returns == pytest.approx(np.mean([each.returns for each in found.bodies.values()], axis=0))
    held = [(result.what, result.body) for result in run.results if result.episodes == 3]
    assert held == [*(("transfer", body) for body in SIZES), ("evaluation", "swimmer4 + swimmer6 + swimmer8")]
    main(["evaluate", str(run.path), "--episodes", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["body", *SIZES, "worst:", "mean"]


def test_transfer_marks_the_bodies_of_the_training(runs):
    table = transfer(runs["ppo"], ("swimmer5", "swimmer10", "swimmer6"), 2)
    trained = table[table["agent"] == "trained"]
    assert trained["body"].tolist() == [*PPO.body_names, "swimmer5", "swimmer10"]
    assert trained["trained_on"].tolist() == [True] * 3 + [False] * 2
    over = worst_and_mean(table).query("agent == 'trained' and not trained_on").set_index("body")
    unseen = trained.query("not trained_on")
    assert over.loc["worst", "mean"] == unseen["mean"].min()
    assert over.loc["mean", "mean"] == pytest.approx(unseen["mean"].mean())
    assert over.loc["mean", "note"] == "swimmer5, swimmer10"
    assert set(transfer_table(runs["ppo"])["body"]) == set(table["body"])


def test_statistics_on_another_body_are_those_of_the_agent_that_was_moved_there(runs):
    run = runs["ppo"]
    agent = run.agent()
    assert agent.normalizer.count > 50
    for body in ("swimmer6", "swimmer10"):
        there = on_body(agent, run.resolved.on(body).agent).normalizer
        moved = run.agent(body).normalizer
        assert torch.allclose(there.mean, moved.mean)
        assert torch.allclose(there.var, moved.var)
    # The sense context has no length along a body: swimmer4, swimmer6 and swimmer6-thick, equally often.
    links, viscosity = agent.normalizer.mean[agent.layout["context"]][[0, 5]]
    assert links == pytest.approx(np.log(4 / 6) / 3, abs=1e-4)
    assert viscosity == pytest.approx(np.log(2) / 3, abs=1e-4)


def test_the_gradient_over_bodies_is_the_mean_of_those_on_each():
    options = {**PPO.algorithm_options, "normalize_advantage": False}
    resolved = resolve(dataclasses.replace(PPO, algorithm_options=options))
    agent = Agent(resolved.agent)
    with contextlib.ExitStack() as stack:
        places = places_of(resolved, agent, stack)
        assert [len(place.bodies) for place in places] == [2, 4]
        learner = ProximalPolicyOptimization().start(agent, places[0].envs, resolved.options, 0, places=places)
        learner.collect()
        parts = [collector.buffer.sequences() for collector in learner.collectors]
        terms = learner.differentiate(*parts)
        together = [weight.grad.clone() for weight in agent.circuit.parameters()]
        apart, losses = [], []
        for collector, part in zip(learner.collectors, parts, strict=True):
            own = (collector.agent, collector.actor_critic, collector.rollout.envs, resolved.options, 0)
            losses.append(PPOLearner(*own).differentiate(part)["loss"])
            apart.append([weight.grad.clone() for weight in agent.circuit.parameters()])
    assert terms["loss"] == pytest.approx(losses[0] / 3 + losses[1] * 2 / 3, rel=1e-5)
    for found, small, large in zip(together, *apart, strict=True):
        assert torch.allclose(found, small / 3 + large * 2 / 3, atol=1e-6)


def test_ppo_moves_one_agent_on_bodies_of_every_size(runs):
    trained, fresh = weights_of(runs["ppo"]), runs["ppo"].agent(trained=False).circuit.state_dict()
    assert any(not np.array_equal(value, fresh[name]) for name, value in trained.items())
    assert runs["ppo"].resolved.options["n_envs"] == 6
    asked = dataclasses.replace(PPO, algorithm_options={})
    assert resolve(asked).options["n_envs"] == 66  # the next multiple of 3 from 64


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        (
            {"circuit": "mlp"},
            CircuitMismatch,
            "layers.0.weight is .* one number of links, or ncap, along",
        ),
        ({"circuit": "mlp", "algorithm": "sac"}, CircuitMismatch, "sac trains in one batch.*or choose es, cmaes, ppo"),
        (
            {"algorithm": "ppo", "algorithm_options": {"n_envs": 8}},
            CircuitMismatch,
            "8 and there are 3 bod.*such as 9",
        ),
        ({"bodies": ("swimmer4", "swimmer4")}, InvalidOption, "bodies name swimmer4 2 times"),
        ({"deficits": ("joint_pos[4]:0:9",)}, InvalidTask, "joint_pos has 3 values"),
    ],
)
def test_bodies_that_do_not_go_together_are_one_line_before_a_folder_is_made(fields, error, message, tmp_path):
    config = dataclasses.replace(ES, **{"algorithm_options": {}, **fields})
    with pytest.raises(error, match=message):
        train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_bodies_of_one_size_need_no_shared_weights_along_the_body():
    mixed = RunConfig("mlp", "sac", bodies=("swimmer6", "swimmer6-thick"))
    assert check(mixed).config.physics == "mujoco"  # in one batch
    assert check(dataclasses.replace(mixed, algorithm="es")).config.physics == "lanes"


def test_a_sense_that_is_lost_is_lost_on_every_body(tmp_path):
    blind = dataclasses.replace(PPO, steps=48, deficits=("context:0:1000",))
    run = train(blind, tmp_path / "blind", progress=False)
    resolved, agent = run.resolved, run.agent()
    with contextlib.ExitStack() as stack:
        places = places_of(resolved, agent, stack)
        learner = ProximalPolicyOptimization().start(agent, places[0].envs, resolved.options, 0, places=places)
        learner.deficits = Deficits(agent.layout, blind.deficits)
        learner.collect()
        for collector in learner.collectors:
            part = collector.agent.layout["context"]
            assert not collector.buffer.observations[..., part].any()
            assert collector.buffer.observations.any()


def test_joined_batches_step_as_each_alone():
    bodies = ("swimmer6", "swimmer6-heavy")
    alone, joined = (
        [EnvBatch("swim", n, body, physics=physics, episode_steps=9)
         for n, body, physics in ((3, bodies[0], "lanes"), (2, bodies[1], "mujoco"))]
        for _ in range(2)
    )  # fmt: skip
    together = JoinedBatch(joined)
    together.seed([1, 2, 3, 4, 5])
    alone[0].seed([1, 2, 3])
    alone[1].seed([4, 5])
    shown = together.reset(np.arange(5))
    assert np.array_equal(shown, np.concatenate([alone[0].reset(np.arange(3)), alone[1].reset(np.arange(2))]))
    held = None
    for step in range(4):
        actions = np.random.default_rng(step).uniform(-1, 1, (5, 5))
        ids = np.array([0, 2]) if step == 1 else None  # none of the second batch
        stepped = together.step(actions, ids)
        first = alone[0].step(actions[:3], ids)
        second = alone[1].step(actions[3:], None if ids is None else ids[:0])
        for found, one, other in zip(stepped[:4], first[:4], second[:4], strict=True):
            assert np.array_equal(found, np.concatenate([one, other]))
        held = together.get_state() if step == 2 else held
    together.set_state(held)
    assert np.array_equal(together.step(actions).observation, stepped.observation)
    with pytest.raises(InvalidTask, match="swimmer4 has other observations or actions than swimmer6"):
        JoinedBatch([alone[0], EnvBatch("swim", 1, "swimmer4")])
