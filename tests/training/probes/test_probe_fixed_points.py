"""Fixed points of a map whose fixed points are known, and of trained circuits."""

import dataclasses

import numpy as np
import pytest
import torch
from nervecord.errors import InvalidRecording
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.fixed_points import find_fixed_points, unflatten, visited_states
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig


def subject_of(folder, circuit, **options) -> Subject:
    config = RunConfig(
        circuit, "ppo", steps=256, episode_steps=100, circuit_options=options,
        algorithm_options={"n_steps": 64, "n_envs": 4},
    )  # fmt: skip
    run = train(config, folder / circuit, progress=False)
    return Subject(record(run, 2), run.agent().circuit.wiring(), run)


def test_three_bistable_units_have_27_fixed_points():
    starts = torch.rand(600, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2.4 - 1.2
    found = find_fixed_points(lambda x: torch.tanh(2 * x), starts)
    assert np.bincount(found.unstable).tolist() == [8, 12, 6, 1]
    stable = found.points[found.unstable == 0]
    assert np.allclose(np.abs(stable), 0.95750, atol=1e-5)
    assert np.allclose(found.eigenvalues[found.unstable == 0].real, 0.16637, atol=1e-4)
    assert np.allclose(found.eigenvalues[found.unstable == 3], 2, atol=1e-6)


def test_a_rotation_that_shrinks_rests_at_its_centre():
    turn = 0.9 * torch.tensor([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    found = find_fixed_points(lambda x: turn @ (x - 1) + 1, torch.randn(20, 2, dtype=torch.float64))
    assert found.points == pytest.approx(np.ones((1, 2)))
    assert np.abs(found.eigenvalues[0]) == pytest.approx(0.9)
    assert np.abs(np.angle(found.eigenvalues[0])) == pytest.approx(0.3)


@pytest.mark.parametrize(("circuit", "options"), [("ctrnn", {"units": 6}), ("lstm", {"units": 4})])
def test_a_circuit_stays_where_it_rests(circuit, options, tmp_path):
    subject = subject_of(tmp_path, circuit, **options)
    result = run_probe("fixed_points", subject)
    assert result.numbers["stable"] + result.numbers["saddles"] == result.numbers["points"] >= 1
    agent = subject.run.agent()
    sensors, _, shapes = visited_states(agent, np.asarray(subject.recording.observations))
    state = unflatten(torch.as_tensor(result.arrays["points"]), shapes)
    with torch.no_grad():
        _, after = agent.circuit(sensors.mean(0).expand(len(result.arrays["points"]), -1), state)
    assert all(torch.allclose(after[name], state[name], atol=1e-4) for name in state)


def test_a_circuit_without_memory_is_one_line(tmp_path):
    subject = subject_of(tmp_path, "mlp", hidden=(4,))
    with pytest.raises(InvalidRecording, match="'mlp' has no memory"):
        run_probe("fixed_points", subject)
    with pytest.raises(InvalidRecording, match="only a recording"):
        run_probe("fixed_points", Subject(subject.recording, subject.wiring))


def test_a_recording_that_is_not_finite_is_one_line(tmp_path):
    subject = subject_of(tmp_path, "ctrnn", units=3)
    lost = np.full_like(np.asarray(subject.recording.observations), np.nan)
    broken = dataclasses.replace(subject, recording=dataclasses.replace(subject.recording, observations=lost))
    with pytest.raises(InvalidRecording, match="states that are not finite"):
        run_probe("fixed_points", broken)
