"""Robustness: what is disturbed is disturbed as much as it says, and the agent comes back whole."""

import numpy as np
import pytest
import torch
from nervecord.errors import InvalidRecording
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.robustness import STRENGTHS, perturbed
from nervecord.training.rollouts.evaluation import evaluate_on
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_a_perturbation_has_the_norm_that_it_says(strength):
    rng = torch.Generator().manual_seed(0)
    value = torch.randn(7, 5)
    moved = perturbed(value, strength, rng) - value
    assert float(moved.norm()) == pytest.approx(strength * float(value.norm()), rel=1e-5)
    assert (perturbed(value, strength, rng, lengthen=True) >= value).all()


def test_a_worm_falters_when_its_weights_are_moved(tmp_path):
    run = train(
        RunConfig(steps=9600, episode_steps=200, algorithm_options={"n_envs": 8}), tmp_path / "run", progress=False
    )
    subject = Subject(record(run, 2), run.agent().circuit.wiring(), run)
    result = run_probe("robustness", subject)
    returns = result.arrays["weights_returns"]
    assert np.allclose(returns[0], evaluate_on(run.resolved, run.agent(), 4).returns.mean())
    assert returns.shape == (len(STRENGTHS), 5)
    assert returns[-1].mean() < 0.8 * returns[0].mean()
    assert result.numbers["without_one_of_the_fastest"] < result.numbers["intact"]
    with pytest.raises(InvalidRecording, match="only a recording"):
        run_probe("robustness", Subject(subject.recording, subject.wiring))


def test_time_constants_are_lengthened_and_order_what_is_silenced(tmp_path):
    config = RunConfig(
        "ctrnn", "ppo", steps=256, episode_steps=130, circuit_options={"units": 8},
        algorithm_options={"n_steps": 64, "n_envs": 4, "sequence_length": 16},
    )  # fmt: skip
    run = train(config, tmp_path / "run", progress=False)
    result = run_probe("robustness", Subject(record(run, 1), run.agent().circuit.wiring(), run))
    assert "time_constants_0.1" in result.numbers
    assert len(result.arrays["without_fastest"]) == len(result.arrays["without_slowest"]) == 4
