"""Episodes that end early, through every API, and what is made of them: returns, recordings, bootstraps."""

import dataclasses
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from nervecord.agents import Agent, AgentSpec
from nervecord.circuits import Wiring
from nervecord.envs import TASKS, DmSwimmer, EnvBatch, SwimmerEnv, SwimmerVecEnv, SwimmerVectorEnv, Task
from nervecord.errors import InvalidAction, InvalidTask
from nervecord.training.learning import protection, train
from nervecord.training.learning.protection import linear_inputs, protect
from nervecord.training.probes import Subject, run_probe
from nervecord.training.rollouts import evaluate_agent, history, record, record_agent
from nervecord.training.rollouts.recording import Recording
from nervecord.training.runs.config import RunConfig
from nervecord.training.studies import trials
from nervecord.training.studies.trials import _gait as gait_of


class Brief(Task):
    """Environment i ends after 5 + 3 i steps, at a reward of 1 a step."""

    default_steps = 50

    def reward(self):
        return np.ones(self.envs.n_envs)

    def terminated(self):
        return self.envs.elapsed >= 5 + 3 * np.arange(self.envs.n_envs)


@pytest.fixture(autouse=True)
def _brief():
    TASKS["brief"] = Brief
    yield
    del TASKS["brief"]


LENGTHS = [5, 8, 11, 14]


def agent(envs) -> Agent:
    return Agent(AgentSpec("ncap", envs.layout, envs.body.n_joints))


def test_an_evaluation_counts_each_episode_to_its_own_end():
    env = EnvBatch("brief", 4, body="swimmer4")
    found = evaluate_agent(agent(env), env)
    assert found.returns.tolist() == LENGTHS


def test_a_recording_knows_how_long_its_episodes_are(tmp_path):
    env = EnvBatch("brief", 4, body="swimmer4")
    recording = record_agent(agent(env), env)
    assert recording.lengths.tolist() == LENGTHS
    assert recording.rewards.sum(1).tolist() == LENGTHS
    assert recording.n_steps == 14
    assert not recording.joint_pos[0, 5:].any()
    recording.save(tmp_path / "brief.nc")
    assert Recording.load(tmp_path / "brief.nc").lengths.tolist() == LENGTHS
    whole = recording.until_first_end()
    assert whole.n_steps == 5
    assert np.array_equal(whole.actions, recording.actions[:, :5])
    assert whole.lengths.tolist() == [5] * 4


def test_a_single_environment_says_terminated_and_not_truncated():
    env = SwimmerEnv("brief", body="swimmer3")
    env.reset(seed=0)
    ends = [env.step(np.zeros(2))[2:4] for _ in range(5)]
    assert ends == [(False, False)] * 4 + [(True, False)]


def test_the_time_limit_alone_truncates():
    env = SwimmerEnv("brief", body="swimmer3", episode_steps=3)
    env.reset(seed=0)
    assert [env.step(np.zeros(2))[2:4] for _ in range(3)] == [(False, False)] * 2 + [(False, True)]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_vector_ends_and_restarts_as_gymnasiums_own(mode):
    def single(index):
        class One(Brief):
            def terminated(self):
                return self.envs.elapsed >= 5 + 3 * index

        TASKS["brief"] = One
        return SwimmerEnv("brief", body="swimmer3")

    theirs = gymnasium.vector.SyncVectorEnv([lambda i=i: single(i) for i in range(3)], autoreset_mode=mode)
    TASKS["brief"] = Brief
    ours = SwimmerVectorEnv(3, "brief", body="swimmer3", autoreset_mode=mode)
    assert np.array_equal(ours.reset(seed=1)[0], theirs.reset(seed=1)[0])
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = rng.uniform(-1, 1, (3, 2)).astype(np.float32)
        mine, other = ours.step(actions), theirs.step(actions)
        for one, two in zip(mine[:4], other[:4], strict=True):
            assert np.array_equal(one, two)
        if mode is AutoresetMode.SAME_STEP and (mine[2] | mine[3]).any():
            ended = mine[2] | mine[3]
            assert np.array_equal(mine[4]["_final_obs"], other[4]["_final_obs"])
            for one, two in zip(mine[4]["final_obs"][ended], other[4]["final_obs"][ended], strict=True):
                assert np.array_equal(one, two)
        if mode is AutoresetMode.DISABLED and (mine[2] | mine[3]).any():
            ended = {"reset_mask": mine[2] | mine[3]}
            assert np.array_equal(ours.reset(options=ended)[0], theirs.reset(options=ended)[0])


def test_stepping_what_has_ended_is_one_line_where_nothing_resets():
    env = SwimmerVectorEnv(2, "brief", body="swimmer3", autoreset_mode="Disabled")
    env.reset(seed=0)
    for _ in range(5):
        env.step(np.zeros((2, 2)))
    with pytest.raises(InvalidAction, match="environment 0 has ended, and autoreset is disabled"):
        env.step(np.zeros((2, 2)))


def test_stable_baselines_bootstraps_only_what_was_cut_by_time():
    env = SwimmerVecEnv(2, "brief", body="swimmer3", episode_steps=6)
    env.reset()
    infos = {}
    for step in range(1, 7):
        _, _, dones, found = env.step(np.zeros((2, 2)))
        infos |= {(step, index): found[index] for index in np.flatnonzero(dones)}
    assert set(infos) == {(5, 0), (6, 1)}
    assert [infos[key]["TimeLimit.truncated"] for key in sorted(infos)] == [False, True]
    assert [infos[key]["episode"]["l"] for key in sorted(infos)] == [5, 6]


