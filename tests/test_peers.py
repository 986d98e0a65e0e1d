"""Other people's libraries open our environments and learners by their own documented ways.

The ideas are those of the generic tests of Gymnasium, SB3 and sb3-contrib; the code is our own.
"""

import pickle
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import TimeAwareObservation
from gymnasium.wrappers.vector import RecordVideo
from nervecord.agents import (
    CMAES,
    ES,
    CircuitPolicy,
    CircuitPPO,
    CircuitSACPolicy,
    CircuitTD3Policy,
)
from nervecord.agents.algorithms.objective import objective
from nervecord.envs import SwimmerEnv, SwimmerVecEnv, SwimmerVectorEnv
from nervecord.envs.tasks.bits import BitsEnv, BitsVectorEnv
from nervecord.errors import CircuitMismatch, InvalidAction, InvalidArgument, InvalidTask, NotReady
from nervecord.training.learning.training import train
from nervecord.training.rollouts.evaluation import Evaluation
from nervecord.training.runs.config import RunConfig
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback, LogEveryNTimesteps
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import SubprocVecEnv, VecFrameStack, VecNormalize, VecVideoRecorder

SWIM = "nervecord:nervecord/Swim-v0"
BODY = {"body": "swimmer4", "episode_steps": 6}
N = 3
PPO = {"n_steps": 8, "batch_size": 8, "sequence_length": 4, "n_epochs": 1, "seed": 0}


def vectors(mode):
    """Our vector environments, with the single one that each is many of and an action for all."""
    swim = SwimmerVectorEnv(N, autoreset_mode=mode, **BODY), lambda: SwimmerEnv(**BODY), np.full((N, 3), 0.5)
    bits = BitsVectorEnv(N, autoreset_mode=mode), lambda: BitsEnv("parity"), np.array([0, 1, 1])
    return [swim, bits]


