"""Comparisons of runs: groups, intervals, curves, and what is refused."""

import dataclasses
import json

import pandas as pd
import pytest
from nervecord.cli.main import main
from nervecord.errors import InvalidOption, OutputExists, UnknownName
from nervecord.training.learning.training import train
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from nervecord.training.runs.score_table import read_scores
from nervecord.training.studies.comparisons import compare

SMALL = RunConfig(steps=1600, episode_steps=50, algorithm_options={"n_envs": 8}, checkpoint_every=800)


def means_in(out) -> pd.DataFrame:
    scores = read_scores(out / "results.sqlite", "comparison")
    returns = scores[(scores["metric"] == "return") & (scores["stage"] == "trained")]
    return returns.groupby(["agent", "source"], sort=False)["value"].mean().rename("return").reset_index()


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Run]:
    folder = tmp_path_factory.mktemp("runs")
    configs = [
        *(dataclasses.replace(SMALL, seed=seed) for seed in (0, 1)),
        *(dataclasses.replace(SMALL, seed=seed, circuit_options={"period": 40}) for seed in (0, 1)),
    ]
    return [train(config, folder / str(index), progress=False) for index, config in enumerate(configs)]


def test_seeds_of_one_config_are_one_group_named_by_what_differs(runs, tmp_path):
    found = compare(runs, tmp_path / "out", episodes=2)
    assert found.table["group"].tolist() == ["period 60", "period 40"]
    assert found.table["seeds"].tolist() == [2, 2]
    each = means_in(tmp_path / "out")
    for row in found.table.itertuples():
        returns = each[each["agent"] == row.group]["return"]
        assert row.return_iqm == pytest.approx(returns.mean()), "the IQM of two is their mean"
        assert returns.min() <= row.return_low95 <= row.return_high95 <= returns.max()
    assert (tmp_path / "out" / "curves.svg").read_text(encoding="utf-8").count("(n = 2)") == 2
    measured = runs[0].results.current.where("evaluation", episodes=2).best
    assert each.set_index("source").loc[str(runs[0].path), "return"] == pytest.approx(measured.intervals["return"].mean)


def test_a_group_beats_the_first_as_often_as_its_seeds_do(runs, tmp_path):
    found = compare(runs, tmp_path / "out", episodes=2).table
    each = means_in(tmp_path / "out")
    first, second = (each[each["agent"] == group]["return"].to_numpy() for group in found["group"])
    assert found["p_better"].iloc[1] == (second[:, None] > first).mean()
    assert found["compared_with"].tolist() == ["", "period 60"]


def test_a_comparison_is_written_for_papers(runs, tmp_path):
    compare(runs, tmp_path / "out", episodes=2, labels={"period 40": "fast", "period 60": "slow & steady"})
    files = ["table.csv", "table.md", "table.tex", "curves.svg", "curves.pdf", "curves.png"]
    assert all((tmp_path / "out" / name).stat().st_size for name in files)
    head, _, *rows = (tmp_path / "out" / "table.md").read_text(encoding="utf-8").splitlines()
    assert head == ("| group | seeds | return, IQM [95 % interval] | net speed, mean, m/s "
                    "| P(return above slow & steady) [95 % interval] |")  # fmt: skip
    assert [row.split(" | ")[0] for row in rows] == ["| slow & steady", "| fast"]
    tex = (tmp_path / "out" / "table.tex").read_text(encoding="utf-8")
    assert r"slow \& steady & 2 &" in tex
    assert r"[95 \% interval]" in tex
    again = (tmp_path / "out" / "curves.pdf").read_bytes()
    compare(runs, tmp_path / "out", episodes=2, labels={"period 40": "fast", "period 60": "slow & steady"})
    assert (tmp_path / "out" / "curves.pdf").read_bytes() == again
    with pytest.raises(UnknownName, match="unknown group 'period 4'; did you mean 'period 40'"):
        compare(runs, tmp_path / "out", labels={"period 4": "fast"})
    with pytest.raises(InvalidOption, match="two groups are called 'period 60'"):
        compare(runs, tmp_path / "out", labels={"period 40": "period 60"})


def test_what_cannot_be_compared_is_one_line(runs, tmp_path):
    with pytest.raises(InvalidOption, match="1 run to compare; give two or more"):
        compare(runs[:1], tmp_path / "out")
    with pytest.raises(InvalidOption, match=r"seed 0 .* occurs twice"):
        compare([runs[0], runs[0]], tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists):
        compare(runs, tmp_path / "mine")


def test_the_command_line_compares(runs, tmp_path, capsys):
    main(["compare", *(str(run.path) for run in runs), "--out", str(tmp_path / "out"), "--json"])
    assert len(json.loads(capsys.readouterr().out)) == 2
