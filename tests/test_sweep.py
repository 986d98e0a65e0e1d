"""Sweeps: the product of what varies, mistakes that stop nothing, runs that go on."""

import json

import pytest
import torch
from nervecord.cli.main import main
from nervecord.errors import InvalidRun, UnknownName
from nervecord.training.learning.training import train
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from nervecord.training.runs.scores import Store
from nervecord.training.studies.sweeps import Sweep, sweep

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
    scores = Store(folder / "runs" / "results.sqlite").read("sweep")
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


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
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
