"""A router of runs: it recognises bodies, and moves them as the runs that it is made of."""

import dataclasses

import numpy as np
import pytest
from nervecord.agents import Agent
from nervecord.errors import CircuitMismatch, InvalidOption, InvalidRun, OutputExists
from nervecord.training.learning.training import train
from nervecord.training.rollouts.evaluation import evaluate, evaluate_agent
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from nervecord.training.studies.routing import route

STEPS = 300


@pytest.fixture(scope="module")
def specialists(tmp_path_factory):
    """An MLP of PPO, whose observations are normalised, and NCAP of ES, on bodies of five joints."""
    folder = tmp_path_factory.mktemp("specialists")
    base = RunConfig("mlp", "ppo", body="swimmer6", steps=2_048, episode_steps=STEPS, algorithm_options={"n_envs": 8})
    ncap = RunConfig("ncap", body="swimmer6-eel", steps=2_000, episode_steps=STEPS, algorithm_options={"n_envs": 8})
    return [train(base, folder / "mlp"), train(ncap, folder / "ncap")]


def held(run: Run, body: str, number: int) -> np.ndarray:
    """Return a router's returns on a body while one of its runs is chosen for it."""
    resolved = run.resolved.on(body)
    agent, envs = Agent(resolved.agent), resolved.make_envs(2, randomize={})
    agent.load(run.agent().circuit.state_dict(), run.agent().observation_stats)
    try:
        clamped = [Intervention(f"recogniser/motor_{each}", "clamp", float(each == number)) for each in range(2)]
        return evaluate_agent(agent, envs, interventions=clamped).returns
    finally:
        envs.close()


@pytest.fixture(scope="module")
def by_motion(specialists, tmp_path_factory):
    return route(specialists, tmp_path_factory.mktemp("routers") / "motion", episodes=5)


def test_bodies_are_told_by_motion(by_motion):
    table = by_motion.table
    assert list(table["body"]) == ["swimmer6", "swimmer6-eel"]
    assert list(table["agent"]) == ["mlp", "ncap"]
    assert (table["told"] >= 0.9).all()


def test_while_it_is_chosen_a_run_moves_as_it_does_alone(by_motion, specialists):
    for number, run in enumerate(specialists):
        alone = evaluate(run, 2).returns
        np.testing.assert_allclose(held(by_motion.run, run.config.body.name, number), alone, rtol=1e-3)


def test_bodies_are_told_by_their_facts_at_once(specialists, tmp_path):
    found = route(specialists, tmp_path / "facts", by="facts", episodes=2)
    assert list(found.table["told"]) == [1.0, 1.0]
    for number, run in enumerate(specialists):
        envs = found.run.resolved.on(run.config.body).make_envs(1, randomize={})
        agent, state = found.run.agent(run.config.body), None
        envs.seed([0])
        observation = envs.reset(np.arange(1))
        for _ in range(2):
            _, state, activity = agent.predict_with_activity(observation, state)
        envs.close()
        chosen = activity[0, agent.circuit.groups["recogniser/motors"]]
        assert chosen.tolist() == [float(each == number) for each in range(2)]


def test_what_makes_no_router_is_refused_before_anything_is_written(specialists, by_motion, tmp_path):
    one, other = specialists
    there = tmp_path / "router"
    with pytest.raises(InvalidOption, match="give two or more"):
        route([one], there)
    with pytest.raises(InvalidOption, match="episodes is 1; give 2 or more"):
        route([one, other], there, episodes=1)
    with pytest.raises(InvalidRun, match="both for swimmer6"):
        route([one, other, one], there)
    small = train(dataclasses.replace(other.config, body="swimmer4", steps=200), tmp_path / "small")
    with pytest.raises(InvalidRun, match=r"number of joints 3 and .* 5; give runs that share it"):
        route([one, small], there)
    assert not there.exists()
    with pytest.raises(OutputExists):
        route([one, other], by_motion.run.path)


def test_a_part_that_saw_normalised_observations_starts_as_a_policy_alone(specialists, tmp_path):
    run = specialists[0]
    part = {"circuit": "mlp", "start": str(run.path)}
    wires = [{"source": f"in.{sense}", "target": f"a.{sense}"} for sense, _ in run.agent().circuit.senses]
    plan = {"parts": {"a": part}, "wires": [*wires, {"source": "a", "target": "out"}]}
    config = RunConfig("compose", steps=200, episode_steps=STEPS, circuit_options={"plan": plan},
                       algorithm_options={"n_envs": 8})  # fmt: skip
    with pytest.raises(CircuitMismatch, match='give the part circuit = "policy"'):
        train(config, tmp_path / "plain")
    part |= {"circuit": "policy", "options": {"circuit": "mlp", "bound": "clip"}, "frozen": True}
    brain = {"circuit": "mlp", "options": {"hidden": [2]}}
    wires = [*wires, {"source": "a", "target": "out"}, {"source": "in.joint_pos", "target": "b.joint_pos"},
             {"source": "b", "target": "out", "gain": 1e-9}]  # fmt: skip
    plan = {"parts": {"a": part, "b": brain}, "wires": wires}
    trained = train(dataclasses.replace(config, circuit_options={"plan": plan}), tmp_path / "policy")
    np.testing.assert_allclose(evaluate(trained, 2).returns, evaluate(run, 2).returns, rtol=1e-3)
