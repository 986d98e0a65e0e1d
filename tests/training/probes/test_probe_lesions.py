"""The lesion table: what is silenced alone is what remains when it is silenced in a run of its own."""

import numpy as np
import pytest
from nervecord.errors import InvalidRecording
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.rollouts.evaluation import evaluate_on
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from planted import WIRING, planted


@pytest.fixture(scope="module")
def worm(tmp_path_factory) -> Run:
    config = RunConfig(body="swimmer4", steps=300, episode_steps=150, algorithm_options={"n_envs": 2})
    return train(config, tmp_path_factory.mktemp("runs") / "worm", progress=False)


def test_each_row_is_the_return_without_that_neuron(worm):
    found = run_probe("lesions", Subject(planted(episodes=8), worm.agent().circuit.wiring(), worm))
    returns, names = found.arrays["returns"], found.arrays["neuron"].tolist()
    assert returns.shape == (len(worm.agent().circuit.neurons) + 1, 8)
    for name in ("B_d_1", "osc_v", "q_d_2"):
        alone = evaluate_on(worm.resolved, worm.agent(), 8, [Intervention(name)])
        assert np.allclose(returns[names.index(name)], alone.returns, rtol=1e-4)
    intact = evaluate_on(worm.resolved, worm.agent(), 8)
    assert np.allclose(returns[-1], intact.returns, rtol=1e-4)
    assert found.numbers["intact"] == pytest.approx(intact.returns.mean(), rel=1e-4)
    # The last joint's stretch is heard by no B-neuron.
    assert np.allclose(returns[names.index("q_d_2")], returns[-1], rtol=1e-4)
    assert found.words[0].startswith("Without ")


def test_the_episodes_are_as_many_as_are_recorded(worm):
    found = run_probe("lesions", Subject(planted(episodes=3), worm.agent().circuit.wiring(), worm))
    assert found.arrays["returns"].shape[1] == 3


def test_a_recording_alone_is_not_enough():
    with pytest.raises(InvalidRecording, match="give a run"):
        run_probe("lesions", Subject(planted(), WIRING))
