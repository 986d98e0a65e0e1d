"""Critical periods: a grid of deficits that is resumed."""

import numpy as np
import pytest
from nervecord.envs.deficits import Deficit
from nervecord.errors import InvalidOption, InvalidRecording, InvalidRun, UnknownName
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.critical_periods import DeficitGrid, deficit_grid, describe
from nervecord.training.rollouts.evaluation import evaluate_on
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from nervecord.training.runs.score_table import read_scores
from planted import WIRING, planted


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    config = RunConfig("mlp", body="swimmer4", steps=200, episode_steps=25, circuit_options={"hidden": (4,)},
                       algorithm_options={"n_envs": 2, "population": 2})  # fmt: skip
    return train(config, tmp_path_factory.mktemp("runs") / "mlp", progress=False)


@pytest.mark.slow
def test_a_grid_compares_with_controls_as_long_and_goes_on_where_it_stopped(run):
    grid = deficit_grid(run, onsets=(0.0, 0.5), durations=(0.5,), after=0.5, workers=1)
    assert (grid.onsets, grid.durations) == ((0, 100), (100,))
    folder = run.path / "critical_periods"
    names = {path.name for path in folder.iterdir() if path.is_dir()} - {"trials"}
    assert names == {
        "joint_pos-0-100-of-200-seed-0",
        "joint_pos-100-100-of-300-seed-0",
        "control-of-200-seed-0",
        "control-of-300-seed-0",
    }
    assert Run(folder / "joint_pos-100-100-of-300-seed-0").config.deficits == (Deficit("joint_pos", 100, 200),)
    # The control of the run's own length is the run itself.
    assert grid.controls[0, 0] == pytest.approx(evaluate_on(run.resolved, run.agent(), 16).returns.mean())
    assert np.allclose(grid.relative, 1 + (grid.returns - grid.controls) / np.abs(grid.controls))
    assert set(read_scores(folder / "results.sqlite")["source"]) == names
    # What is done is not done again.
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    again = deficit_grid(run, onsets=(0.0, 0.5), durations=(0.5,), after=0.5, workers=1)
    assert np.array_equal(again.returns, grid.returns)
    assert np.array_equal(again.controls, grid.controls)
    assert written == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_worst_cell_is_told_and_every_cell_is_drawn():
    grid = DeficitGrid("joint_pos", (0, 100), (50, 100), np.array([[2.0, 1.0], [3.0, 4.0]]), np.full((2, 2), 4.0))
    found = describe(grid)
    assert found.numbers == {
        "mean_relative": 0.625,
        "worst_relative": 0.25,
        "worst_onset": 0,
        "worst_duration": 100,
    }
    assert found.numbers.keys() == found.units.keys()
    assert [text.get_text() for text in found.figure.axes[0].texts] == ["0.50", "0.25", "0.75", "1.00"]
    # Below zero, as where less is worse: -2 beside a control of -1 is a loss of one whole control.
    assert DeficitGrid("x", (0,), (1,), np.array([[-2.0]]), np.array([[-1.0]])).relative == 0
    with pytest.raises(InvalidRun, match="returns are all 0"):
        describe(DeficitGrid("x", (0,), (1,), np.ones((1, 1)), np.zeros((1, 1))))


def test_what_cannot_be_masked_is_said_in_one_line(run):
    with pytest.raises(InvalidRecording, match="give a run"):
        run_probe("critical_periods", Subject(planted(), WIRING))
    with pytest.raises(UnknownName, match="smell"):
        deficit_grid(run, sense="smell", onsets=(0,), durations=(0.5,))
    with pytest.raises(InvalidOption, match="durations above 0"):
        deficit_grid(run, durations=(0.0,))
