"""The environments: gymnasium single and vector, Stable-Baselines3, pickling, bad input."""

import math
import pickle
import threading

import gymnasium
import nervecord  # noqa: F401  (registers the ids)
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from nervecord.envs import EnvBatch, SwimmerEnv, SwimmerVectorEnv
from nervecord.envs.bodies.body import joint_range
from nervecord.envs.sb3_env import SwimmerVecEnv
from nervecord.errors import InvalidAction, InvalidTask, UnknownName

IDS = ["nervecord/Swim-v0", "nervecord/Navigate-v0", "nervecord/CueTurn-v0"]
RANDOM_BODIES = {"link_mass": (0.8, 1.2), "gear": (0.8, 1.2), "link_length": (0.9, 1.1), "viscosity": (0.0, 0.1)}


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("randomize", [None, RANDOM_BODIES])
def test_vector_and_single_environments_agree_bit_for_bit_across_episodes(env_id, randomize):
    options = {"body": "swimmer4", "episode_steps": 9, "observe_time": True, "randomize": randomize}
    options |= {"cue_steps": 2, "delay_steps": 2} if "Cue" in env_id else {}
    vector = gymnasium.make_vec(f"nervecord:{env_id}", num_envs=3, **options)
    singles = [gymnasium.make(f"nervecord:{env_id}", **options) for _ in range(3)]
    observed, _ = vector.reset(seed=5)
    expected = [env.reset(seed=5 + index)[0] for index, env in enumerate(singles)]
    assert np.array_equal(observed, expected)
    rng = np.random.default_rng(0)
    ended = np.zeros(3, bool)
    for _ in range(25):
        actions = rng.uniform(-1, 1, (3, 3)).astype(np.float32)
        observed, rewards, terminated, truncated, info = vector.step(actions)
        for index, env in enumerate(singles):
            if ended[index]:
                assert np.array_equal(observed[index], env.reset()[0])
                assert rewards[index] == 0
                continue
            one = env.step(actions[index])
            assert np.array_equal(observed[index], one[0])
            assert (rewards[index], terminated[index], truncated[index]) == one[1:4]
            assert info["net_speed"][index] == one[4]["net_speed"]
        ended = truncated


def test_same_step_autoreset_hands_over_the_final_observation():
    vector = SwimmerVectorEnv(2, body="swimmer3", episode_steps=4, autoreset_mode=AutoresetMode.SAME_STEP)
    later = SwimmerVectorEnv(2, body="swimmer3", episode_steps=4)
    vector.reset(seed=0), later.reset(seed=0)
    for step in range(4):
        actions = np.full((2, 2), 0.1 * step)
        observed, _, _, truncated, info = vector.step(actions)
        expected = later.step(actions)[0]
    assert truncated.all()
    assert np.array_equal(np.stack(info["final_obs"]), expected)
    assert not np.array_equal(observed, expected)
    assert info["final_info"]["net_speed"].shape == (2,)


def test_partial_reset_leaves_the_others_alone():
    env = SwimmerVectorEnv(3, body="swimmer3")
    env.reset(seed=0)
    before = env.step(np.ones((3, 2)))[0]
    observed, _ = env.reset(options={"reset_mask": np.array([False, True, False])})
    assert np.array_equal(observed[[0, 2]], before[[0, 2]])
    assert not np.array_equal(observed[1], before[1])


@pytest.mark.parametrize("randomize", [None, RANDOM_BODIES])
def test_pickling_keeps_the_state_in_the_middle_of_an_episode(randomize):
    env = SwimmerVectorEnv(3, body="swimmer4", episode_steps=20, randomize=randomize)
    env.reset(seed=1)
    rng = np.random.default_rng(0)
    for _ in range(11):
        env.step(rng.uniform(-1, 1, (3, 3)))
    copy = pickle.loads(pickle.dumps(env))
    for _ in range(20):
        actions = rng.uniform(-1, 1, (3, 3))
        for one, other in zip(env.step(actions)[:4], copy.step(actions)[:4], strict=True):
            assert np.array_equal(one, other)


def test_sb3_face_gives_the_vector_environments_rewards_and_episode_statistics():
    sb3 = SwimmerVecEnv(3, body="swimmer4", episode_steps=6)
    vector = SwimmerVectorEnv(3, body="swimmer4", episode_steps=6)
    sb3.seed(2)
    assert np.array_equal(sb3.reset(), vector.reset(seed=2)[0])
    total = np.zeros(3)
    for _ in range(6):
        actions = np.full((3, 3), 0.3)
        observed, rewards, dones, infos = sb3.step(actions)
        expected = vector.step(actions)
        assert np.array_equal(rewards, expected[1].astype(np.float32))
        total += rewards
    assert dones.all()
    assert np.array_equal(infos[1]["terminal_observation"], expected[0][1])
    assert infos[1]["episode"]["r"] == pytest.approx(total[1])
    assert infos[1]["episode"]["l"] == 6
    assert np.array_equal(observed, vector.step(actions)[0])


def test_closing_frees_the_native_threads():
    def tasks() -> int:
        import os

        return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count()

    before = tasks()
    for _ in range(5):
        env = SwimmerVectorEnv(64, body="swimmer3", n_threads=2)
        env.reset(seed=0)
        env.step(np.zeros((64, 2)))
        env.close()
    assert tasks() <= before + 1


def test_swim_rewards_the_heads_forward_speed_up_to_one():
    world = EnvBatch("swim", 1, body="swimmer6")
    world.seed([0])
    world.reset(np.array([0]))
    for speed, reward in ((0.05, 0.5), (0.2, 1.0), (-0.1, 0.0)):
        heading = world.physics.read("heading")[0]
        # Swimming as one rigid piece along the head's -y axis.
        state = world.physics.get_state()
        state["qvel"][0] = [speed * np.sin(heading), -speed * np.cos(heading), 0, 0, 0, 0, 0, 0]
        world.physics.set_state(state)
        assert world.task.reward()[0] == pytest.approx(reward, abs=1e-9)


