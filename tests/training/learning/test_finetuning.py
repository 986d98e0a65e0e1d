"""Training that begins with another run's weights, and MLPs on bodies of other sizes."""

import dataclasses

import numpy as np
import pytest
import torch
from nervecord.agents import Agent
from nervecord.agents.algorithms.registry import algorithm_named
from nervecord.agents.resize import resize
from nervecord.circuits import make_circuit
from nervecord.envs.sb3_env import SwimmerVecEnv
from nervecord.errors import CircuitMismatch, InvalidRun
from nervecord.training.learning.checks import check
from nervecord.training.learning.training import resume, train
from nervecord.training.rollouts.evaluation import evaluate_on
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.resolution import resolve
from nervecord.training.runs.run import Run
from nervecord.training.studies.transfers import transfer

MLP = RunConfig(
    "mlp", "ppo", steps=1024, episode_steps=50, circuit_options={"hidden": [8]},
    algorithm_options={"n_steps": 64, "n_envs": 4},
)  # fmt: skip
WORM = RunConfig(steps=3200, episode_steps=100, algorithm_options={"n_envs": 8})


@pytest.fixture(scope="module")
def mlp(tmp_path_factory) -> Run:
    return train(MLP, tmp_path_factory.mktemp("runs") / "mlp", progress=False)


@pytest.fixture(scope="module")
def worm(tmp_path_factory) -> Run:
    return train(WORM, tmp_path_factory.mktemp("runs") / "worm", progress=False)


def layout(body: str):
    env = SwimmerVecEnv(1, body=body)
    env.close()
    return env.layout


@pytest.mark.parametrize("body", ["swimmer3", "swimmer8", "swimmer12"])
def test_a_resized_mlp_acts_on_a_smooth_posture_as_on_its_own_body(body):
    """What is linear along the body is seen the same, and commands come out along the same line."""
    own, new = layout("swimmer6"), layout(body)
    circuit = make_circuit("mlp", own.sizes, 5, {"hidden": (16,)}, torch.Generator().manual_seed(0))
    with torch.no_grad():
        # Commands that are linear along the body can be compared between sizes.
        circuit.layers[-1].weight.copy_(torch.linspace(-1, 1, 5)[:, None] * torch.ones(16))
        circuit.layers[-1].bias.copy_(torch.linspace(0, 1, 5))
    other = make_circuit("mlp", new.sizes, new.sizes["joint_pos"], {"hidden": (16,)})
    other.load_state_dict(resize(circuit.state_dict(), None, own, new)[0])

    def posture(sizes):
        joints, links = sizes["joint_pos"], sizes["body_velocities"] // 3
        velocities = np.stack([np.linspace(0.1, -0.3, links), np.linspace(0, 1, links), np.linspace(2, 1, links)], 1)
        return torch.tensor(np.r_[np.linspace(-0.5, 0.7, joints), velocities.ravel()], dtype=torch.float32)[None]

    motor, resized = circuit(posture(own.sizes), {})[0][0], other(posture(new.sizes), {})[0][0]
    assert np.allclose(
        np.interp(np.linspace(0, 1, len(resized)), np.linspace(0, 1, 5), motor.detach()), resized.detach(), atol=1e-5
    )


def test_statistics_are_resized_with_the_weights(mlp):
    own, stats = mlp.agent(), mlp.agent().observation_stats
    resized = mlp.agent("swimmer12").observation_stats
    assert len(resized["mean"]) == 11 + 36
    assert resized["mean"][0] == pytest.approx(stats["mean"][0])
    assert resized["var"][-1] == pytest.approx(stats["var"][-1])
    assert own.observation_stats["count"] == resized["count"]


def test_an_mlp_transfers_to_other_sizes_and_a_memory_does_not(mlp, tmp_path):
    assert transfer(mlp, ("swimmer8", "swimmer6-heavy"), episodes=2)["n"].tolist() == [2] * 6
    config = dataclasses.replace(MLP, circuit="gru", circuit_options={"units": 8}, steps=512)
    memory = train(config, tmp_path / "gru", progress=False)
    with pytest.raises(CircuitMismatch, match="GRU trained on another size"):
        transfer(memory, ("swimmer8",), episodes=2)


@pytest.mark.parametrize("algorithm", ["es", "cmaes", "ppo", "ddpg"])
def test_fine_tuning_begins_as_what_it_goes_on_from(worm, algorithm, tmp_path):
    options = {"n_envs": 4, "n_steps": 32, "batch_size": 32} if algorithm == "ppo" else {"n_envs": 4}
    config = RunConfig(
        "ncap", algorithm, body="swimmer8", steps=400, episode_steps=100, start=str(worm.path), evaluate_every=100,
        algorithm_options=options,
    )  # fmt: skip
    tuned = train(config, tmp_path / "tuned", progress=False)
    table = tuned.metrics()
    first = table[(table["metric"] == "eval/return") & (table["step"] == 0)]["value"].item()
    expected = evaluate_on(worm.resolved.on("swimmer8"), worm.agent("swimmer8"), 5).returns.mean()
    assert first == pytest.approx(expected, rel=1e-5)


