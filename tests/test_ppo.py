"""CircuitPPO: equal to SB3's PPO without memory, to RecurrentPPO with an LSTM, right with resets and chunks."""

import gymnasium
import numpy as np
import pytest
import torch
from nervecord.agents import CircuitPPO
from nervecord.agents.sequence_buffer import SequenceBuffer
from nervecord.agents.sensing import plain_layout
from nervecord.circuits import Circuit, circuit_names, make_circuit
from nervecord.envs.sb3_vec_env import SwimmerVecEnv
from nervecord.errors import CircuitMismatch, TrainingDiverged
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CallbackList, CheckpointCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

N_ENVS, N_STEPS = 3, 24


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def plain(env) -> dict:
    """The observation as one nameless vector: SB3's own networks scale no joint positions."""
    return {"layout": plain_layout(env.observation_space)}


def swimmers(episode_steps: int = 17) -> SwimmerVecEnv:
    """Episodes that end inside rollouts and inside sequences, all at once."""
    return SwimmerVecEnv(N_ENVS, "swim", body="swimmer4", episode_steps=episode_steps)


def model(circuit="mlp", env=None, n_steps=N_STEPS, **arguments) -> CircuitPPO:
    defaults = {"seed": 0, "n_steps": n_steps, "batch_size": N_ENVS * n_steps, "sequence_length": n_steps}
    policy = {"circuit": circuit, **arguments.pop("policy_kwargs", {})}
    return CircuitPPO("CircuitPolicy", env or swimmers(), **{**defaults, **arguments}, policy_kwargs=policy)


def copy_mlp(ours: CircuitPPO, theirs: PPO) -> None:
    """Give our MLP actor and critic the weights of SB3's."""
    policy = theirs.policy
    sources = [*policy.mlp_extractor.policy_net[::2], policy.action_net]
    critic = [*policy.mlp_extractor.value_net[::2], policy.value_net]
    for mine, its in (*zip(ours.policy.circuit.layers, sources), *zip(ours.policy.value_head[::2], critic)):
        mine.load_state_dict(its.state_dict())


@pytest.mark.parametrize("env_id", ["swim", "CartPole-v1"])
def test_a_stateless_mlp_trains_as_under_sb3(env_id):
    def make():
        return swimmers() if env_id == "swim" else make_vec_env(env_id, N_ENVS, seed=0)

    settings = {"n_steps": N_STEPS, "batch_size": 24, "n_epochs": 2, "seed": 3, "device": "cpu"}
    theirs = PPO("MlpPolicy", make(), policy_kwargs={"net_arch": {"pi": [64, 64], "vf": [64, 64]}}, **settings)
    ours = model(env=make(), policy_kwargs=plain(make()), **settings)
    copy_mlp(ours, theirs)
    for learner in (theirs, ours):
        _, callback = learner._setup_learn(1000)
        torch.manual_seed(4)
        learner.collect_rollouts(learner.env, callback, learner.rollout_buffer, N_STEPS)
    if env_id == "swim":
        # The same noise, so the same rollouts, the values of cut episodes included.
        assert (theirs.rollout_buffer.episode_starts.sum(0) == 2).all()
        assert np.allclose(ours.rollout_buffer.returns, theirs.rollout_buffer.returns, atol=1e-5)
    else:
        # Discrete actions are drawn in another way: train on theirs.
        for name in ("observations", "actions", "returns", "advantages", "values", "log_probs", "episode_starts"):
            setattr(ours.rollout_buffer, name, getattr(theirs.rollout_buffer, name).copy())
    for learner in (theirs, ours):
        np.random.seed(5)  # noqa: NPY002
        learner.train()
    reference = model(env=make(), policy_kwargs=plain(make()), **settings)
    copy_mlp(reference, theirs)
    for (name, mine), its in zip(ours.policy.named_parameters(), reference.policy.parameters(), strict=True):
        if name != "log_std":
            assert torch.allclose(mine, its, atol=1e-5), name
    if env_id == "swim":
        assert torch.allclose(ours.policy.log_std, theirs.policy.log_std, atol=1e-6)
