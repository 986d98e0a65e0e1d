"""Memory tasks and curricula: streams of bits, a cue that a body must remember, and how memory grows."""

import dataclasses
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from nervecord.circuits import CIRCUITS, GRU, RecurrentCircuit, register_circuit
from nervecord.cli.main import main
from nervecord.envs.sb3_env import SwimmerVecEnv
from nervecord.envs.tasks.bits import BitsEnv, BitsVectorEnv, answers, draw_bits, draw_length
from nervecord.errors import (
    CircuitMismatch,
    InvalidAction,
    InvalidOption,
    InvalidRun,
    InvalidTask,
    TrainingDiverged,
    UnknownName,
)
from nervecord.training.learning.curricula import CurriculumConfig, CurriculumRun, curriculum
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.resolution import resolve
from nervecord.training.runs.run import Run

BITS = ["nervecord/Parity-v0", "nervecord/DelayedMatch-v0"]
QUICK = CurriculumConfig(
    "gru", seed=1, updates=60, max_n=4, batch_size=32, evaluate_every=20, evaluation_sequences=64,
    circuit_options={"units": 8},
)  # fmt: skip


# Bits


@pytest.mark.parametrize("actions", [None, "x", [0, 1], [0, 1, 2], [0, 1, None], np.zeros((3, 2)), [[0], [0, 1]]])
def test_other_than_an_answer_for_each_is_refused(actions):
    env = BitsVectorEnv(3)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="give"):
        env.step(actions)


@pytest.mark.parametrize("action", [None, "0", 2, 0.5, [0, 1], np.zeros(2)])
def test_other_than_one_answer_is_refused(action):
    env = BitsEnv("parity")
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="give"):
        env.step(action)


@given(st.lists(st.integers(0, 1), min_size=4, max_size=30), st.integers(2, 4))
def test_answers_are_those_of_the_definitions(bits, n):
    column = np.array(bits)[:, None]
    assert answers("parity", column, n)[0] == sum(bits[-n:]) % 2
    # The bit N steps ago, counting the last as 1: for N = 2 the one before the last.
    assert answers("delayed-match", column, n)[0] == int(bits[len(bits) - n] == bits[-1])


@settings(max_examples=20)
@given(st.integers(2, 30))
def test_lengths_cover_their_range(n):
    rng = np.random.default_rng(0)
    lengths = {draw_length(n, rng) for _ in range(3000)}
    assert min(lengths) == n + 2
    assert max(lengths) == 4 * n + 1


def test_ones_are_as_likely_as_the_task_says():
    rng = np.random.default_rng(0)
    shares = {task: draw_bits(task, (500, 2000), rng).mean(0) for task in ("parity", "delayed-match")}
    # Uniform p has standard deviation 1 / sqrt(12); a fair coin's mean over 500 has 0.022.
    assert shares["parity"].std() == pytest.approx(12**-0.5, abs=0.02)
    assert shares["delayed-match"].std() == pytest.approx(0.5 / 500**0.5, abs=0.005)
    assert shares["parity"].mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("env_id", BITS)
def test_checkers_pass_without_a_warning(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(f"nervecord:{env_id}", n=3).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("env_id", BITS)
def test_the_right_answer_and_it_alone_is_paid(env_id):
    env = gymnasium.make(f"nervecord:{env_id}", n=3)
    paid = []
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        seen = [observation]
        while not seen[-1][1]:
            observation, reward, terminated, truncated, _ = env.step(seed % 2)
            assert (reward, terminated, truncated) == (0, False, False)
            seen.append(observation)
        bits = (np.array(seen)[:, 0] > 0).astype(int)
        right = answers(env.unwrapped._stream.task, bits[:, None], 3)[0]
        _, reward, terminated, _, info = env.step(seed % 2)
        assert terminated
        assert reward == info["correct"] == (seed % 2 == right)
        assert 5 <= len(bits) < 5 + 9
        paid.append(reward)
    assert 0 < np.mean(paid) < 1


@pytest.mark.parametrize("env_id", BITS)
def test_vector_and_single_bit_environments_agree_across_episodes(env_id):
    vector = gymnasium.make_vec(f"nervecord:{env_id}", num_envs=3, n=2)
    singles = [gymnasium.make(f"nervecord:{env_id}", n=2) for _ in range(3)]
    observed, _ = vector.reset(seed=4)
    assert np.array_equal(observed, [env.reset(seed=4 + index)[0] for index, env in enumerate(singles)])
    rng, ended = np.random.default_rng(0), np.zeros(3, bool)
    for _ in range(60):
        actions = rng.integers(2, size=3)
        observed, rewards, terminated, truncated, info = vector.step(actions)
        for index, env in enumerate(singles):
            if ended[index]:
                assert np.array_equal(observed[index], env.reset()[0])
                continue
            one = env.step(actions[index])
            assert np.array_equal(observed[index], one[0])
            assert (rewards[index], terminated[index], truncated[index]) == one[1:4]
            if one[2]:
                assert info["correct"][index] == one[4]["correct"]
        ended = terminated


def test_wrong_bit_environments_are_one_line():
    with pytest.raises(InvalidTask, match="n is 1; give 2 or more"):
        gymnasium.make("nervecord:nervecord/Parity-v0", n=1)
    env = gymnasium.make("nervecord:nervecord/Parity-v0").unwrapped
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="give 0 or 1"):
        env.step(2)


