"""Results by start distance, and the share of successes, wherever episodes are measured."""

import numpy as np
import pytest
from nervecord.cli.main import main
from nervecord.envs.tasks.registry import TASKS
from nervecord.pages.reports import report
from nervecord.training.learning.training import train
from nervecord.training.rollouts.evaluation import Evaluation, evaluate, over_bodies
from nervecord.training.runs.config import RunConfig
from nervecord.training.studies.transfers import transfer


def test_scores_are_told_apart_by_stratum():
    bound = np.array([0.0, 1.5, 0.0, 1.5])
    found = Evaluation({"return": np.arange(4.0), "reached": np.array([1.0, 0.0, 1.0, 1.0]), "stratum": bound})
    assert {least: each.metrics["reached"].mean() for least, each in found.strata.items()} == {0.0: 1.0, 1.5: 0.5}
    assert found.to_json()["strata"]["1.5"]["return"]["mean"] == 2.0
    assert "stratum" not in over_bodies({"a": found, "b": found}).metrics
    alone = Evaluation({"return": np.arange(2.0), "stratum": np.zeros(2)})
    assert alone.strata == {}
    assert "strata" not in alone.to_json()
    assert Evaluation({"return": np.arange(2.0)}).strata == {}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = RunConfig("navigator", "es", task="forage", steps=160, episode_steps=20, algorithm_options={"n_envs": 8})
    return train(config, tmp_path_factory.mktemp("runs") / "forage", progress=False)


def test_a_run_is_measured_by_its_tasks_success(run, capsys):
    found = evaluate(run, 12)
    assert set(found.strata) == {0.0, 0.5, 1.5} & set(found.metrics["stratum"])
    assert main(["evaluate", str(run.path), "--episodes", "12"]) in (0, None)
    said = capsys.readouterr().out
    assert "eaten" in said
    assert "from 1.5 body lengths" in said
    assert "stratum" not in said
    table = transfer(run, ["swimmer4"], 4)
    own = table[(table["body"] == "swimmer6") & (table["agent"] == "trained")].iloc[0]
    assert own["success"] == pytest.approx(evaluate(run, 4).metrics["reached"].mean())
    assert table["success"].notna().all()
    page = report(run).read_text(encoding="utf-8")
    assert ">success<" in page
    assert 'id="path"' in page


@pytest.mark.parametrize("name", [name for name in TASKS if TASKS[name].success])
def test_a_success_is_one_of_the_tasks_metrics(name):
    from nervecord.envs import EnvBatch

    envs = EnvBatch(name, 2, n_threads=1)
    envs.seed([1, 2])
    envs.reset(np.arange(2))
    assert TASKS[name].success in envs.metrics()
    assert set(TASKS[name].metric_units) <= set(envs.metrics())
