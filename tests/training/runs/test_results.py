"""Results know their weights and conditions and are only added; what is stale or lesioned is not the agent's own."""

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nervecord.cli.main import main
from nervecord.envs import XmlBody
from nervecord.errors import InvalidRun
from nervecord.pages.reports import gallery, report
from nervecord.sharing.hub import export, import_run
from nervecord.training.learning.training import train
from nervecord.training.probes.probing import probe
from nervecord.training.rollouts.evaluation import evaluate
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.rollouts.recording import Recording
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.result import Result, Weights
from nervecord.training.runs.run import Run
from nervecord.training.runs.score_table import COLUMNS, read_scores, write_scores
from nervecord.training.studies.comparisons import compare
from nervecord.training.studies.transfers import transfer, transfer_table
from nervecord.videos.films import render

KEPT = Path(__file__).parents[2] / "reference" / "runs"
CONFIG = RunConfig(steps=1600, episode_steps=200, algorithm_options={"n_envs": 8})
LESION = [Intervention("B_d_1"), Intervention("B_v_1")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    return train(CONFIG, tmp_path_factory.mktemp("runs") / "worm", progress=False)


@pytest.fixture
def run(trained, tmp_path) -> Run:
    return Run(shutil.copytree(trained.path, tmp_path / "worm"))


def go_on(run: Run) -> None:
    """Let the run have trained on, to weights that swim otherwise."""
    last = run.load_checkpoint()
    weights = {name: value * 0.5 for name, value in last.weights.items()}
    state = {name: value for name, value in last.state.items() if name != "step"}
    run.save_checkpoint(last.step + 61_440, weights, last.training, state)


def measured(run: Run, **conditions) -> float:
    return run.results.current.where("evaluation", **conditions).best.intervals["return"].mean


def test_a_result_says_what_was_measured_of_which_weights_and_how(run):
    found = evaluate(run, 3)
    result = run.results.current.where("evaluation").best
    file = next((run.path / "results").glob("swimmer6-step-1600-3-episodes-*/evaluation.json"))
    assert Result.from_json(json.loads(file.read_text(encoding="utf-8")), "it") == result
    assert result.weights == run.last_weights()
    assert result.weights.step == 1600
    assert (result.body, result.episodes, result.interventions) == ("swimmer6", 3, [])
    assert result.conditions["task_options"]["reward"] == "paper"
    assert np.array_equal(result.metrics["return"], found.returns)
    assert json.loads(file.read_text(encoding="utf-8"))["intervals"]["return"]["mean"] == pytest.approx(
        found.returns.mean()
    )


def test_the_same_measured_again_is_the_same_file_and_more_episodes_are_another(run):
    evaluate(run, 3)
    files = {file: file.stat().st_mtime_ns for file in (run.path / "results").rglob("*.json")}
    evaluate(run, 3)
    assert files == {file: file.stat().st_mtime_ns for file in (run.path / "results").rglob("*.json")}
    for episodes in (4, 2):
        evaluate(run, episodes)
    assert run.results.current.where("evaluation").best.episodes == 4
    assert sorted(result.episodes for result in run.results) == [2, 3, 4]


def test_what_comes_out_otherwise_is_added_and_read_first(run):
    evaluate(run, 2)
    file = next((run.path / "results").rglob("evaluation.json"))
    held = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**held, "values": {"return": [1.0, 1.0]}, "version": "0.0.1"}), encoding="utf-8")
    found = evaluate(run, 2)
    assert [path.name for path in sorted(file.parent.iterdir())] == ["evaluation-2.json", "evaluation.json"]
    assert np.array_equal(run.results.current.best.metrics["return"], found.returns)


def test_weights_are_told_by_their_tensors(run):
    first = run.last_weights()
    tensors = run.load_checkpoint().weights
    assert Weights.of(1600, dict(reversed(tensors.items()))) == first
    assert not Weights.of(1600, {name: value + 1e-6 for name, value in tensors.items()}).are(first)
    assert not Weights.of(800, tensors).are(first)
    assert Weights(1600).are(first)


