"""Sweeps: the product of what varies, mistakes that stop nothing, runs that go on."""

import dataclasses
import json

import pandas as pd
import pytest
import torch
from nervecord.cli.main import main
from nervecord.errors import InvalidRun, UnknownName
from nervecord.training.learning.training import train
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from nervecord.training.runs.score_table import read_scores
from nervecord.training.studies.sweeps import Sweep, sweep
from nervecord.training.studies.trials import Trial, measure

BASE = {"body": "swimmer4", "steps": 800, "episode_steps": 50}
PLAN = """
episodes = 2

[base]
body = "swimmer4"
steps = 800
episode_steps = 50

[vary]
circuit = ["ncap", "gru"]
algorithm = ["es", "td3"]
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "plan.toml").write_text(PLAN)
    return folder, sweep(folder / "plan.toml", folder / "runs", workers=2, progress=False)


def test_the_product_is_run_and_what_cannot_be_says_why(swept):
    folder, table = swept
    assert table["run"].tolist() == ["ncap-es", "ncap-td3", "gru-es", "gru-td3"]
    assert table["return"].notna().tolist() == [True, True, True, False]
    assert "'gru' has a memory" in table["note"].iloc[3]
    scores = read_scores(folder / "runs" / "results.sqlite", "sweep")
    assert set(scores["source"]) == set(table["run"])
    assert not (folder / "runs" / "gru-td3").exists()


def test_a_swept_run_is_the_run_that_train_makes(swept, tmp_path):
    folder, _ = swept
    alone = train(RunConfig("ncap", "es", **BASE), tmp_path / "alone", progress=False).load_checkpoint().weights
    swept_weights = Run(folder / "runs" / "ncap-es").load_checkpoint().weights
    assert all(torch.equal(alone[name], swept_weights[name]) for name in alone)


def test_a_second_start_trains_nothing_again(swept):
    folder, table = swept
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/checkpoints/*/weights.safetensors")}
    again = sweep(folder / "plan.toml", folder / "runs", progress=False)
    assert again["return"].equals(table["return"])
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def fields_of(folder, run: str) -> pd.DataFrame:
    scores = read_scores(folder / "results.sqlite", "sweep")
    return scores[scores["source"] == run]


def test_what_is_asked_otherwise_is_measured_again_and_trained_no_more(tmp_path):
    plan = Sweep(BASE, {"seed": [0]}, episodes=2)
    sweep(plan, tmp_path, progress=False)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    for episodes in (5, 3):
        table = sweep(dataclasses.replace(plan, episodes=episodes), tmp_path, progress=False)
        assert fields_of(tmp_path, "0")["episode"].max() == episodes - 1
        values = Run(tmp_path / "0").results.where("evaluation", episodes=episodes).best.metrics
        assert table["return"].iloc[0] == pytest.approx(values["return"].mean())
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}


def test_a_run_that_trained_on_is_measured_anew(tmp_path):
    """More steps are another config, and so another trial; its run goes on where that is allowed, or says why not."""
    plan = Sweep(BASE, {"seed": [0]}, episodes=2)
    before = sweep(plan, tmp_path, progress=False)
    run = Run(tmp_path / "0")
    last = run.load_checkpoint()
    state = {name: value for name, value in last.state.items() if name != "step"}
    run.save_checkpoint(1600, {name: value * 0.5 for name, value in last.weights.items()}, last.training, state)
    config = json.loads((run.path / "config.json").read_text())
    (run.path / "config.json").write_text(json.dumps({**config, "steps": 1600}))
    after = sweep(Sweep({**BASE, "steps": 1600}, {"seed": [0]}, episodes=2), tmp_path, progress=False)
    assert after["return"].iloc[0] != before["return"].iloc[0]
    trained = fields_of(tmp_path, "0").query("stage == 'trained'")
    assert set(trained["step"]) == {1600}


def test_a_note_is_dropped_when_the_trial_can_be(tmp_path):
    plan = Sweep(BASE, {"seed": [0, 1]}, episodes=2)
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "mine.txt").write_text("mine")
    table = sweep(plan, tmp_path, progress=False)
    assert "exists and holds no run" in table["note"].iloc[0]
    assert table["return"].notna().tolist() == [False, True]
    (tmp_path / "0" / "mine.txt").unlink()
    table = sweep(plan, tmp_path, progress=False)
    assert table["note"].tolist() == ["", ""]
    assert table["return"].notna().all()


def test_an_error_of_any_kind_is_its_trials_note_and_the_others_go_on(tmp_path):
    trial = Trial("sweep", "damaged", RunConfig("ncap", "es", **BASE))
    (tmp_path / "run").mkdir()
    # What is no run's folder but looks like one: a folder where a file should be.
    (tmp_path / "run" / "config.json").mkdir()
    found = measure(trial, tmp_path / "run", 2)
    assert found.note
    assert "\n" not in found.note


def test_a_damaged_run_of_a_sweep_is_its_note_and_the_others_go_on(tmp_path):
    plan = Sweep(BASE, {"seed": [0, 1]}, episodes=2)
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "config.json").write_text("[]")
    table = sweep(plan, tmp_path, progress=False)
    assert table["note"].iloc[0]
    assert table["return"].notna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("episodes = 0", InvalidRun, "episodes is 0; give a whole number, 1 or more"),
        ("episodes = 2.5", InvalidRun, "episodes is 2.5; give a whole number, 1 or more"),
        ("episodes = true", InvalidRun, "episodes is True; give a whole number, 1 or more"),
        ("[vary]\nseeds = [0]", UnknownName, "did you mean 'seed'"),
        ("[vary]\nseed = 3", InvalidRun, "give a list of values"),
        ("[varied]\nseed = [3]", UnknownName, "unknown part of a sweep 'varied'"),
        ("[vary", InvalidRun, "cannot be read"),
        ('[vary]\ncircuit = ["ncpa"]', UnknownName, "did you mean 'ncap'"),
    ],
)
def test_a_wrong_plan_is_one_line_and_runs_nothing(text, error, message, tmp_path):
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(error, match=message):
        sweep(tmp_path / "plan.toml", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_the_command_line_sweeps(tmp_path, capsys):
    (tmp_path / "plan.toml").write_text(PLAN.replace('"ncap", "gru"', '"ncap"').replace('"es", "td3"', '"es"'))
    main(["sweep", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "runs"), "--json"])
    assert json.loads(capsys.readouterr().out)[0]["run"] == "ncap-es"


def test_names_of_runs_are_names_of_folders():
    assert list(Sweep(BASE, {"seed": [0], "circuit_options": [{}, {"period": 50}]}).configs()) == [
        "0-default", "0-period___50",
    ]  # fmt: skip
