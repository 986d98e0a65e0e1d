"""Sweeps: the product of what varies, mistakes that stop nothing, runs that go on."""

import dataclasses
import json

import pandas as pd
import pytest
import torch
from nervecord import evaluate
from nervecord.cli.main import main
from nervecord.errors import InvalidOption, InvalidRun, UnknownName
from nervecord.training.learning.training import train
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.result import Result, Weights
from nervecord.training.runs.run import Run
from nervecord.training.runs.score_table import COLUMNS, read_scores, write_scores
from nervecord.training.runs.trial_files import TrialFiles
from nervecord.training.studies.comparisons import compare
from nervecord.training.studies.sweeps import Sweep, sweep, sweep_groups
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
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    return folder, sweep(folder / "plan.toml", folder / "runs", workers=1, progress=False)


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


def test_a_sweep_has_a_table_by_groups_and_is_compared_by_its_folder(swept, tmp_path):
    folder, runs = swept[0] / "runs", swept[1]
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    groups = sweep_groups(tmp_path / "plan.toml", folder)
    # In the order of their folders, and `runs` in the plan's.
    assert groups["group"].tolist() == ["gru, es", "ncap, es", "ncap, td3"]
    ncap_es, ncap_td3, gru_es = runs["return"][:3]
    assert groups["return_iqm"].tolist() == pytest.approx([gru_es, ncap_es, ncap_td3])
    assert (folder / "groups.tex").exists()
    measured = sorted(folder.glob("*/results/*/*.json"))
    for name, given in {"whole": [folder], "listed": sorted(folder.iterdir())}.items():
        found = compare(given, tmp_path / name).table.set_index("group")
        assert found.loc[groups["group"], "return_iqm"].tolist() == groups["return_iqm"].tolist()
    assert sorted(folder.glob("*/results/*/*.json")) == measured