def test_what_was_measured_under_an_intervention_is_never_the_agents_own(run, tmp_path):
    own = evaluate(run, 4)
    lesioned = evaluate(run, 4, interventions=LESION)
    assert lesioned.returns.mean() < 0.9 * own.returns.mean()
    told = [result for result in run.results if result.interventions]
    assert told[0].interventions[0] == {"neuron": "B_d_1", "kind": "silence", "value": 0.0, "start": 0, "stop": None}
    # Measured last, and on more episodes: neither makes it the agent's own.
    evaluate(run, 5, interventions=LESION)
    assert measured(run) == pytest.approx(own.returns.mean())
    intact = probe(run, ("gait",), 2)["gait"].result.numbers["com_speed"]
    hurt = probe(run, ("gait",), 3, interventions=LESION)["gait"].result.numbers["com_speed"]
    render(run, run.path / "film-lesion.mp4", seconds=0.2, interventions=LESION)
    page = report(run).read_text(encoding="utf-8")
    assert f"{intact:.4g}" in page
    assert f"{hurt:.4g}" not in page
    assert "No film yet" in page
    assert "No film yet" in gallery(run, out=tmp_path / "gallery.html").read_text(encoding="utf-8")
    folder = export(run, tmp_path / "agent", film=False)
    assert json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["conditions"]["interventions"] == []
    other = train(RunConfig(steps=800, episode_steps=100, algorithm_options={"n_envs": 8}), tmp_path / "b", False)
    table = compare([run, other], tmp_path / "both", 4).table
    assert own.returns.mean() == pytest.approx(table["return_iqm"].iloc[0])


def test_probes_and_recordings_of_each_condition_have_a_folder_that_says_so(run):
    probe(run, ("gait",), 2)
    probe(run, ("gait",), 2, interventions=LESION)
    folders = sorted((run.path / "results").iterdir(), key=lambda folder: len(folder.name))
    assert {file.name for file in folders[0].iterdir()} == {
        "recording.json", "recording.nc", "gait.json", "gait.svg", "gait.npz",
    }  # fmt: skip
    assert folders[1].name.startswith("swimmer6-step-1600-2-episodes-silence-B_d_1-silence-B_v_1-")
    held = run.results.current.where("recording").best
    assert Recording.load(run.results.file(held, ".nc")).meta["interventions"] == []
    assert len(run.results.where("recording")) == 2


def test_what_training_has_left_behind_is_shown_as_stale(run, tmp_path):
    old = evaluate(run, 3).returns.mean()
    probe(run, ("gait",), 2)
    transfer(run, ("swimmer4",), 2)
    render(run, run.path / "film.mp4", seconds=0.2)
    assert "stale" not in report(run).read_text(encoding="utf-8")
    assert "--probes gait" not in report(run).read_text(encoding="utf-8")
    go_on(run)
    told = "stale: measured at step 1,600, trained on to 63,040"
    assert run.results.current.where("evaluation").best is None
    assert set(transfer_table(run).query("agent == 'trained'")["note"]) == {told}
    assert set(transfer_table(run).query("agent == 'untrained ncap'")["note"]) == {""}
    page = report(run).read_text(encoding="utf-8")
    # The return, the speed, both rows of transfer and its sentence, the film, the gait and its numbers.
    assert page.count(told) + page.count(told.capitalize()) >= 6
    assert f"nervecord probe {run.path} --probes gait" in page
    assert f"({told}; nervecord evaluate {run.path} measures it anew)" in page
    assert f"{old:,.0f}" in page
    assert told in gallery(run, out=tmp_path / "gallery.html").read_text(encoding="utf-8")
    new = evaluate(run, 2).returns.mean()
    assert abs(new - old) > 1
    assert run.results.shown.episodes == 2
    assert measured(run) == new


@pytest.mark.slow
def test_compare_and_export_measure_what_is_stale_anew(run, tmp_path):
    evaluate(run, 20)
    render(run, run.path / "film.mp4", seconds=0.2)
    before = (run.path / "film.mp4").read_bytes()
    go_on(run)
    other = train(RunConfig(steps=800, episode_steps=100, algorithm_options={"n_envs": 8}), tmp_path / "b", False)
    table = compare([run, other], tmp_path / "both", 3).table
    assert measured(run, episodes=3) == pytest.approx(table["return_iqm"].iloc[0])
    scores = read_scores(tmp_path / "both" / "results.sqlite")
    assert set(scores[(scores["source"] == str(run.path)) & (scores["stage"] == "trained")]["step"]) == {63_040}
    folder = export(run, tmp_path / "agent")
    told = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert told["weights"]["step"] == 63_040
    assert told["intervals"]["return"]["mean"] == pytest.approx(measured(run, episodes=3))
    assert (folder / "film.mp4").read_bytes() != before
    assert (run.path / "film.mp4").read_bytes() == before
    # What is current is taken as it is.
    assert told["conditions"]["episodes"] == 3


def test_an_imported_agent_brings_what_was_measured_of_it(run, tmp_path):
    found = evaluate(run, 3)
    back = import_run(export(run, tmp_path / "agent", film=False), tmp_path / "back")
    assert np.array_equal(back.results.current.where("evaluation").best.metrics["return"], found.returns)