# CueTurn


def turners(n_envs: int = 64, **options) -> SwimmerVecEnv:
    env = SwimmerVecEnv(n_envs, "cueturn", body="swimmer6", **options)
    env.seed(0)
    return env


def play(env: SwimmerVecEnv, policy) -> dict[str, np.ndarray]:
    """One episode; `policy` maps observation and step to actions."""
    observation, rewards = env.reset(), []
    cue = observation[:, env.layout["cue"]][:, 0].copy()
    for step in range(env.batch.episode_steps):
        observation, reward, _, infos = env.step(policy(observation, step, cue))
        rewards.append(reward)
    ends = {name: np.array([info[name] for info in infos]) for name in ("turn", "success")}
    return {"cue": cue, "rewards": np.array(rewards), **ends}


def test_bending_to_the_cued_side_turns_the_nose_there():
    env = turners(physics="auto")
    played = play(env, lambda _, __, cue: np.repeat(cue[:, None], 5, 1))
    assert set(played["cue"]) == {-1.0, 1.0}
    assert (played["turn"] > 0.2).all()
    assert played["success"].mean() > 0.9
    assert not played["rewards"][:30].any()
    assert played["rewards"][-1].mean() > 0.9
    away = play(turners(physics="auto"), lambda _, __, cue: np.repeat(-cue[:, None], 5, 1))
    assert away["success"].sum() == 0
    assert away["rewards"].sum(0).mean() < -20


def test_a_cue_of_one_turns_towards_the_bodys_right():
    """The head faces -y, so that its right is -x: the nose of a body that turns right goes there."""
    env = turners(1)
    env.reset()
    env.batch.physics.reset(np.array([0]), np.zeros(1), np.zeros((1, 5)))
    env.task._side[:] = 1.0
    env.task._facing = env.task._nose_angle()
    physics = env.batch.physics
    away = physics.read("com_pos")[0] - physics.read("nose_pos")[0]
    forward = physics.read("head_axes")[0] @ away
    assert forward[1] > 0, "the body lies behind the nose, at +y of a head that faces -y"
    axis = physics.read("nose_pos")[0] - physics.read("com_pos")[0]
    right = np.array([axis[1], -axis[0]])
    for _ in range(99):
        infos = env.step(np.ones((1, 5)))[3]
    now = physics.read("nose_pos")[0] - physics.read("com_pos")[0]
    assert now @ right > 0
    assert infos[0]["turn"] > 0.3