def test_dm_env_gives_a_discount_of_0_at_an_end_and_of_1_at_a_cut():
    discounts = {}
    for steps in (50, 3):
        env = DmSwimmer("brief", body="swimmer3", episode_steps=steps)
        timestep = env.reset()
        while not timestep.last():
            timestep = env.step(np.zeros(2))
        discounts[steps] = timestep.discount
    assert discounts == {50: 0.0, 3: 1.0}


class Old(Task):
    """A task with the reward's old signature."""

    def reward(self, com_speed):
        return com_speed


def test_a_task_of_an_older_version_is_told_the_new_signature():
    TASKS["brief"] = Old
    with pytest.raises(InvalidTask, match=r"reward\(self, com_speed\) is now reward\(self\)"):
        SwimmerEnv("brief")


class Faulty(Brief):
    def __init__(self, envs, delay: float = 1.0):
        super().__init__(envs)
        len(delay)


def test_an_error_inside_a_task_is_its_own_and_not_the_callers_mistake():
    TASKS["brief"] = Faulty
    with pytest.raises(TypeError, match="has no len"):
        SwimmerEnv("brief")
    with pytest.raises(InvalidTask, match="got an unexpected keyword argument 'dealy'"):
        SwimmerEnv("brief", dealy=2.0)


def test_a_recording_has_the_torque_that_the_motors_gave_and_not_the_one_asked_for():
    """Until the go the motors of CueTurn are off, whatever the agent commands."""
    envs = EnvBatch("cueturn", 1, body="swimmer4", physics="mujoco", episode_steps=40)
    recording = record_agent(agent(envs), envs)
    assert np.abs(recording.actions[0, :30]).max() > 0.1
    assert not recording.torque[0, :30].any()
    assert np.abs(recording.torque[0, 30:]).max() > 0


@pytest.fixture
def brief_run(tmp_path):
    options = {"n_envs": 4, "n_steps": 16, "batch_size": 32, "normalize_observation": False}
    config = RunConfig("mlp", "ppo", "swimmer4", task="brief", steps=128, checkpoint_every=64,
                       circuit_options={"hidden": [8]}, algorithm_options=options)  # fmt: skip
    return train(config, tmp_path / "run", progress=False)


def test_protected_inputs_end_with_the_first_episode(brief_run, monkeypatch):
    heard = []
    monkeypatch.setattr(protection, "linear_inputs", lambda *given: heard.append(given[1]) or linear_inputs(*given))
    learner = SimpleNamespace(agent=brief_run.agent(), takes_projections=True, before_update=[], after_update=[])
    earlier = str(brief_run.path)
    protect(learner, dataclasses.replace(brief_run.config, start=earlier, protect=(earlier,)))
    assert heard[0].shape[:2] == (4, 5)


def test_a_history_ends_with_its_episode(brief_run):
    recording = record(brief_run, 2)
    assert recording.n_steps == 8
    assert history(brief_run, recording).activity.shape[1] == 5


def test_the_gait_of_a_sweep_ends_with_the_first_episode(tmp_path, monkeypatch):
    monkeypatch.setattr(Brief, "terminated", lambda self: self.envs.elapsed >= 200 + 100 * np.arange(self.envs.n_envs))
    config = RunConfig(body="swimmer4", task="brief", steps=1000, episode_steps=1000, algorithm_options={"n_envs": 2})
    run = train(config, tmp_path / "run", progress=False)
    found = gait_of(run, run.last_weights())
    recording = record(run, trials._GAIT_EPISODES)
    assert recording.n_steps > 200
    whole = run_probe("gait", Subject(recording.until_first_end(), Wiring((), ())))
    assert found.numbers["com_speed"]["value"] == pytest.approx(whole.numbers["com_speed"])


@pytest.mark.parametrize("physics", ["mujoco", "lanes"])
def test_one_that_diverges_while_another_restarts_shows_its_last_observation(physics):
    env = SwimmerVectorEnv(3, "navigate", body="swimmer6", physics=physics, episode_steps=4)
    env.reset(seed=0)
    env.step(np.zeros((3, 5)))
    env.reset(options={"reset_mask": np.array([False, True, True])})
    for _ in range(3):
        before, _, _, ended, _ = env.step(np.zeros((3, 5)))
    assert ended.tolist() == [True, False, False]
    state = env.batch.physics.get_state()
    velocity = state["qvel"] if physics == "mujoco" else state["state"][:, :, 1]
    velocity[1] = 1e5
    env.batch.physics.set_state(state)
    seen, rewards, terminated, truncated, info = env.step(np.zeros((3, 5)))
    assert terminated.tolist() == info["diverged"].tolist() == [False, True, False]
    assert truncated.tolist() == [False, False, True]
    assert rewards[1] == 0
    assert np.array_equal(seen[1], before[1])
    assert np.isfinite(info["net_speed"]).all()
    assert rewards.dtype == env.step(np.zeros((3, 5)))[1].dtype == env.observation_space.dtype


@pytest.mark.parametrize("physics", ["mujoco", "lanes"])
def test_one_that_diverged_is_not_read_when_another_is_reset(physics):
    env = SwimmerVectorEnv(2, "navigate", body="swimmer6", physics=physics, autoreset_mode="Disabled")
    before, _ = env.reset(seed=0)
    state = env.batch.physics.get_state()
    (state["qvel"] if physics == "mujoco" else state["state"][:, :, 1])[1] = 1e5
    env.batch.physics.set_state(state)
    env.step(np.zeros((2, 5)))
    assert np.array_equal(env.reset(options={"reset_mask": np.array([True, False])})[0][1], before[1])
    assert np.array_equal(env.batch.observation()[1], before[1])
    assert env.batch.metrics()["diverged"].tolist() == [False, True]
    assert not np.array_equal(env.reset(options={"reset_mask": np.array([False, True])})[0][1], before[1])
