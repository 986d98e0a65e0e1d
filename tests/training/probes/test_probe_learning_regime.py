"""The learning regime against closed forms: kernels of linear maps, ranks of equal singular values, invariances."""

import dataclasses

import numpy as np
import pytest
import torch
from nervecord.circuits import CTRNN, GRU, MLP, NCAP
from nervecord.circuits.recurrent import with_rank
from nervecord.errors import CircuitMismatch, InvalidRecording
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.learning_regime import (
    effective_ranks,
    kernel_alignment,
    recurrent_parameters,
    relative_change,
    representation_alignment,
    shuffled_alignments,
    tangent_kernel,
)
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from planted import WIRING, planted


@pytest.mark.parametrize("r", [1, 4, 20])
def test_equal_singular_values_have_their_number_as_rank(r):
    orthogonal = torch.linalg.qr(torch.randn(20, 20, generator=torch.Generator().manual_seed(0)))[0]
    cut = with_rank(orthogonal, r).numpy()
    assert effective_ranks(cut) == pytest.approx((r, r, r), rel=1e-4)
    assert np.linalg.norm(cut) == pytest.approx(np.sqrt(20), rel=1e-5)


def test_ranks_of_unequal_singular_values():
    # s = 2, 1, 1: 4 / 2, 6 / 4, and entropy 1/2 log 2 + 2 x 1/4 log 4 = log 2^1.5.
    assert effective_ranks(np.diag([2.0, 1.0, 1.0])) == pytest.approx((2, 1.5, 2**1.5))
    assert effective_ranks(np.zeros((3, 3))) == (0, 0, 0)


def test_alignment_ignores_rotation_and_scale_and_shuffling_destroys_it():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(300, 8)) * np.arange(1, 9)
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    assert representation_alignment(one, 3 * one @ turn + 5) == pytest.approx(1)
    other = one + 10 * rng.normal(size=one.shape)
    assert representation_alignment(one, other) == pytest.approx(representation_alignment(one @ turn, 0.1 * other))
    # By definition: the cosine between the centred similarity matrices.
    grams = [(x - x.mean(0)) @ (x - x.mean(0)).T for x in (one, other)]
    expected = (grams[0] * grams[1]).sum() / np.linalg.norm(grams[0]) / np.linalg.norm(grams[1])
    assert representation_alignment(one, other) == pytest.approx(expected)
    assert shuffled_alignments(one, other, rng).mean() < 0.1 < expected


def test_the_kernel_of_a_linear_map_is_its_inputs():
    circuit = MLP({"s": 3}, 2, hidden=())
    sensors = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(1))
    x = sensors[0].double().numpy()
    kernel = tangent_kernel(circuit, sensors, ["layers.0.weight", "layers.0.bias"])
    assert np.allclose(kernel, np.kron(x @ x.T + 1, np.eye(2)), atol=1e-5)
    assert kernel_alignment(kernel, 7 * kernel) == pytest.approx(1)