def test_nothing_that_a_body_does_before_the_go_depends_on_the_cue():
    states = []
    for side in (1.0, -1.0):
        env = turners(8)
        env.reset()
        env.task._side[:] = side
        rng = np.random.default_rng(3)
        for step in range(31):
            if step < 30:
                shown = env.batch.observation()
                assert np.array_equal(shown[:, env.layout["cue"]], np.full((8, 1), side if step < 10 else 0.0))
                assert not shown[:, env.layout["go"]].any()
            states.append(env.batch.physics.get_state()["qpos"])
            env.step(rng.uniform(-1, 1, (8, 5)))
    half = len(states) // 2
    for one, other in zip(states[:half], states[half:], strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("command", [1.0, -1.0, 0.0])
def test_without_memory_half_of_the_episodes_fail(command):
    played = play(turners(400, physics="auto"), lambda _, __, cue: np.full((len(cue), 5), command))
    assert played["success"].mean() < 0.6
    assert abs(played["rewards"].sum(0).mean()) < 8


def test_a_run_takes_options_of_its_task():
    config = RunConfig(task="cueturn", body="swimmer4", task_options={"delay_steps": 40, "success_angle": 0.2})
    envs = resolve(config).make_envs(1)
    assert (envs.task.go_step, envs.task.success_angle, envs.episode_steps) == (50, 0.2, 100)
    with pytest.raises(InvalidTask, match="delay"):
        resolve(RunConfig(task="swim", task_options={"delay_steps": 3}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episode_steps": 30}, "the go comes after 30"),
        ({"cue_steps": 0}, "cue_steps is 0; give a whole number, 1 or more"),
        ({"hints": 3}, "hints"),
    ],
)
def test_a_wrong_turn_is_one_line(options, message):
    with pytest.raises(InvalidTask, match=message):
        turners(1, **options)


# Curricula


def test_a_small_circuit_learns_to_remember_and_n_grows(tmp_path):
    config = CurriculumConfig("gru", "delayed-match", updates=500, max_n=3, learning_rate=0.5, batch_size=64,
                              circuit_options={"units": 24})  # fmt: skip
    run = curriculum(config, tmp_path / "run", progress=False)
    table = run.metrics()
    reached = table[table["metric"] == "curriculum/n"]["value"]
    assert reached.iloc[0] == 2
    assert reached.iloc[-1] == 3
    solved = table[(table["metric"] == "accuracy/02")]["value"]
    assert solved.iloc[-1] > 0.95
    assert isinstance(run.circuit(), RecurrentCircuit)


@pytest.mark.parametrize("kind", ["single-head", "multi-head", "sliding"])
def test_which_heads_answer_for_which_n(kind):
    config = CurriculumConfig(kind=kind, window=3 if kind == "sliding" else 10)
    heads = {"single-head": {0: 6}, "multi-head": {0: 2, 1: 3, 2: 4, 3: 5, 4: 6}, "sliding": {2: 4, 3: 5, 4: 6}}
    assert config.heads(6) == heads[kind]
    assert config.make_circuit().n_motors == (1 if kind == "single-head" else 39)


def test_heads_beyond_n_are_left_alone(tmp_path):
    before = QUICK.make_circuit().readout.weight
    after = curriculum(QUICK, tmp_path / "run", progress=False).circuit().readout.weight
    reached = int(CurriculumRun(tmp_path / "run").load_checkpoint().state["n"])
    assert torch.equal(before[reached - 1 :], after[reached - 1 :])
    assert not torch.equal(before[0], after[0])


class Faulty(GRU):
    """A GRU to which something happens as it computes its answers for the nth time."""

    calls, at, fault = 0, 0, None

    def unroll_features(self, sensors, state, episode_start):
        Faulty.calls += 1
        features, state = super().unroll_features(sensors, state, episode_start)
        return (self.fault(features) if Faulty.calls == self.at else features), state


@pytest.fixture
def faulty(monkeypatch):
    """Return a curriculum whose circuit is faulty, and what sets its fault."""
    register_circuit("faulty", Faulty, "a GRU to which something happens")

    def happen(at, fault):
        for name, value in (("calls", 0), ("at", at), ("fault", staticmethod(fault))):
            monkeypatch.setattr(Faulty, name, value)

    yield CurriculumConfig(**{**vars(QUICK), "circuit": "faulty"}), happen
    del CIRCUITS["faulty"]


def interrupt(_):
    raise KeyboardInterrupt


def test_a_stopped_curriculum_resumes_to_the_same_weights_and_table(faulty, tmp_path):
    config, happen = faulty
    whole = curriculum(config, tmp_path / "whole", progress=False)
    happen(61, interrupt)  # 45 updates, and two evaluations of 8 batches
    with pytest.raises(KeyboardInterrupt):
        curriculum(config, tmp_path / "stopped", progress=False)
    assert not CurriculumRun(tmp_path / "stopped").done
    resumed = curriculum(config, tmp_path / "stopped", progress=False)
    for name, value in whole.load_checkpoint().weights.items():
        assert torch.equal(value, resumed.load_checkpoint().weights[name]), name
    assert whole.metrics().equals(resumed.metrics())
    assert resumed.done


def test_a_curriculum_that_diverges_stops_at_its_last_good_checkpoint(faulty, tmp_path):
    config, happen = faulty
    happen(70, lambda features: features * torch.nan)
    with pytest.raises(TrainingDiverged, match=r"N = 2: .* of update 40, stands; try a lower"):
        curriculum(config, tmp_path / "run", progress=False)
    assert all(value.isfinite().all() for value in CurriculumRun(tmp_path / "run").load_checkpoint().weights.values())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"circuit": "ctrn"}, UnknownName, "did you mean 'ctrnn'"),
        ({"task": "sum"}, UnknownName, "unknown bit task 'sum'"),
        ({"kind": "double-head"}, UnknownName, "unknown curriculum"),
        ({"updates": 0}, InvalidOption, "updates is 0"),
        ({"max_n": 1}, InvalidOption, "max_n is 1; give a whole number, 2 or more"),
    ],
)
def test_a_wrong_curriculum_is_one_line(options, error, message):
    with pytest.raises(error, match=message):
        CurriculumConfig(**options)