def test_a_second_start_trains_nothing_again(swept):
    folder, table = swept
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/checkpoints/*/weights.safetensors")}
    again = sweep(folder / "plan.toml", folder / "runs", workers=1, progress=False)
    assert again["return"].equals(table["return"])
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


@pytest.mark.slow
def test_what_could_not_be_is_tried_again_and_what_is_asked_otherwise_is_measured_again(tmp_path):
    plan = Sweep(BASE, {"seed": [0, 1, 2]}, episodes=2)
    for name, held in (("1/mine.txt", "mine"), ("2/config.json", "{")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(held, encoding="utf-8")
    table = sweep(plan, tmp_path, workers=1, progress=False)
    assert "exists and holds no run" in table["note"].iloc[1]
    assert table["note"].iloc[2]
    assert table["return"].notna().tolist() == [True, False, False]
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    (tmp_path / "1" / "mine.txt").unlink()
    (tmp_path / "2" / "config.json").unlink()
    table = sweep(dataclasses.replace(plan, episodes=3), tmp_path, workers=1, progress=False)
    assert table["note"].tolist() == ["", "", ""]
    assert files == {path: path.stat().st_mtime_ns for path in files}, "measured again, not trained again"
    scores = read_scores(tmp_path / "results.sqlite", "sweep")
    assert scores[scores["metric"] == "return"].groupby("source")["episode"].max().tolist() == [2, 2, 2]
    values = Run(tmp_path / "0").results.where("evaluation", episodes=3).best.metrics
    assert table["return"].iloc[0] == pytest.approx(values["return"].mean())


def test_runs_that_start_from_another_are_in_the_table_and_its_groups(tmp_path):
    first = train(RunConfig(**BASE), tmp_path / "first", progress=False)
    plan = Sweep({**BASE, "start": str(first.path)}, {"seed": [1, 2]}, episodes=2)
    table = sweep(plan, tmp_path / "out", workers=1, progress=False)
    values = [Run(tmp_path / "out" / seed).results.current.where("evaluation").best.metrics for seed in ("1", "2")]
    assert table["return"].tolist() == pytest.approx([each["return"].mean() for each in values])
    groups = sweep_groups(plan, tmp_path / "out")
    assert groups["seeds"].tolist() == [2]
    assert groups["return_iqm"].iloc[0] == pytest.approx(table["return"].mean())


def test_a_trial_that_starts_from_another_of_its_study_is_done_wherever_the_study_lies(tmp_path):
    asked = []
    for name in ("here", "there"):
        config = RunConfig(**BASE, start=str(tmp_path / name / "runs" / "first"))
        asked.append(Trial("sweep", "a", config).asked(2, tmp_path / name / "runs"))
    assert asked[0] == asked[1]
    elsewhere = Trial("sweep", "a", RunConfig(**BASE, start=str(tmp_path / "first"))).asked(2, tmp_path / "here")
    assert elsewhere != asked[0]


def test_the_agent_before_training_is_the_one_that_the_training_started_from(tmp_path):
    start = train(RunConfig(**BASE), tmp_path / "start", progress=False)
    trial = Trial("sweep", "a", RunConfig(**BASE, start=str(start.path), seed=1), untrained=True)
    before = measure(trial, tmp_path / "run", 2).results[0][1]
    assert before.metrics["return"].tolist() == evaluate(start, episodes=2).returns.tolist()


def test_a_trial_is_done_only_as_it_was_asked_for(tmp_path):
    trial, files = Trial("sweep", "a", RunConfig(**BASE)), TrialFiles(tmp_path)
    result = Result("evaluation", Weights(800, ""), {"body": "swimmer4", "interventions": [], "episodes": 2},
                    values={"return": [1.0, 2.0]})  # fmt: skip
    files.put("a", trial.asked(2, tmp_path), trial.about, [("trained", result)])
    assert files.holds("a", trial.asked(2, tmp_path))
    assert not files.holds("b", trial.asked(2, tmp_path))
    longer = dataclasses.replace(trial, config=dataclasses.replace(trial.config, steps=1600))
    for other in (longer, dataclasses.replace(trial, untrained=True), dataclasses.replace(trial, gait=True),
                  dataclasses.replace(trial, bodies=("swimmer6",))):  # fmt: skip
        assert not files.holds("a", other.asked(2, tmp_path))
    assert not files.holds("a", trial.asked(3, tmp_path))
    unfit = dataclasses.replace(result, values={}, missing="does not fit")
    files.put("a", trial.asked(2, tmp_path), trial.about, [("trained", unfit)])
    assert files.holds("a", trial.asked(2, tmp_path))
    held = json.loads((tmp_path / "trials" / "a.json").read_text(encoding="utf-8"))
    (tmp_path / "trials" / "a.json").write_text(json.dumps({**held, "version": "0.0.1"}), encoding="utf-8")
    assert not files.holds("a", trial.asked(2, tmp_path)), "another version may measure what that one could not"
    files.put("a", trial.asked(2, tmp_path), trial.about, note="failed")
    assert not files.holds("a", trial.asked(2, tmp_path))
    assert files.table()["note"].tolist() == ["failed"]
    (tmp_path / "trials" / "a.json").write_text("{}", encoding="utf-8")
    assert not files.holds("a", trial.asked(2, tmp_path))
    with pytest.raises(InvalidRun, match="it is not a trial; remove it"):
        files.table()
    with pytest.raises(InvalidRun, match="no column 'valeu'"):
        files.put("a", {}, {"valeu": 1})


def test_what_an_earlier_version_kept_in_the_table_alone_stays_in_it(tmp_path):
    rows = [{"source": name, "study": "sweep", "metric": "return", "value": 1.0} for name in ("old", "both")]
    write_scores(tmp_path / "results.sqlite", pd.DataFrame(rows, columns=list(COLUMNS)))
    files = TrialFiles(tmp_path)
    files.put("both", {}, {"study": "sweep"}, note="failed")
    files.write_table()
    held = read_scores(tmp_path / "results.sqlite")
    assert held[["source", "note"]].fillna("").values.tolist() == [["old", ""], ["both", "failed"]]


def test_names_of_trials_that_are_no_names_of_files_stay_apart(tmp_path):
    files = TrialFiles(tmp_path)
    for name in ("a/b-c", "a-b/c", "../up", "/root", "a" * 300):
        files.put(name, {"of": name}, {}, note=name)
    assert len(list((tmp_path / "trials").iterdir())) == 5
    assert set(files.table()["source"]) == {"a/b-c", "a-b/c", "../up", "/root", "a" * 300}


class Crash(Exception):
    """What no author of this package foresaw."""


def test_an_error_of_any_kind_is_its_trials_note(tmp_path, monkeypatch):
    def crash(*_):
        raise Crash("one\nof many lines")

    monkeypatch.setattr("nervecord.circuits.NCAP.forward", crash)
    monkeypatch.setattr("nervecord.circuits.NCAP.forward_with_activity", crash)
    found = measure(Trial("sweep", "a", RunConfig(**BASE, physics="mujoco")), tmp_path / "run", 2)
    assert found.note == "Crash: one of many lines"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("episodes = 0", InvalidOption, "episodes is 0; give a whole number, 1 or more"),
        ("episodes = 2.5", InvalidOption, "episodes is 2.5; give a whole number, 1 or more"),
        ("episodes = true", InvalidOption, "episodes is True; give a whole number, 1 or more"),
        ("[vary]\nseeds = [0]", UnknownName, "did you mean 'seed'"),
        ("[vary]\nseed = 3", InvalidOption, "give a list of values"),
        ("[varied]\nseed = [3]", UnknownName, "unknown part of a sweep 'varied'"),
        ("[vary", InvalidOption, "cannot be read"),
        ('[vary]\ncircuit = ["ncpa"]', UnknownName, "did you mean 'ncap'"),
    ],
)
def test_a_wrong_plan_is_one_line_and_runs_nothing(text, error, message, tmp_path):
    (tmp_path / "plan.toml").write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        sweep(tmp_path / "plan.toml", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_command_line_sweeps(tmp_path, capsys):
    (tmp_path / "plan.toml").write_text(
        PLAN.replace('"ncap", "gru"', '"ncap"').replace('"es", "td3"', '"es"'), encoding="utf-8"
    )
    main(["sweep", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "runs"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in found["runs"]] == ["ncap-es"]
    assert [(group["group"], group["seeds"]) for group in found["groups"]] == [("all runs", 1)]


def test_names_of_runs_are_names_of_folders():
    assert list(Sweep(BASE, {"seed": [0], "circuit_options": [{}, {"period": 50}]}).configs()) == [
        "0-default", "0-period___50",
    ]  # fmt: skip
