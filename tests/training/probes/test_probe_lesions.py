"""The lesion table: what is silenced alone is what remains when it is silenced in a run of its own."""

import numpy as np
import pytest
from nervecord.envs import TASKS
from nervecord.envs.tasks.swim import Swim
from nervecord.errors import InvalidRecording
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.tools.remaining import remaining
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


class Costly(Swim):
    """Swimming at a cost of 1 a step, so that no return is above 0."""

    def reward(self):
        return super().reward() - 1.0


def test_a_neuron_whose_loss_lowers_a_return_below_zero_is_not_spare(tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, "costly", Costly)
    config = RunConfig(body="swimmer4", task="costly", steps=300, episode_steps=150, algorithm_options={"n_envs": 2})
    run = train(config, tmp_path / "run", progress=False)
    found = run_probe("lesions", Subject(planted(episodes=2), run.agent().circuit.wiring(), run))
    means = found.arrays["returns"].mean(1)
    without, intact = means[:-1], means[-1]
    assert intact < 0
    assert found.numbers["spare"] == (without > 1.05 * intact).sum() < (without < 0.95 * intact).sum()
    assert found.numbers["needed"] == (without < 1.5 * intact).sum()


def test_what_remains_falls_with_the_return_on_either_side_of_zero():
    assert remaining([4.0, 2.0, -2.0], 4.0).tolist() == [1.0, 0.5, -0.5]
    assert remaining([-4.0, -6.0, 4.0], -4.0).tolist() == [1.0, 0.5, 3.0]
    assert np.isnan(remaining(1.0, 0.0))