def test_a_circuit_without_memory_and_a_folder_of_another_kind_are_one_line(tmp_path):
    with pytest.raises(CircuitMismatch, match="'mlp' has no memory"):
        curriculum(CurriculumConfig("mlp"), tmp_path / "x")
    assert not (tmp_path / "x").exists()
    curriculum(QUICK, tmp_path / "run", progress=False)
    with pytest.raises(InvalidRun, match="holds a curriculum, and this command works on a run"):
        Run(tmp_path / "run")
    with pytest.raises(InvalidRun, match="seed: 1 there, 2 asked"):
        curriculum(CurriculumConfig(**{**vars(QUICK), "seed": 2}), tmp_path / "run")


@pytest.mark.parametrize(
    ("device", "message"), [("gpu", "device 'gpu' cannot be used here"), (3, "a device as torch names it")]
)
def test_a_device_that_cannot_be_used_is_one_line_before_anything_is_written(device, message, tmp_path):
    with pytest.raises(InvalidOption, match=message):
        curriculum(dataclasses.replace(QUICK, device=device), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_curriculum_goes_on_on_another_device(tmp_path, capsys):
    CurriculumRun.create(tmp_path / "run", dataclasses.replace(QUICK, device="cuda:7"))
    with pytest.raises(SystemExit):
        main(["resume", str(tmp_path / "run"), "--device", "gpu"])
    assert "device 'gpu' cannot be used here" in capsys.readouterr().err
    main(["resume", str(tmp_path / "run"), "--device", "cpu", "--json"])
    assert CurriculumRun(tmp_path / "run").done


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA's")
@pytest.mark.parametrize("kind", ["single-head", "multi-head", "sliding"])
def test_recorded_updates_on_cuda_are_those_of_the_cpu(kind, tmp_path):
    config = CurriculumConfig(kind=kind, updates=300, max_n=4, threshold=0.6, circuit_options={"units": 16})
    runs = [
        curriculum(dataclasses.replace(config, device=device), tmp_path / device, progress=False)
        for device in ("cpu", "cuda")
    ]
    here, there = (run.load_checkpoint() for run in runs)
    assert here.state["n"] == there.state["n"]
    for name, value in here.weights.items():
        torch.testing.assert_close(there.weights[name], value, atol=1e-3, rtol=1e-3)


def test_the_command_line_trains_a_curriculum(tmp_path, capsys):
    words = ["curriculum", "--out", str(tmp_path / "run"), "--circuit", "gru", "--updates", "20", "--json"]
    main([*words, "--circuit-options", "units=4", "--options", "batch_size=16", "max_n=3"])
    assert '"updates": 20' in capsys.readouterr().out
    main(["resume", str(tmp_path / "run"), "--json"])
    assert '"done": true' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*words, "--options", "batchsize=16"])
    assert "did you mean 'batch_size'" in capsys.readouterr().out