def test_ppo_goes_on_with_the_statistics_that_its_mlp_knows(mlp, tmp_path):
    config = dataclasses.replace(MLP, body="swimmer8", start=str(mlp.path), steps=256, evaluate_every=64)
    tuned = train(config, tmp_path / "tuned", progress=False)
    first = tuned.metrics().set_index(["metric", "step"])["value"]["eval/return", 0]
    expected = evaluate_on(mlp.resolved.on("swimmer8"), mlp.agent("swimmer8"), 5).returns.mean()
    assert first == pytest.approx(expected, rel=1e-6)


def test_transfer_fine_tunes_and_keeps_the_runs(worm):
    table = transfer(worm, ("swimmer4",), episodes=2, finetune=800)
    assert table[table["body"] == "swimmer4"]["agent"].tolist() == ["trained", "finetuned", "untrained ncap"]
    assert Run(worm.path / "finetuned" / "swimmer4-from-3200-for-800").done
    transfer(worm, ("swimmer4",), episodes=2, finetune=400)
    assert Run(worm.path / "finetuned" / "swimmer4-from-3200-for-400").done


def test_options_of_the_circuit_that_are_not_given_are_those_of_the_run_that_it_goes_on_from(tmp_path):
    options = {"units": 8, "substeps": 3}
    config = RunConfig(
        "ctrnn", "ppo", steps=128, episode_steps=32, circuit_options=options,
        algorithm_options={"n_envs": 2, "n_steps": 32, "batch_size": 64},
    )  # fmt: skip
    first = train(config, tmp_path / "first", progress=False)
    on = dataclasses.replace(config, circuit_options={}, start=str(first.path), body="swimmer6-thick")
    tuned = train(on, tmp_path / "tuned", progress=False)
    assert tuned.config.circuit_options == {}
    assert tuned.resolved.config.circuit_options == first.resolved.config.circuit_options
    assert (tuned.agent().circuit.substeps, tuned.agent().circuit.n_features) == (3, 8)
    # And through a third run, where one is given anew.
    again = dataclasses.replace(on, circuit_options={"substeps": 1}, start=str(tuned.path))
    assert check(again).config.circuit_options == {**first.resolved.config.circuit_options, "substeps": 1}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"start": "nowhere"}, InvalidRun, "no run folder"),
        ({"circuit": "mlp"}, CircuitMismatch, "--start needs the same circuit"),
    ],
)
def test_what_cannot_go_on_is_one_line_and_writes_nothing(worm, change, error, message, tmp_path):
    config = dataclasses.replace(WORM, **{"start": str(worm.path), **change})
    with pytest.raises(error, match=message):
        train(config, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_an_agent_of_normalised_observations_is_not_shown_raw_ones(mlp, tmp_path):
    config = RunConfig("mlp", "es", start=str(mlp.path), circuit_options=MLP.circuit_options)
    with pytest.raises(CircuitMismatch, match="trained on normalised observations and this agent shows it raw ones"):
        train(config, tmp_path / "out", progress=False)


def test_evaluations_change_nothing_of_the_training(worm, tmp_path):
    watched = train(dataclasses.replace(WORM, evaluate_every=800), tmp_path / "watched", progress=False)
    a, b = (run.load_checkpoint().weights for run in (worm, watched))
    assert all(torch.equal(a[name], b[name]) for name in a)
    table = watched.metrics()
    returns = table[table["metric"] == "eval/return"]
    assert returns["step"].tolist() == [0, 800, 1600, 2400, 3200]
    final = evaluate_on(watched.resolved, watched.agent(), 5).returns.mean()
    assert returns["value"].iloc[-1] == pytest.approx(final)


def test_a_fine_tuning_that_has_begun_goes_on_without_the_run_that_it_began_from(tmp_path):
    first = train(WORM, tmp_path / "first", progress=False)
    config = dataclasses.replace(WORM, start=str(first.path), checkpoint_every=800)
    with pytest.raises(InterruptedError):
        train(config, tmp_path / "tuned", progress=False, callback=interrupted)
    first.path.rename(tmp_path / "elsewhere")
    assert resume(tmp_path / "tuned", progress=False).done


def interrupted(moment):
    if moment.step >= 1600:
        raise InterruptedError


def test_an_off_policy_actor_keeps_the_control_step_that_its_circuit_was_made_for():
    resolved = resolve(RunConfig("ncap", "ddpg", "gymnasium-swimmer", algorithm_options={"n_envs": 2}))
    agent = Agent(dataclasses.replace(resolved.agent, dt_ref=0.03))
    envs = resolved.make_envs(2)
    learner = algorithm_named("ddpg").start(agent, envs, resolved.options, 0)
    made = agent.spec.make_circuit()
    seen = torch.rand(1, made.n_sensors)
    seen[:, -1] = 20.0
    assert torch.equal(learner.agent.circuit(seen, {})[0], made(seen, {})[0])
    other = dataclasses.replace(agent.spec, dt_ref=None).make_circuit()
    times = torch.rand(1, made.n_sensors).repeat(60, 1)
    times[:, -1] = torch.arange(60.0)
    assert not torch.equal(made(times, {})[0], other(times, {})[0])
    envs.close()
