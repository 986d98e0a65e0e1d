"""Hebbian orthogonal projection: the subspace is right, and what it protects does not change."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nervecord.agents import Agent, AgentSpec
from nervecord.envs.resolution import make_layout, make_setting
from nervecord.errors import CircuitMismatch, InvalidOption
from nervecord.training.learning.protection import linear_inputs, principal_subspace, protect
from nervecord.training.learning.training import train
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

CONFIGS = {
    "mlp-ppo": RunConfig(
        "mlp", "ppo", steps=512, episode_steps=60, algorithm_options={"n_steps": 64, "n_envs": 4},
        circuit_options={"hidden": [8]},
    ),
    "mlp-es": RunConfig(
        "mlp", "es", steps=960, episode_steps=60, algorithm_options={"n_envs": 8}, circuit_options={"hidden": [8]}
    ),
    "ctrnn-ppo": RunConfig(
        "ctrnn", "ppo", steps=512, episode_steps=60, circuit_options={"units": 8},
        algorithm_options={"n_steps": 64, "n_envs": 4, "sequence_length": 16},
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def first(request, tmp_path_factory) -> Run:
    return train(CONFIGS[request.param], tmp_path_factory.mktemp("first") / "run", progress=False)


def test_the_subspace_holds_the_share_of_power_that_was_asked():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    spread = np.array([5, 4, 3, 2, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05])
    inputs = rng.standard_normal((5000, 10)) * spread @ axes
    rows = principal_subspace(inputs, share=0.999)
    assert rows.shape == (4, 10)
    assert np.allclose(rows @ rows.T, np.eye(4), atol=1e-6)
    # The same plane as by singular values: principal angles of 0.
    exact = np.linalg.svd(inputs, full_matrices=False)[2][:4]
    assert np.linalg.svd(rows @ exact.T)[1].min() > 0.9999


def test_every_linear_map_is_heard_as_the_circuit_computes_it(first):
    agent = first.agent()
    heard = linear_inputs(agent, np.asarray(record(first, 2).observations))
    parameters = dict(agent.circuit.named_parameters())
    assert {of.weight for of in heard} == {name for name, value in parameters.items() if value.ndim == 2}
    assert {of.bias for of in heard} - {None} == {name for name in parameters if "bias" in name}
    for of, inputs in heard.items():
        assert inputs.shape[1] == parameters[of.weight].shape[of.axis] + (of.bias is not None)


def test_a_linear_map_is_put_back_as_it_was_read(first):
    agent = first.agent()
    before = {name: value.clone() for name, value in agent.circuit.state_dict().items()}
    with torch.no_grad():
        for of in linear_inputs(agent, np.asarray(record(first, 1).observations)):
            of.set_rows(agent.circuit, of.rows(agent.circuit))
    for name, value in agent.circuit.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_protected_training_changes_no_answer_to_protected_inputs(first, tmp_path):
    agent = first.agent()
    inputs = linear_inputs(agent, np.asarray(record(first, 4).observations))
    drift = {}
    for kind, earlier in (("free", ()), ("protected", (str(first.path),))):
        config = dataclasses.replace(first.config, start=str(first.path), protect=earlier, seed=1)
        circuit = train(config, tmp_path / kind, progress=False).agent().circuit
        drift[kind] = []
        for of, values in inputs.items():
            change = (of.rows(circuit) - of.rows(agent.circuit)).numpy()
            assert np.abs(change).sum() > 0
            drift[kind].append(np.linalg.norm(values @ change.T) / np.linalg.norm(values) / np.linalg.norm(change))
    assert all(kept < 0.15 for kept in drift["protected"])
    assert np.mean(drift["protected"]) < 0.3 * np.mean(drift["free"])


def test_protected_training_sees_old_observations_as_they_were_seen(first, tmp_path):
    stats = first.agent().observation_stats
    config = dataclasses.replace(first.config, start=str(first.path), body="swimmer6-thick")
    kept = train(dataclasses.replace(config, protect=(str(first.path),)), tmp_path / "kept", progress=False)
    moved = train(config, tmp_path / "moved", progress=False)
    if stats is None:
        assert kept.agent().observation_stats is None
        return
    assert np.array_equal(kept.agent().observation_stats["mean"], stats["mean"])
    assert not np.allclose(moved.agent().observation_stats["mean"], stats["mean"])
    # Its statistics are others than those that the next training would start with.
    with pytest.raises(CircuitMismatch, match="normalised by other statistics"):
        train(dataclasses.replace(config, protect=(str(moved.path),)), tmp_path / "mixed")


class OneDevice(TorchFunctionMode):
    """Refuses what a GPU refuses and torch's meta device lets pass: a matrix here times a matrix there."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.ndim]
        assert len({tensor.device for tensor in tensors}) < 2, func
        return func(*args, **(kwargs or {}))


