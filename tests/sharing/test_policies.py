"""Policies that leave nervecord act as the agent does, whatever is inside."""

import re

import numpy as np
import pytest
import torch
from export_policies import agent_and_envs
from nervecord import RunConfig
from nervecord.circuits import CIRCUITS
from nervecord.errors import CircuitMismatch, MissingDependency
from nervecord.sharing import Policy, check_policy, export, export_onnx, onnx_step
from nervecord.training.learning import untrained


def test_a_policy_is_the_agent_of_every_circuit():
    for name in CIRCUITS:
        agent, envs = agent_and_envs(name, episode_steps=2)
        envs.close()
        policy, rng = Policy(agent), np.random.default_rng(0)
        state, mine = None, [torch.full((3, *each.shape[1:]), torch.nan) for each in policy.initial_state]
        mine = [given.to(start.dtype) for given, start in zip(mine, policy.initial_state, strict=True)]
        for step in range(4):
            observation = rng.normal(size=(3, agent.layout.size)).astype(np.float32)
            starts = np.full(3, step == 0) | (np.arange(3) == step)
            expected, state = agent.predict(observation, state, starts)
            action, *mine = policy(torch.as_tensor(observation), torch.as_tensor(starts), *mine)
            np.testing.assert_allclose(action.numpy(), expected, atol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def ctrnn():
    agent, envs = agent_and_envs("ctrnn", episode_steps=50)
    yield agent, envs
    envs.close()


def test_torch_runs_a_policy_without_nervecord_as_the_card_says(tmp_path, monkeypatch):
    with untrained(RunConfig("ctrnn", "ppo", episode_steps=20)) as run:
        folder = export(run, tmp_path / "agent", film=False, torch_program=True)
    block = re.search(
        r"```python\n(import torch\n.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )[1]
    assert len(block.splitlines()) <= 10
    monkeypatch.chdir(folder)
    found = {}
    exec(block, found)
    assert (found["action"].shape, found["state"][0].shape) == ((1, 5), (1, 64))
    # Nothing of this package is in it, and any number of environments will do.
    program = torch.export.load("policy.pt2")
    assert "nervecord" not in str(program.graph)
    action, h = program.module()(torch.zeros(5, 23), torch.ones(5, dtype=torch.bool), torch.zeros(5, 64))
    assert (action.shape, h.shape) == ((5, 5), (5, 64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_onnx_runs_a_policy_as_the_agent(ctrnn, dtype, tmp_path):
    pytest.importorskip("onnxruntime")
    agent, envs = ctrnn
    path = export_onnx(agent, tmp_path / "policy.onnx", dtype)
    assert check_policy(onnx_step(path), agent, envs, dtype) < {torch.float32: 1e-5, torch.float64: 1e-9}[dtype]


def test_onnx_fires_as_the_agent_over_an_episode(tmp_path):
    pytest.importorskip("onnxruntime")
    agent, envs = agent_and_envs("spiking", episode_steps=120)
    path = export_onnx(agent, tmp_path / "policy.onnx")
    assert check_policy(onnx_step(path), agent, envs) < 1e-5
    step, spent = onnx_step(path), []

    def fires_more(observation, starts, trace, membrane):
        action, trace, membrane = step(observation, starts, trace, membrane)
        spent.append(membrane.size)
        return action, trace, membrane - (np.arange(membrane.size).reshape(membrane.shape) == len(spent))

    with pytest.raises(CircuitMismatch, match=r"fires differently from the agent in \d+ of 15,360 control steps"):
        check_policy(fires_more, agent, envs)
    envs.close()


def test_a_policy_that_acts_otherwise_is_one_line(ctrnn):
    agent, envs = ctrnn
    policy = Policy(agent)

    def without_normalising(observation, _, state):
        naive = agent.circuit(agent.sensing(torch.as_tensor(observation)), {"h": torch.as_tensor(state)})
        return [agent.to_actions(naive[0]).numpy(), naive[1]["h"].numpy()]

    assert policy.state_names == ("h",)
    with pytest.raises(CircuitMismatch, match=r"policy of circuit 'ctrnn' differs from the agent by 0\.\d+ of"):
        check_policy(without_normalising, agent, envs)


def test_what_is_not_installed_is_one_line(ctrnn, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingDependency, match="onnx"):
        export_onnx(ctrnn[0], tmp_path / "policy.onnx")
    assert not (tmp_path / "policy.onnx").exists()
