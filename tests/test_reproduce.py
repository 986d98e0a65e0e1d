"""Ablations and the paper's reproduction: everything is measured, kept, judged, and goes on where it stopped."""

import dataclasses
import json
import sqlite3

import numpy as np
import pandas as pd
import pytest
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch, InvalidRun, OutputExists, UnknownName
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.score_table import read_scores
from nervecord.training.studies.ablations import ablate, lattice
from nervecord.training.studies.ncap_paper import reproduction as module
from nervecord.training.studies.ncap_paper.claims import Findings
from nervecord.training.studies.ncap_paper.reproduction import SCALES, Scale, reproduce

TINY = Scale(
    {"es": (2, 1600, 800), "ppo": (2, 2048, 2048), "ddpg": (2, 600, 600)}, ("NCAP",), ("es",), 2, 1600,
    ("swimmer4", "swimmer6-eel"), ("swimmer4", "swimmer6-eel"), 1, 1600, 2,
)  # fmt: skip


def test_the_lattice_is_every_choice_and_every_part():
    labels = list(lattice())
    assert len(labels) == 10
    assert labels[0] == "shared, signed, constant"
    assert labels[-2:] == ["no proprioception", "no oscillator"]
    assert len({json.dumps(options, sort_keys=True) for options in lattice().values()}) == 10


@pytest.fixture(scope="module")
def ablated(tmp_path_factory):
    out = tmp_path_factory.mktemp("ablation")
    config = RunConfig(steps=1600, episode_steps=100, algorithm_options={"n_envs": 8})
    return config, out, ablate(config, out, seeds=2, episodes=2, workers=2, progress=False)


def test_ablations_tell_what_each_part_is_worth(ablated):
    _, out, table = ablated
    assert table["agent"].tolist() == list(lattice())
    assert table["weights"].tolist() == [4, 4, 4, 4, 30, 30, 30, 30, 3, 3]
    assert (table["seeds"] == 2).all()
    whole = table.iloc[0]
    assert whole["untrained"] > 2 * table.set_index("agent").loc["no proprioception", "untrained"]
    scores = pd.read_sql("SELECT * FROM scores", sqlite3.connect(out / "results.sqlite"))
    rows = scores[(scores["agent"] == whole["agent"]) & (scores["metric"] == "return") & (scores["stage"] == "trained")]
    assert rows.groupby("seed")["value"].mean().mean() == pytest.approx(whole["trained"])
    assert "no oscillator" in (out / "ablation.svg").read_text()


def test_ablations_go_on_where_they_stopped(ablated, monkeypatch):
    config, out, table = ablated
    monkeypatch.setattr("nervecord.training.studies.trials.measure", None)
    pd.testing.assert_frame_equal(ablate(config, out, seeds=2, episodes=2, workers=2, progress=False), table)
    with pytest.raises(InvalidRun, match="holds another run"):
        ablate(dataclasses.replace(config, steps=800), out, seeds=2, progress=False)


def test_a_table_of_the_users_is_kept(tmp_path):
    (tmp_path / "ablation.csv").write_text("mine")
    with pytest.raises(OutputExists, match=r"ablation\.csv exists and no ablation wrote it"):
        ablate(RunConfig(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ablation.csv"]
    assert (tmp_path / "ablation.csv").read_text() == "mine"


def test_what_has_no_such_parts_is_one_line(tmp_path):
    with pytest.raises(CircuitMismatch, match="ablate takes ncap; mlp has no such parts"):
        ablate(RunConfig("mlp"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCALES, "tiny", TINY)
        config, ablations = module._config, module.ablation_trials
        options = {"es": {"n_envs": 8}, "ppo": {"n_steps": 256}, "ddpg": {"learning_starts": 500}}

        def shortened(config, episode_steps):
            return dataclasses.replace(config, episode_steps=episode_steps, algorithm_options=options[config.algorithm])

        # Long enough for a gait where one is measured.
        patch.setattr(module, "_config", lambda *arguments: shortened(config(*arguments), 200))
        patch.setattr(module, "ablation_trials", lambda base, seeds: ablations(shortened(base, 100), seeds))
        out = tmp_path_factory.mktemp("paper") / "out"
        return out, reproduce(out, "tiny", workers=2, progress=False)


def test_a_reproduction_judges_every_claim(reproduced):
    out, claims = reproduced
    assert len(claims) == 10
    assert set(claims["verdict"]) <= {"holds", "partly", "not"}
    assert claims["verdict"].iloc[0] in ("holds", "partly")
    page = (out / "report.md").read_text()
    for name in ("curves-paper", "curves-com", "profiles", "ablation", "transfer", "waves"):
        assert f"({name}.svg)" in page
        assert (out / f"{name}.svg").read_text().startswith("<svg")
    assert "nan" not in page.lower()


def test_every_score_of_a_reproduction_is_in_the_store(reproduced):
    out, _ = reproduced
    scores = read_scores(out / "results.sqlite")
    curves = scores[(scores["study"] == "curves") & (scores["reward"] == "paper")]
    trained = curves[(curves["stage"] == "trained") & (curves["metric"] == "return")]
    assert trained.groupby(["agent", "algorithm"])["seed"].nunique().eq(2).all()
    assert trained.groupby(["agent", "algorithm"]).ngroups == 12
    assert set(trained[trained["algorithm"] == "ppo"]["body"]) == {"swimmer6", "swimmer4", "swimmer6-eel"}
    assert scores[(scores["study"] == "finetune")]["source"].nunique() == 4
    found = Findings(scores)
    ncap = trained[(trained["agent"] == "NCAP") & (trained["algorithm"] == "es") & (trained["body"] == "swimmer6")]
    assert found.iqm("NCAP", "es").mean == pytest.approx(ncap.groupby("seed")["value"].mean().mean())


def test_a_reproduction_done_is_not_done_again(reproduced, monkeypatch):
    out, claims = reproduced
    monkeypatch.setitem(SCALES, "tiny", TINY)
    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/**/*.safetensors")}
    stored = json.loads((out / "reproduction.json").read_text())
    assert stored == {"of": "ncap", "scale": "tiny"}
    with pytest.raises(InvalidRun, match="at scale 'tiny'"):
        reproduce(out, "smoke", progress=False)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert len(claims) == 10


def test_steps_to_a_return_count_seeds_that_never_reach_it():
    rows = [
        {"source": f"s{seed}", "study": "curves", "agent": "NCAP", "algorithm": "es", "reward": "paper", "seed": seed,
         "trained_on": "swimmer6", "stage": "training", "metric": "return", "body": "swimmer6", "weights": 4,
         "step": step, "value": value}
        for seed, values in enumerate([(1, 5, 9), (1, 2, 9), (1, 2, 3)])
        for step, value in zip((0, 10, 20), values, strict=True)
    ]  # fmt: skip
    found = Findings(pd.DataFrame(rows).assign(episode=np.nan, note=None))
    assert found.steps_to("NCAP", "es", "paper", 5) == (20.0, 2, 3)
    assert found.steps_to("NCAP", "es", "paper", 100) == (np.inf, 0, 3)


def test_wrong_input_is_one_line(tmp_path, capsys):
    with pytest.raises(UnknownName, match="unknown scale 'smal'; did you mean 'small'"):
        reproduce(tmp_path / "out", "smal")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExists):
        reproduce(tmp_path / "mine", "smoke")
    with pytest.raises(SystemExit):
        main(["reproduce", "ctm", "--out", str(tmp_path / "out")])
    assert "unknown paper 'ctm'" in capsys.readouterr().err