def scribble(value):
    """Write into every array of what an environment returned."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, np.ndarray) and value.dtype != object:
        value[...] = 1 if value.dtype == bool else 7
    elif isinstance(value, list | tuple | np.ndarray):
        for each in value:
            scribble(each)


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) and one.dtype == object:
        return len(one) == len(other) and all(map(same, one, other))
    return (one is None) == (other is None) and np.array_equal(one, other)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_vector_environment_does_what_gymnasiums_own_vector_of_it_does_and_returns_copies(which, mode):
    ours, single, actions = vectors(mode)[which]
    theirs = SyncVectorEnv([single] * N, autoreset_mode=mode)
    for turn in range(2):
        one, other = ours.reset(seed=3 + turn), theirs.reset(seed=3 + turn)
        assert ours.np_random_seed == tuple(theirs.np_random_seed)
        for _ in range(20):
            assert all(map(same, one, other))
            scribble(one)
            one, other = ours.step(actions), theirs.step(actions)
            # gymnasium's vectors keep the last final_info of an environment that does not end.
            one[-1].pop("final_info", None)
            other[-1].pop("final_info", None)


@pytest.mark.parametrize("which", [0, 1])
def test_a_reset_mask_is_about_the_environments_that_it_chooses(which):
    env, _, actions = vectors("Disabled")[which]
    with pytest.raises(NotReady, match="never reset"):
        env.step(actions)
    before, _ = env.reset(seed=0)
    mask = np.array([False, True, False])
    after, info = env.reset(seed=[5, 6, 7], options={"reset_mask": mask})
    assert env.np_random_seed == (0, 6, 2)
    assert np.array_equal(after[~mask], before[~mask])
    assert all(np.array_equal(info[name], mask) for name in info if name.startswith("_"))
    for wrong, error in (
        ([True, False, True], InvalidArgument),
        (np.array([1, 0, 1]), InvalidArgument),
        (np.array([True]), InvalidTask),
        (np.zeros(N, bool), InvalidTask),
    ):
        with pytest.raises(error, match="reset_mask"):
            env.reset(options={"reset_mask": wrong})
    ended = np.zeros(N, bool)
    while not ended.any():
        _, _, terminated, truncated, _ = env.step(actions)
        ended = terminated | truncated
    with pytest.raises(InvalidAction, match="autoreset is disabled"):
        env.step(actions)
    env.reset(options={"reset_mask": ended})
    env.step(actions)


def test_the_description_follows_the_episodes_and_no_second_limit_cuts_them():
    long = gymnasium.make(SWIM, body="swimmer4", episode_steps=1200)
    assert (long.spec.max_episode_steps, long.spec.reward_threshold) == (1200, pytest.approx(1080))
    assert "TimeLimit" not in str(long)
    env = gymnasium.make(SWIM, body="swimmer4", episode_steps=9)
    env.reset(seed=0)
    state = env.unwrapped.get_state()
    for _ in range(2):  # a limit around the environment would count on
        env.unwrapped.set_state(state)
        steps = 1
        while not env.step(np.zeros(3, np.float32))[3]:
            steps += 1
        assert steps == 9
    assert TimeAwareObservation(gymnasium.make(SWIM, episode_steps=7)).max_timesteps == 7
    vector = gymnasium.make_vec(SWIM, num_envs=2, max_episode_steps=7, body="swimmer4")
    assert (vector.spec.max_episode_steps, vector.batch.episode_steps) == (7, 7)
    with pytest.raises(InvalidTask, match="give one of them"):
        SwimmerVectorEnv(1, max_episode_steps=7, episode_steps=8)
    again = gymnasium.make(gymnasium.make("nervecord:nervecord/Parity-v0", n=3).spec)
    assert (again.spec.max_episode_steps, again.spec.reward_threshold) == (13, 0.98)


def test_an_unexpected_keyword_is_a_type_error_in_pythons_words():
    for make in (gymnasium.make, gymnasium.make_vec):
        with pytest.raises(TypeError, match="got an unexpected keyword argument 'frameskip'"):
            make(SWIM, frameskip=1)
    with pytest.raises(ValueError, match="desired_speed"):
        gymnasium.make(SWIM, desired_speed=-1)


@pytest.mark.parametrize("kind", [SwimmerEnv, SwimmerVectorEnv, SwimmerVecEnv])
def test_closed_environments_say_so(kind):
    env = kind(**BODY)
    env.reset()
    env.close()
    actions = np.zeros(3 if kind is SwimmerEnv else (1, 3))
    for use in (env.reset, lambda: env.step(actions)):
        with pytest.raises(NotReady, match="closed"):
            use()


def test_pictures_of_vectors_are_those_of_their_environments():
    looks = {"render_mode": "rgb_array", "width": 160, "height": 120}
    env = gymnasium.make_vec(SWIM, num_envs=2, **BODY, **looks)
    env.reset(seed=4)
    single = gymnasium.make(SWIM, **BODY, **looks)
    single.reset(seed=5)
    frame = single.render()
    assert frame.shape == (120, 160, 3)
    assert np.array_equal(env.render()[1], frame)
    frame[:] = 0  # users draw on frames
    for body, fps in (("swimmer4", 33), ("gymnasium-swimmer", 25)):
        env = SwimmerVecEnv(2, body=body, episode_steps=6, **looks)
        env.seed(4)
        env.reset()
        assert env.metadata["render_fps"] == SwimmerEnv(body=body).metadata["render_fps"] == fps
        assert [image.shape for image in env.get_images()] == [(120, 160, 3)] * 2
        assert env.render().shape == (240, 160, 3)
    with pytest.raises(InvalidTask, match="bits have no picture"):
        gymnasium.make("nervecord:nervecord/Parity-v0", render_mode="rgb_array")


def test_lists_of_pictures_are_made_as_gymnasium_makes_them_for_its_own():
    looks = {"render_mode": "rgb_array_list", "width": 64, "height": 64}
    # Version 1 is made by a function, which has to say what it can render.
    assert gymnasium.make(SWIM[:-1] + "1", physics="mujoco", **BODY, **looks).render_mode == "rgb_array_list"
    for env, count in (
        (gymnasium.make(SWIM, **BODY, **looks), lambda films: [len(films)]),
        (gymnasium.make_vec(SWIM, 2, vectorization_mode="sync", **BODY, **looks), lambda films: [*map(len, films)]),
    ):
        env.reset(seed=0)
        env.step(env.action_space.sample())
        assert set(count(env.render())) == {2}
    with pytest.raises(InvalidTask, match="vectorization_mode='sync'"):
        gymnasium.make_vec(SWIM, 2, **BODY, **looks)


def test_options_of_a_reset_that_change_nothing_are_warned_of():
    bits, stable = gymnasium.make("nervecord:nervecord/Parity-v0"), SwimmerVecEnv(2, **BODY)
    for env in (gymnasium.make(SWIM, **BODY), gymnasium.make_vec(SWIM, 2, **BODY), bits):
        with pytest.warns(UserWarning, match="reset ignores 'low'; it takes"):
            env.reset(options={"low": 1})
    stable.set_options({"low": 1})
    with pytest.warns(UserWarning, match="reset ignores 'low'; it takes no options"):
        stable.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stable.reset()  # SB3 gives options to one reset alone
        env.reset(options={})


def test_vectors_are_filmed(tmp_path):
    pytest.importorskip("moviepy", reason="gymnasium's and SB3's films need moviepy")
    looks = {"render_mode": "rgb_array", "width": 160, "height": 128}
    env = RecordVideo(gymnasium.make_vec(SWIM, num_envs=2, **BODY, **looks), str(tmp_path / "gymnasium"))
    env.reset(seed=0)
    for _ in range(9):
        env.step(np.zeros((2, 3)))
    env.close()
    film = VecVideoRecorder(SwimmerVecEnv(2, **BODY, **looks), str(tmp_path / "sb3"), lambda step: step == 0, 5)
    film.reset()
    for _ in range(9):
        film.step(np.zeros((2, 3)))
    film.close()
    assert {path.parent.name for path in tmp_path.glob("*/*.mp4")} == {"gymnasium", "sb3"}


def test_an_attribute_of_one_environment_alone_is_refused():
    env = SwimmerVecEnv(2, **BODY)
    for use in (lambda: env.set_attr("x", 1, indices=[0]), lambda: env.env_method("close", indices=1)):
        with pytest.raises(InvalidTask, match="alone"):
            use()
    assert env.reset().dtype == env.observation_space.dtype
    assert env.step(np.zeros((2, 3)))[1].dtype == np.float32


@pytest.mark.parametrize("made", [make_vec_env, SubprocVecEnv])
def test_circuits_sense_by_name_on_environments_made_as_sb3_makes_them(made):
    options = {} if made is make_vec_env else {"vec_env_cls": made, "vec_env_kwargs": {"start_method": "fork"}}
    env = make_vec_env(SWIM, n_envs=2, env_kwargs=BODY, **options)
    for model in (
        CircuitPPO("CircuitPolicy", env, policy_kwargs={"circuit": "ncap"}, **PPO),
        ES("CircuitPolicy", env, policy_kwargs={"circuit": "ncap"}, seed=0),
    ):
        assert list(model.learn(12).policy.layout.sizes) == ["joint_pos", "body_velocities"]
    env.close()


def test_wrappers_that_change_what_is_observed_work_or_are_said(caplog):
    stacked = VecFrameStack(SwimmerVecEnv(2, **BODY), 2)
    model = CircuitPPO("CircuitPolicy", stacked, policy_kwargs={"circuit": "mlp"}, **PPO).learn(16)
    assert model.policy.layout.sizes == {"observation": 30}
    assert "have no names" in caplog.text
    with pytest.raises(CircuitMismatch, match="senses 'joint_pos'"):
        CircuitPPO("CircuitPolicy", stacked, policy_kwargs={"circuit": "ncap"}, **PPO)
    CircuitPPO("CircuitPolicy", VecNormalize(SwimmerVecEnv(2, **BODY)), policy_kwargs={"circuit": "ncap"}, **PPO)
    assert "VecNormalize changes the units" in caplog.text
    with pytest.raises(CircuitMismatch, match="get_attr"):
        TD3(CircuitTD3Policy, SwimmerVecEnv(1, **BODY), policy_kwargs={"circuit": "ncap"}, buffer_size=10)


def policies():
    env = SwimmerVecEnv(1, observe_time=True, **BODY)
    ctrnn, ncap = {"circuit": "ctrnn", "circuit_options": {"units": 5}}, {"layout": env.layout}
    yield CircuitPPO("CircuitPolicy", env, policy_kwargs={**ctrnn, "critic": "separate"}, **PPO)
    yield ES("CircuitPolicy", SwimmerVecEnv(2, **BODY), policy_kwargs=ctrnn, seed=0)
    yield TD3(CircuitTD3Policy, env, policy_kwargs=ncap, buffer_size=10)
    yield SAC(CircuitSACPolicy, env, policy_kwargs={**ncap, "critic_hidden": [8]}, buffer_size=10)


@pytest.mark.parametrize("model", list(policies()), ids=lambda model: type(model).__name__)
def test_policies_are_saved_loaded_and_pickled(model, tmp_path):
    policy, seen = model.policy, model.observation_space.sample()[None]
    policy.save(tmp_path / "policy")
    for copy in (type(policy).load(tmp_path / "policy"), pickle.loads(pickle.dumps(policy))):
        assert np.array_equal(copy.predict(seen, deterministic=True)[0], policy.predict(seen, deterministic=True)[0])


@pytest.mark.parametrize("kind", [ES, CMAES])
def test_a_population_is_loaded_without_environments(kind, tmp_path):
    model = kind("CircuitPolicy", SwimmerVecEnv(4, **BODY), seed=0).learn(24)
    model.save(tmp_path / "model")
    seen = model.observation_space.sample()
    assert np.array_equal(kind.load(tmp_path / "model").predict(seen)[0], model.predict(seen)[0])


def test_the_policys_own_distribution_and_values_agree():
    model = CircuitPPO("CircuitPolicy", SwimmerVecEnv(2, **BODY), policy_kwargs={"circuit": "ctrnn"}, **PPO)
    seen = torch.as_tensor(np.stack([model.observation_space.sample() for _ in range(4)]) / 100)
    actions, values, log_prob = model.policy(seen)
    theirs = model.policy.get_distribution(seen)
    again = model.policy.evaluate_actions(seen, actions)
    assert torch.equal(values, model.policy.predict_values(seen))
    assert torch.equal(values, again[0])
    torch.testing.assert_close(log_prob, theirs.log_prob(actions))
    torch.testing.assert_close(again[2], theirs.entropy())
    assert np.allclose(model.predict(seen.numpy(), deterministic=True)[0], theirs.mode().clamp(-1, 1).detach())


def test_the_clipped_value_loss_has_the_gradient_of_autograd():
    rng = torch.Generator().manual_seed(0)
    values, old, returns, log_prob = (torch.randn(50, generator=rng) for _ in range(4))
    values.requires_grad_()
    loss = (old + (values - old).clamp(-0.5, 0.5) - returns).square().mean()
    loss.backward()
    parts, _, gradient = objective(log_prob, values.detach(), log_prob, returns, returns, 0.2, old, 0.5)
    torch.testing.assert_close(parts[1], loss.detach())
    torch.testing.assert_close(gradient, values.grad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_sde": True}, "leave it out"),
        ({"clip_range_vf": -0.2}, "clip_range_vf is -0.2; give a number above 0"),
        ({"clip_range": 0}, "clip_range is 0; give"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0; give"),
        ({"n_steps": 0}, "n_steps is 0; give"),
        ({"n_epochs": 2.5}, "n_epochs is 2.5; give"),
        ({"gamma": 2.0}, "gamma is 2.0; give"),
        ({"ent_coef": float("nan")}, "ent_coef is nan; give"),
        ({"policy_kwargs": {"critic": "both"}}, "critic is 'both'; give"),
        ({"policy_kwargs": {"action_std": -1}}, "action_std is -1; give"),
        ({"policy_kwargs": {"critic_hidden": 8}}, "critic_hidden is 8; give"),
    ],
)
def test_options_of_ppo_that_cannot_be_are_one_line(options, message):
    with pytest.raises(CircuitMismatch, match=message):
        CircuitPPO("CircuitPolicy", SwimmerVecEnv(1, **BODY), **{**PPO, **options})


@pytest.mark.parametrize("kind", [CircuitPPO, ES])
def test_policies_without_a_circuit_are_refused_in_one_line(kind):
    with pytest.raises(CircuitMismatch, match=r"policy is ActorCriticPolicy, and .* trains circuits"):
        kind(ActorCriticPolicy, SwimmerVecEnv(2, **BODY))


def test_actions_have_the_type_of_their_space_and_pairs_are_refused():
    box = gymnasium.spaces.Box(-np.ones(4, np.float32), np.ones(4, np.float32))
    discrete = CircuitPolicy(box, gymnasium.spaces.Discrete(2), circuit="mlp")
    action, _ = discrete.predict(np.zeros(4, np.float32))
    assert isinstance(action, np.ndarray)
    assert action.shape == ()
    wide = CircuitPolicy(box, gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float64), circuit="mlp")
    assert wide.predict(np.zeros((3, 4), np.float32))[0].dtype == np.float64
    with pytest.raises(CircuitMismatch, match="give its first part"):
        wide.predict((np.zeros(4), {}))
    with pytest.raises(CircuitMismatch, match="of shape"):
        wide.predict(np.zeros(9))


class Seen(BaseCallback):
    """Note what a callback may look at."""

    def __init__(self):
        super().__init__()
        self.ends, self.shapes = 0, set()

    def _on_step(self):
        self.ends += int(self.locals["dones"].sum())
        self.shapes.add(self.locals["new_obs"].shape)
        return True


@pytest.mark.parametrize(("kind", "options"), [(CircuitPPO, PPO), (ES, {"seed": 0})])
def test_callbacks_see_observations_and_the_ends_that_count(kind, options, tmp_path):
    model = kind("CircuitPolicy", SwimmerVecEnv(2, **BODY), tensorboard_log=str(tmp_path), **options)
    model.learn(16, callback=[seen := Seen(), LogEveryNTimesteps(4)])
    assert seen.shapes == {(2, 15)}
    assert seen.ends == model.num_timesteps // 12 * 2
    assert [path.name for path in tmp_path.iterdir()] == [f"{kind.__name__}_1"]
    assert kind is ES or model.rollout_buffer.size() == PPO["n_steps"]


@pytest.mark.parametrize(("circuit", "is_blind"), [("ncap", True), ("navigator", False), ("mlp", False)])
def test_a_circuit_that_lacks_the_tasks_sense_is_said_to_learn_blind(circuit, is_blind, tmp_path, caplog):
    config = RunConfig(task="navigate", circuit=circuit, steps=4, episode_steps=2, algorithm_options={"n_envs": 2})
    run = train(config, tmp_path / "run", progress=False)
    assert ("to_target, which navigate is about; it learns blind" in caplog.text) == is_blind
    caplog.clear()
    train(run.config, run.path, progress=False)
    assert "blind" not in caplog.text


def test_an_estimate_is_a_number():
    assert float(Evaluation({"return": np.array([1.0, 2.0])}).mean_return) == 1.5


def test_torchrl_opens_environments():
    envs = pytest.importorskip("torchrl.envs")
    env = envs.GymEnv(SWIM, **BODY)
    envs.check_env_specs(env)
    assert env.rollout(20)["next", "done"].sum() == 1
    vector = envs.GymWrapper(gymnasium.make_vec("nervecord:nervecord/Parity-v0", num_envs=2, autoreset_mode="Disabled"))
    assert vector.rollout(3).batch_size[0] == 2


def test_skrl_wraps_environments():
    wrap_env = pytest.importorskip("skrl.envs.wrappers.torch").wrap_env
    env = wrap_env(gymnasium.make_vec(SWIM, num_envs=2, **BODY))
    observation, _ = env.reset()
    assert env.step(torch.zeros(2, 3))[0].shape == observation.shape == (2, 15)


def test_optuna_takes_an_estimate():
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(direction="maximize")
    study.optimize(lambda trial: Evaluation({"return": np.full(2, trial.number)}).mean_return, n_trials=2)
    assert study.best_value == 1.0