def test_what_protects_weights_is_on_their_device(first):
    agent = first.agent().to("meta")
    learner = SimpleNamespace(agent=agent, takes_projections=True, before_update=[], after_update=[])
    if agent.normalizer is not None:
        agent.normalizer = first.agent().normalizer
    protect(learner, dataclasses.replace(first.config, start=str(first.path), protect=(str(first.path),)))
    with OneDevice():
        for hook in (*learner.before_update, *learner.after_update):
            hook()
    assert {weight.device.type for weight in agent.circuit.parameters()} == {"meta"}


def test_weights_that_are_not_protected_are_named(first, tmp_path, caplog):
    config = dataclasses.replace(first.config, start=str(first.path), protect=(str(first.path),))
    train(dataclasses.replace(config, steps=1), tmp_path / "second", progress=False)
    warned = [record.getMessage() for record in caplog.records if "learn unprotected" in record.getMessage()]
    vectors = [name for name, value in first.agent().circuit.named_parameters() if value.ndim < 2]
    named = [name for name in vectors if "bias" not in name]
    assert len(warned) == bool(named)
    assert all(line.endswith(f"unprotected: {', '.join(named)}") for line in warned)


def test_what_cannot_be_protected_is_one_line(first, tmp_path):
    path = str(first.path)
    with pytest.raises(InvalidOption, match="give start too"):
        dataclasses.replace(first.config, protect=(path,))
    other = dataclasses.replace(first.config, circuit="gru", circuit_options={}, steps=480)
    gru = str(train(other, tmp_path / "gru", progress=False).path)
    with pytest.raises(CircuitMismatch, match="another circuit"):
        train(dataclasses.replace(first.config, start=path, protect=(gru,)), tmp_path / "a")
    ncap = RunConfig(steps=960, episode_steps=60, algorithm_options={"n_envs": 8})
    worm = str(train(ncap, tmp_path / "worm", progress=False).path)
    after = dataclasses.replace(ncap, start=worm, protect=(worm,))
    with pytest.raises(CircuitMismatch, match="no linear map"):
        train(after, tmp_path / "b")
    with pytest.raises(CircuitMismatch, match="choose es or ppo"):
        train(dataclasses.replace(after, algorithm="cmaes"), tmp_path / "c")
    assert not (tmp_path / "b").exists()


def test_a_protected_run_resumes_to_the_same_weights(first, tmp_path):
    path = str(first.path)
    config = dataclasses.replace(first.config, start=path, protect=(path,), checkpoint_every=240)
    whole = train(config, tmp_path / "whole", progress=False)
    half = train(dataclasses.replace(config, steps=config.steps // 2), tmp_path / "half", progress=False)
    state = half.load_checkpoint()
    other = Run.create(tmp_path / "other", config)
    other.save_checkpoint(state.step, state.weights, state.training, {**state.state, "done": False})
    resumed = train(config, other.path, progress=False)
    for name, value in whole.agent().circuit.state_dict().items():
        assert torch.equal(value, resumed.agent().circuit.state_dict()[name]), name


class _InParts(torch.nn.Linear):
    def forward(self, x):
        return x[..., :2] @ self.weight[:, :2].T + x[..., 2:] @ self.weight[:, 2:].T + self.bias


def test_a_matrix_that_acts_in_parts_is_not_taken_for_one_that_acts_whole():
    """Its first columns begin at its own address."""
    layout = make_layout(make_setting("swim", "swimmer4"))
    agent = Agent(AgentSpec("mlp", layout, 3, {"hidden": [4]}, 0))
    agent.circuit.layers[0].__class__ = _InParts
    observations = np.random.default_rng(0).normal(size=(1, 20, layout.size)).astype(np.float32)
    assert {of.weight for of in linear_inputs(agent, observations)} == {"layers.1.weight"}