def test_a_result_that_cannot_be_written_is_returned_and_said(run, capsys, caplog):
    # No permission stops root, but a file where the folder should be does.
    (run.path / "results").write_text("", encoding="utf-8")
    main(["evaluate", str(run.path), "--episodes", "2", "--json"])
    assert json.loads(capsys.readouterr().out)["return"]["n"] == 2
    assert "the evaluation is not kept" in caplog.text
    assert probe(run, ("gait",), 1)["gait"].result is not None
    assert transfer(run, ("swimmer4",), 1)["n"].tolist() == [1] * 4
    assert "the gait probe is not kept" in caplog.text


def test_what_earlier_versions_kept_is_read(tmp_path):
    run = Run(shutil.copytree(KEPT / "es-ncap", tmp_path / "old"))
    held = json.loads((run.path / "evaluation.json").read_text(encoding="utf-8"))
    result = run.results.current.where("evaluation").best
    assert result.metrics["return"].tolist() == held["episodes"]["return"]
    assert f"{held['return']['mean']:,.0f}" in report(run).read_text(encoding="utf-8")
    step = held["step"]
    about = {"source": "transfer", "study": "transfer", "trained_on": "swimmer6", "episode": 0, "metric": "return"}
    rows = [
        {**about, "agent": "trained", "stage": "trained", "step": step - 1, "body": "swimmer4", "value": 5.0},
        {**about, "agent": "untrained ncap", "stage": "untrained", "step": 0, "body": "swimmer4", "value": 3.0},
        {**about, "agent": "trained", "stage": "trained", "step": None, "body": "swimmer8", "episode": None,
         "metric": None, "note": "does not fit"},
    ]  # fmt: skip
    write_scores(run.path / "results.sqlite", pd.DataFrame(rows, columns=list(COLUMNS)))
    table = transfer_table(run).set_index(["body", "agent"])
    assert table.loc[("swimmer4", "trained"), "mean"] == 5
    assert table.loc[("swimmer4", "trained"), "note"].startswith(f"stale: measured at step {step - 1:,}")
    assert table.loc[("swimmer4", "untrained ncap"), "note"] == ""
    assert table.loc[("swimmer8", "trained"), "note"] == "does not fit"
    # A result of today's stands in its place.
    transfer(run, ("swimmer4",), 2)
    assert transfer_table(run).set_index(["body", "agent"]).loc[("swimmer4", "trained"), "n"] == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"what": "guess"}, "what is 'guess'; give evaluation, transfer"),
        ({"weights": {}}, "give step and sha256"),
        ({"weights": {"step": True, "sha256": ""}}, "give step and sha256"),
        ({"conditions": {"body": "swimmer6"}}, "no body or no episodes"),
        ({"conditions": {"body": "swimmer6", "episodes": 1}}, "no interventions, not even none"),
        ({"values": {"return": 3}}, "return is no list of numbers"),
        ({"values": {"return": ["high"]}}, "return is no list of numbers"),
        ({"numbers": {"speed": {"value": 1}}}, "give value and unit"),
        ({"words": [3]}, "no texts"),
        ({"when": None}, "when is None"),
    ],
)
def test_a_damaged_result_is_left_out_and_named_in_one_line(run, change, told, caplog):
    evaluate(run, 1)
    file = next((run.path / "results").rglob("*.json"))
    damaged = {**json.loads(file.read_text(encoding="utf-8")), **change}
    evaluate(run, 2)
    file.write_text(json.dumps(damaged), encoding="utf-8")
    assert [result.episodes for result in run.results] == [2]
    (line,) = caplog.messages
    assert f"{file} is damaged: " in line
    assert told in line
    assert line.endswith("; remove it, and measure again; the other results are used")
    assert "\n" not in line


def test_a_damaged_result_loses_nothing_that_is_measured_now(run, capsys):
    evaluate(run, 1)
    file = next((run.path / "results").rglob("*.json"))
    file.write_text("{", encoding="utf-8")
    main(["evaluate", str(run.path), "--episodes", "1", "--json"])
    assert json.loads(capsys.readouterr().out)["return"]["n"] == 1
    file.unlink()
    assert len(run.results) == 1


def test_each_of_several_bodies_is_another_condition_than_all_of_them(tmp_path):
    config = RunConfig(bodies=("swimmer6", "swimmer6-heavy"), steps=400, episode_steps=50,
                       algorithm_options={"n_envs": 4})  # fmt: skip
    run = train(config, tmp_path / "both", progress=False)
    evaluate(run, 2)
    evaluate(run, 2, body="swimmer6")  # as it was measured with the others
    told = [(result.what, result.body, len(result.conditions["bodies"])) for result in run.results]
    assert told == [("transfer", "swimmer6", 1), ("transfer", "swimmer6-heavy", 1),
                    ("evaluation", "swimmer6 + swimmer6-heavy", 2)]  # fmt: skip


