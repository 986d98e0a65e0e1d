"""Returns beside those of random actions and of the best agent known, wherever both were measured."""

import dataclasses
import json
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
from nervecord import RunConfig, compare, evaluate, report, train, transfer
from nervecord.cli.main import main
from nervecord.cli.parsing import parse
from nervecord.cli.run_commands import Evaluate, Train
from nervecord.envs import Swimmer, make_body
from nervecord.envs.tasks.registry import option_defaults
from nervecord.errors import UnknownName
from nervecord.training.learning import untrained
from nervecord.training.runs import Run, normalized_return, reference_scores
from nervecord.training.runs.references import options_text, scale_of
from nervecord.training.runs.shipped import SHIPPED

GROUP = ["body", "task", "task_options"]
SHORT = RunConfig(steps=400, episode_steps=50, algorithm_options={"n_envs": 8})


def score(body: str, agent: str | None = None) -> float:
    rows = reference_scores().query("task == 'swim'")
    rows = rows[(rows["body"] == body) & rows["task_options"].str.contains("paper")]
    return rows[rows["is_best"] if agent is None else rows["agent"] == agent]["return_iqm"].item()


@pytest.fixture(scope="module")
def ncap(tmp_path_factory) -> Run:
    """Open a copy of an agent that comes along, beside which results may be written."""
    folder = tmp_path_factory.mktemp("runs") / "ncap"
    shutil.copytree(SHIPPED / "ncap", folder)
    return Run(folder)


def test_each_body_and_task_has_random_actions_untrained_ncap_and_one_best():
    table = reference_scores()
    assert len(table)
    for (body, task, options), rows in table.groupby(GROUP):
        assert make_body(body).name == body
        assert options == options_text({**option_defaults(task), **json.loads(options)})
        assert {"random", "ncap, untrained"} < set(rows["agent"])
        best = rows[rows["is_best"]]
        assert best["return_iqm"].item() == rows["return_iqm"].max()
        assert (rows["seeds"] * rows["episodes"] >= 20).all()
        assert set(rows["physics"]) <= {"lanes", "mujoco"}
    assert table[[*GROUP, "agent"]].duplicated().sum() == 0


def test_the_commands_of_rows_are_commands():
    for command in reference_scores()["command"].str.replace("SEED", "0").unique():
        program, *words = shlex.split(command)
        if program == "nervecord":
            parse({"": {"train": Train, "evaluate": Evaluate}}, words).check()


def test_random_actions_have_0_and_the_best_has_1():
    low, high = score("swimmer6", "random"), score("swimmer6")
    assert normalized_return(low, "swimmer6") == 0
    assert normalized_return(high, "swimmer6", "swim", {"reward": "paper"}) == 1
    found = normalized_return(np.array([[low, high], [low - 1, high + 1]]), make_body("swimmer6"))
    assert found.shape == (2, 2)
    assert found[1, 0] < 0 < 1 < found[1, 1]


def test_the_row_of_untrained_ncap_is_what_it_returns():
    with untrained(RunConfig()) as run:
        assert evaluate(run).mean_return.mean == pytest.approx(score("swimmer6", "ncap, untrained"), abs=0.01)


def test_where_nobody_measured_it_says_so():
    with pytest.raises(UnknownName, match=r"unknown reference score 'swimmer7 swim'; .*known: .*swimmer6 swim"):
        normalized_return(1.0, "swimmer7")
    with pytest.raises(UnknownName, match=r"'swimmer6 swim desired_speed=0\.2'"):
        normalized_return(1.0, "swimmer6", task_options={"desired_speed": 0.2})
    with pytest.raises(UnknownName, match="reference score"):
        normalized_return(1.0, Swimmer(name="swimmer6", n_links=6, link_mass=1.0))
    with pytest.raises(UnknownName, match="unknown task 'swmi'"):
        normalized_return(1.0, "swimmer6", "swmi")


def test_an_evaluation_has_it_where_body_task_and_length_are_those_of_a_row(ncap):
    found = evaluate(ncap, 4)
    assert found.normalized_return.mean == pytest.approx(normalized_return(found.mean_return.mean, "swimmer6"))
    assert found.to_json()["normalized_return"]["low"] < found.normalized_return.mean
    assert evaluate(ncap, 2, body="swimmer7").normalized_return is None
    for other in ({"episode_steps": 50}, {"arena": {"name": "open", "medium": {"density": 2000, "viscosity": 0}}},
                  {"task_options": {"desired_speed": 0.2}}, {"control_dt": 0.06}):  # fmt: skip
        with untrained(dataclasses.replace(RunConfig(), **other)) as run:
            assert evaluate(run, 1).to_json()["normalized_return"] is None


def test_results_of_earlier_versions_and_of_strangers_have_none(ncap):
    conditions = ncap.results.current.where("evaluation").best.conditions
    assert scale_of(conditions) is not None
    for name, value in (("bodies", None), ("bodies", []), ("bodies", [3]), ("task", 3), ("task_options", "x"),
                        ("episode_steps", 3), ("body", "nope"), ("arena", 3)):  # fmt: skip
        assert scale_of({**conditions, name: value}) is None
    assert scale_of({"body": "swimmer6", "episodes": 3}) is None


def test_evaluate_transfer_compare_and_report_show_it(ncap, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["evaluate", str(ncap.path), "--episodes", "2"])
    assert "normalized_return  0." in capsys.readouterr().out
    table = transfer(ncap, ["swimmer7"], episodes=2)
    own = table[table["body"] == "swimmer6"]
    assert list(own["normalized"]) == pytest.approx([normalized_return(mean, "swimmer6") for mean in own["mean"]])
    assert table[table["body"] == "swimmer7"]["normalized"].isna().all()
    compared = compare([SHIPPED / "ncap", SHIPPED / "relay"], "compared").table
    assert list(compared["normalized_iqm"]) == [
        pytest.approx(normalized_return(each, "swimmer6")) for each in compared["return_iqm"]
    ]
    assert "normalized, 0 random, 1 best known" in (tmp_path / "compared" / "table.md").read_text(encoding="utf-8")
    page = report(ncap).read_text(encoding="utf-8")
    assert "of the way from random actions to the best agent known" in page


def test_a_comparison_without_it_has_an_empty_column_and_prints_none(tmp_path):
    runs = [train(dataclasses.replace(SHORT, seed=seed), tmp_path / str(seed), progress=False) for seed in (0, 1)]
    table = compare(runs, tmp_path / "out", episodes=1).table
    assert table["normalized_iqm"].isna().all()
    assert "normalized" not in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert pd.read_csv(tmp_path / "out" / "table.csv")["normalized_iqm"].isna().all()
