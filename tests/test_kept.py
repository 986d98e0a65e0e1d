"""What was measured or written before is kept: longer evaluations, other bodies, files of the user's; JSON is JSON."""

import dataclasses
import json
import math

import pandas as pd
import pytest
from nervecord.cli.main import main
from nervecord.errors import OutputExists
from nervecord.files import json_text
from nervecord.pages.page_data import learning_data
from nervecord.pages.reports import gallery, report
from nervecord.training.learning.training import train
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from nervecord.training.runs.score_table import COLUMNS, write_scores
from nervecord.training.studies.comparisons import compare
from nervecord.training.studies.transfers import transfer, transfer_table

SMALL = RunConfig(steps=400, episode_steps=50, algorithm_options={"n_envs": 8})


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Run]:
    folder = tmp_path_factory.mktemp("runs")
    return [train(dataclasses.replace(SMALL, seed=seed), folder / str(seed), progress=False) for seed in (0, 1)]


@pytest.fixture
def run(tmp_path) -> Run:
    return train(SMALL, tmp_path / "run", progress=False)


def strictly(text: str):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_transfer_keeps_other_bodies_and_shows_what_has_most_episodes(run):
    transfer(run, ("swimmer4",), episodes=3)
    found = transfer(run, ("swimmer8",), episodes=2)
    assert set(found["n"]) == {2}
    assert set(found["body"]) == {"swimmer6", "swimmer8"}
    held = transfer_table(run).groupby("body")["n"].max().to_dict()
    assert held == {"swimmer6": 3, "swimmer4": 3, "swimmer8": 2}
    assert len(transfer_table(run)) == 6


def test_one_episode_is_told_without_an_interval_everywhere(run, capsys):
    main(["evaluate", str(run.path), "--episodes", "1", "--json"])
    assert strictly(capsys.readouterr().out)["return"]["low"] is None
    kept = next((run.path / "results").rglob("evaluation.json"))
    assert strictly(kept.read_text(encoding="utf-8"))["intervals"]["return"]["low"] is None
    transfer(run, ("swimmer4",), episodes=1)
    page = report(run).read_text(encoding="utf-8")
    assert "one episode, no interval" in page
    assert "nan" not in page.split("<script>")[0].split("</style>")[1].split("<svg")[0]
    assert "nan to nan" not in page
    main(["export", str(run.path), "--out", str(run.path.parent / "out"), "--no-film"])
    assert "| none | 1 |" in (run.path.parent / "out" / "README.md").read_text(encoding="utf-8")


def test_json_has_null_where_a_number_is_not_finite():
    assert strictly(json_text({"a": [math.nan, 1.0], "b": (math.inf,)})) == {"a": [None, 1.0], "b": [None]}


@pytest.mark.parametrize(
    "write",
    [
        lambda runs, out: report(runs[0], out=out),
        lambda runs, out: gallery(*runs, out=out),
        lambda runs, out: compare(runs, out, episodes=2),
    ],
    ids=["report", "gallery", "compare"],
)
def test_files_of_the_users_stay_and_ones_own_are_written_anew(write, runs, tmp_path):
    mine = tmp_path / "mine.html"
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists, match="give another --out"):
        write(runs, mine)
    assert mine.read_text(encoding="utf-8") == "mine"
    with pytest.raises(OutputExists):
        write(runs, runs[0].path)
    for _ in range(2):
        write(runs, tmp_path / "own.html")


def test_a_report_and_a_gallery_do_not_replace_each_other(runs, tmp_path):
    report(runs[0], out=tmp_path / "page.html")
    with pytest.raises(OutputExists, match="is not a page of nervecord gallery"):
        gallery(*runs, out=tmp_path / "page.html")


def test_a_comparison_stays_out_of_a_folder_with_other_scores(runs, tmp_path):
    row = {"source": "transfer", "study": "transfer", "metric": "return", "value": 1.0}
    write_scores(tmp_path / "other" / "results.sqlite", pd.DataFrame([row], columns=list(COLUMNS)))
    with pytest.raises(OutputExists, match="holds no comparison"):
        compare(runs, tmp_path / "other", episodes=2)


def test_a_curve_leaves_out_what_is_no_number():
    table = pd.DataFrame({"step": [1, 2, 3], "metric": "rollout/ep_rew_mean", "value": [math.nan, 5.0, math.inf]})
    lines = strictly(learning_data({"run": table}))["lines"]
    assert [(line["x"], line["y"]) for line in lines] == [([2], [5.0])]