def test_the_kernel_of_a_recurrent_circuit_is_that_of_finite_differences():
    circuit = GRU({"s": 2}, 1, units=3, rng=torch.Generator().manual_seed(0)).double()
    names = recurrent_parameters(circuit)
    assert names == ["cell.weight_hh_l0"]
    sensors = torch.randn(6, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    starts = torch.zeros(6, 4, dtype=torch.bool)
    weight = circuit.get_parameter(names[0]).data
    columns = []
    for index in np.ndindex(*weight.shape):
        kept = weight[index].item()
        ends = []
        for step in (1e-6, -1e-6):
            weight[index] = kept + step
            ends.append(circuit.unroll(sensors, circuit.initial_state(4), starts)[0][-1, :, 0].detach())
        weight[index] = kept
        columns.append((ends[0] - ends[1]) / 2e-6)
    jacobian = torch.stack(columns, 1).numpy()
    assert np.allclose(tangent_kernel(circuit, sensors, names), jacobian @ jacobian.T, rtol=1e-5)


def test_a_start_of_higher_rank_is_lazier():
    """As published: N = 60 and 4 seeds; the kernel keeps less of itself where training starts at rank 1."""
    sensors = 0.7 * torch.randn(12, 40, 2, generator=torch.Generator().manual_seed(99))
    mean = {}
    for rank in (1, 60):
        kept = []
        for seed in range(4):
            circuit = CTRNN({"in": 2}, 2, units=60, rank=rank, time_constants="fixed", tau=(1.0, 1.0),
                            rng=torch.Generator().manual_seed(seed))  # fmt: skip
            rng = torch.Generator().manual_seed(100 + seed)
            circuit.weight_rec.data *= 2.6
            torch.nn.init.normal_(circuit.readout.weight, std=60**-0.5, generator=rng)
            before = tangent_kernel(circuit, sensors, ["weight_rec"])
            learn_the_sign_of_the_mean(circuit, rng)
            kept.append(kernel_alignment(before, tangent_kernel(circuit, sensors, ["weight_rec"])))
        mean[rank] = np.mean(kept)
    assert mean[1] + 0.1 < mean[60] < 0.95


def learn_the_sign_of_the_mean(circuit: CTRNN, rng: torch.Generator) -> None:
    """Train on two noisy inputs at once, 150 updates."""
    optimizer = torch.optim.SGD(circuit.parameters(), 0.03)
    for _ in range(150):
        mean = 0.5 * torch.randn(64, 2, generator=rng)
        sensors = mean + 0.5 * torch.randn(12, 64, 2, generator=rng)
        motors, _ = circuit.unroll(sensors, circuit.initial_state(64), torch.zeros(12, 64, dtype=torch.bool))
        loss = ((motors[-1] - mean.sign()) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(circuit.parameters(), 1.0)
        optimizer.step()


def test_weight_change_is_relative():
    assert relative_change(np.array([3.0, 4.0]), np.array([3.0, 5.0])) == pytest.approx(0.2)


@pytest.fixture(scope="module", params=["ncap", "ctrnn", "mlp"])
def subject(request, tmp_path_factory) -> Subject:
    options = {"ctrnn": {"units": 8}, "mlp": {"hidden": (8, 6)}}.get(request.param, {})
    config = RunConfig(request.param, body="swimmer4", steps=200, episode_steps=60, circuit_options=options,
                       algorithm_options={"n_envs": 2})  # fmt: skip
    run = train(config, tmp_path_factory.mktemp("runs") / request.param, progress=False)
    return Subject(record(run, 2), run.agent().circuit.wiring(), run)


def test_a_trained_run_is_compared_with_its_beginning(subject):
    found = run_probe("learning_regime", subject)
    assert found.numbers.keys() == found.units.keys()
    before, after = subject.run.agent(trained=False).circuit, subject.run.agent().circuit
    flat = [torch.cat([p.detach().flatten() for p in circuit.parameters()]).double() for circuit in (before, after)]
    change = ((flat[1] - flat[0]).norm() / flat[0].norm()).item()
    assert found.numbers["weight_change_all"] == pytest.approx(change, rel=1e-5)
    assert change > 0
    assert 0 < found.numbers["kernel_alignment"] <= 1 + 1e-9
    assert found.numbers["shuffled_alignment"] < found.numbers["representation_alignment"] <= 1 + 1e-9
    assert ("rank_entropy_final" in found.numbers) == (not isinstance(after, NCAP))
    if isinstance(after, CTRNN):
        assert recurrent_parameters(after) == ["weight_rec"]
    assert found.figure.axes[0].get_ylabel()


def test_what_cannot_be_compared_is_said_in_one_line(subject):
    with pytest.raises(InvalidRecording, match="give a run"):
        run_probe("learning_regime", Subject(planted(), WIRING))
    recording = subject.recording
    short = dataclasses.replace(
        recording, rewards=recording.rewards[:, :20], observations=recording.observations[:, :20]
    )
    with pytest.raises(InvalidRecording, match="needs episodes of 32 steps and the recording's have 20"):
        run_probe("learning_regime", dataclasses.replace(subject, recording=short))
    broken = np.array(recording.observations)
    broken[:] = np.nan
    with pytest.raises(InvalidRecording, match="not finite in episode 0"):
        run_probe(
            "learning_regime",
            dataclasses.replace(subject, recording=dataclasses.replace(recording, observations=broken)),
        )
    with pytest.raises(InvalidRecording, match="every neuron is constant"):
        representation_alignment(np.ones((9, 2)), np.ones((9, 2)))
    with pytest.raises(InvalidRecording, match="do not depend on the weights"):
        kernel_alignment(np.zeros((2, 2)), np.eye(2))
    with pytest.raises(CircuitMismatch, match="no weights"):
        recurrent_parameters(NCAPWithout(3))


class NCAPWithout(NCAP):
    """A circuit that has nothing to train."""

    def named_parameters(self, *_, **__):
        return iter(())


def test_parts_that_started_from_a_run_are_compared_with_that(tmp_path):
    wires = [{"source": "in.joint_pos", "target": "worm.joint_pos"}, {"source": "worm", "target": "out"}]
    plan = {"parts": {"worm": {"circuit": "ncap", "start": "agent:ncap"}}, "wires": wires}
    config = RunConfig("compose", "es", circuit_options={"plan": plan}, steps=200, episode_steps=100,
                       algorithm_options={"n_envs": 2, "learning_rate": 1e-6})  # fmt: skip
    run = train(config, tmp_path / "run", progress=False)
    found = run_probe("learning_regime", Subject(record(run, 2), run.agent().circuit.wiring(), run)).numbers
    assert 0 < found["weight_change_all"] < 1e-5
    assert found["kernel_alignment"] == pytest.approx(1, abs=1e-3)