# A chain of two links whose motor's range lanes do not cover.
WIDE = """<mujoco><option timestep="0.005" density="1000"><flag contact="disable"/></option><worldbody>
<body name="a"><joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/><joint type="hinge" axis="0 0 1"/>
<geom type="capsule" fromto="0 0 0 .2 0 0" size=".02"/>
<body name="b"><joint name="j0" type="hinge" axis="0 0 1" limited="true" range="-60 60"/>
<geom type="capsule" fromto="0 0 0 -.2 0 0" size=".02"/></body></body></worldbody><actuator>
<motor joint="j0" gear="0.01" ctrllimited="true" ctrlrange="-2 2"/></actuator></mujoco>"""


def test_a_run_on_lanes_is_measured_on_mujoco_where_lanes_do_not_cover_the_body(run):
    body = XmlBody.from_text("wide", WIDE)
    assert evaluate(run, 2, body=body).n == 2
    evaluate(run, 2, body="swimmer4")
    told = {result.body: result.conditions["physics"] for result in run.results}
    assert told == {"wide": "mujoco", "swimmer4": "lanes"}


@pytest.mark.parametrize("text", ["[]", "3", "null", "{", "{}"])
def test_what_is_no_result_blocks_no_other(run, text, capsys, caplog):
    evaluate(run, 1)
    file = next((run.path / "results").rglob("*.json"))
    evaluate(run, 2)
    file.write_text(text, encoding="utf-8")
    main(["results", str(run.path), "--json"])
    assert [each["episodes"] for each in json.loads(capsys.readouterr().out)["results"]] == [2]
    assert f"{file} is damaged: " in caplog.text
    assert report(run).exists()


@pytest.mark.parametrize("linked", [False, True])
def test_a_file_outside_the_run_is_no_file_of_a_result(run, tmp_path, linked):
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    render(run, run.path / "film.mp4", seconds=0.2)
    film = run.results.where("film").best
    file = next((run.path / "results").rglob("film.json"))
    if linked:
        (run.path / "film.mp4").unlink()
        (run.path / "film.mp4").symlink_to(tmp_path / "secret.mp4")
    else:
        file.write_text(json.dumps({**film.to_json(), "files": ["../secret.mp4"]}), encoding="utf-8")
        (run.path / "film.mp4").unlink()
    assert "No film yet" in report(run).read_text(encoding="utf-8")


def test_a_table_of_all_results_is_built_when_asked(run, tmp_path, capsys):
    evaluate(run, 2)
    evaluate(run, 2, interventions=LESION)
    probe(run, ("gait",), 1)
    go_on(run)
    table = run.results.table()
    assert table["is_stale"].all()
    assert set(table["interventions"]) == {"", "silence B_d_1; silence B_v_1"}
    assert table[(table["name"] == "gait") & (table["metric"] == "frequency")]["unit"].tolist() == ["Hz"]
    main(["results", str(run.path), "--out", str(tmp_path / "all.csv"), "--json"])
    assert len(json.loads(capsys.readouterr().out)["results"]) == 4
    assert len(pd.read_csv(tmp_path / "all.csv")) == len(table)
    main(["results", str(run.path), "--out", str(tmp_path / "all.sqlite")])
    with sqlite3.connect(tmp_path / "all.sqlite") as connection:
        assert len(pd.read_sql("SELECT * FROM results", connection)) == len(table)
    with pytest.raises(SystemExit):
        main(["results", str(run.path), "--out", str(tmp_path / "all.csv")])
    assert "give another --out" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["results", str(run.path), "--out", str(tmp_path / "all.txt")])
    assert "unknown format of a table" in capsys.readouterr().err


def test_pandas_reads_scores_in_one_line(tmp_path):
    rows = pd.DataFrame([{"source": "run-0", "episode": 0, "value": 1.5}], columns=list(COLUMNS))
    write_scores(tmp_path / "results.sqlite", rows)
    with sqlite3.connect(tmp_path / "results.sqlite") as connection:
        table = pd.read_sql("SELECT * FROM scores", connection)
    assert list(table.columns) == list(COLUMNS)
    assert table.loc[0, ["source", "value"]].tolist() == ["run-0", 1.5]
    assert table["body"].isna().all()
    assert read_scores(tmp_path / "none.sqlite").empty


def test_a_file_that_holds_no_scores_is_one_line(tmp_path):
    for content in (b"no database, but long enough to be looked at as one by SQLite" * 20, b""):
        (tmp_path / "text").write_bytes(content)
        with pytest.raises(InvalidRun, match="has no readable scores"):
            read_scores(tmp_path / "text")