def test_com_reward_is_the_speed_of_the_centre_of_mass_and_wiggling_earns_little():
    rng = np.random.default_rng(0)
    returns = {}
    for reward in ("paper", "com"):
        env = SwimmerVectorEnv(8, body="swimmer6", reward=reward)
        env.reset(seed=0)
        # All joints together, back and forth: the head moves, the body does not.
        phase = rng.uniform(0, 6, 8)
        total = sum(env.step(np.sin(0.6 * step + phase)[:, None] * np.ones((8, 5)))[1] for step in range(300))
        returns[reward] = total.mean()
    assert abs(returns["com"]) < 0.3 * returns["paper"]


def test_randomised_bodies_differ_between_environments_and_resets():
    env = SwimmerVectorEnv(4, body="swimmer4", randomize=RANDOM_BODIES)
    env.reset(seed=0)
    masses = [env.batch.physics.mujoco(i)[0].body_mass.sum() for i in range(4)]
    assert len(set(masses)) == 4
    assert all(0.8 <= mass / 0.04 <= 1.2 for mass in masses)
    env.reset()
    assert masses != [env.batch.physics.mujoco(i)[0].body_mass.sum() for i in range(4)]


@settings(max_examples=15, deadline=None)
@given(n_links=st.integers(3, 30), time=st.booleans(), task=st.sampled_from(["swim", "navigate"]))
def test_layout_names_every_column_once(n_links, time, task):
    world = EnvBatch(task, 1, body=f"swimmer{n_links}", observe_time=time)
    columns = np.arange(world.layout.size)
    named = np.concatenate([columns[world.layout[name]] for name in world.layout.sizes])
    assert np.array_equal(named, columns)
    assert world.observation().shape == (1, world.layout.size) == (1, *world.observation_space.shape)


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (np.zeros((2, 4)), "shape"),
        (np.full((2, 5), np.nan), "not finite"),
        (np.zeros(5), "shape"),
        (np.full((2, 5), None), "actions are of type object; give numbers"),
        ([["a"] * 5] * 2, "actions are of type <U1; give numbers"),
        ([[0.0], [0.0, 0.0]], "actions do not form an array: 'setting an array element"),
        (torch.zeros(2, 5, requires_grad=True), "actions do not form an array: .*requires grad"),
    ],
)
def test_bad_actions_are_refused_before_anything_moves(actions, words):
    env = SwimmerVectorEnv(2)
    before = env.reset(seed=0)[0]
    with pytest.raises(InvalidAction, match=words):
        env.step(actions)
    assert np.array_equal(env.batch.observation(), before)


@pytest.mark.parametrize("seed", [-1, 1.5, "ab", True, [1], [1, -1], [1, "a"]])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(InvalidTask, match="seed"):
        SwimmerVectorEnv(2).reset(seed=seed)
    with pytest.raises(InvalidTask, match="seed"):
        SwimmerEnv().reset(seed=[*seed, 0] if isinstance(seed, list) else seed)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"task": "fly"}, UnknownName),
        ({"reward": "much"}, InvalidTask),
        ({"randomize": {"colour": (0, 1)}}, UnknownName),
        ({"randomize": {"gear": (2, 1)}}, InvalidTask),
        ({"episode_steps": 0}, InvalidTask),
        ({"depth": 3}, InvalidTask),
        ({"desired_speed": -1}, InvalidTask),
    ],
)
def test_bad_arguments_get_one_line(options, error):
    with pytest.raises(error) as caught:
        SwimmerVectorEnv(2, **options)
    assert "\n" not in str(caught.value)


def test_render_draws_the_body_where_it_is_now():
    env = gymnasium.make("nervecord:nervecord/Swim-v0", body="swimmer4", render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (360, 480, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, env.render())
    for _ in range(30):
        env.step(np.ones(3, np.float32))
    assert not np.array_equal(first, env.render())
    assert gymnasium.make("nervecord:nervecord/Swim-v0").render_mode is None


def test_record_video_films_an_episode(tmp_path):
    pytest.importorskip("moviepy", reason="gymnasium's RecordVideo needs moviepy")
    env = gymnasium.make("nervecord:nervecord/Swim-v0", body="swimmer3", episode_steps=5, render_mode="rgb_array")
    film = gymnasium.wrappers.RecordVideo(env, str(tmp_path))
    film.reset(seed=0)
    while not film.step(np.zeros(2, np.float32))[3]:
        pass
    film.close()
    assert list(tmp_path.glob("*.mp4"))


def test_draws_are_those_of_uniform_in_the_order_of_their_names():
    ranges = {"link_mass": (0.8, 1.2), "gear": (0.5, 2.0, "log"), "density": (0.5, 1.5)}
    env, rng = EnvBatch("swim", 3, body="swimmer6", randomize=ranges), np.random.default_rng(5)
    env.rngs = [None, np.random.default_rng(5), None]
    env.seed([0, None, 2])
    env.reset(np.arange(3))
    limits = joint_range(env.body).T
    assert env.physics.read("heading")[1] == rng.uniform(-np.pi, np.pi)
    assert np.array_equal(env.physics.read("joint_pos")[1], rng.uniform(*limits))
    drawn = env.get_state()["physics"]["parameters"]
    assert drawn["link_mass"][1] == rng.uniform(0.8, 1.2)
    assert drawn["gear"][1] == math.exp(rng.uniform(math.log(0.5), math.log(2.0)))
    assert drawn["density"][1] == rng.uniform(0.5, 1.5)
