"""Ablations and the paper's reproduction: everything is measured, kept, judged, and goes on where it stopped."""

import dataclasses
import json
import sqlite3

import numpy as np
import pandas as pd
import pytest
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch, InvalidOption, InvalidRun, OutputExists, UnknownName
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.score_table import read_scores
from nervecord.training.studies.ablations import ablate, ablation_table, lattice
from nervecord.training.studies.ncap_paper.claims import _as_good_as_an_mlp
from nervecord.training.studies.ncap_paper.findings import Findings
from nervecord.training.studies.ncap_paper.ingredients import PAIRS, ingredients_table
from nervecord.training.studies.ncap_paper.plan import ARMS, MLP, SCALES, Budget, Scale, first_trials
from nervecord.training.studies.ncap_paper.reproduction import reproduce

TINY = Scale(
    {
        "es": Budget(2, 1600, 800, ("NCAP", "along", MLP)),
        "ppo": Budget(2, 2048, 2048, ("NCAP", "along", "along, each joint alone", MLP), {MLP: 1024}),
    },
    {"es": Budget(2, 1600, 800, ("NCAP", MLP))},
    {"es": Budget(2, 1600, 800, ("NCAP",))},
    (1, 1600), ("swimmer4", "swimmer6-eel"), ("swimmer4",), (1, 1600), 2,
)  # fmt: skip


def test_the_lattice_is_every_choice_and_every_part():
    labels = list(lattice())
    assert len(labels) == 10
    assert labels[0] == "shared, signed, constant"
    assert labels[-2:] == ["no proprioception", "no oscillator"]
    assert len({json.dumps(options, sort_keys=True) for options in lattice().values()}) == 10


def test_an_ablation_of_agents_that_started_from_another_run_has_their_scores():
    of = {"agent": next(iter(lattice())), "weights": 4, "metric": "return", "episode": 0}
    rows = [{**of, "stage": stage, "seed": seed, "value": 10.0 * after + seed}
            for seed in range(3) for after, stage in enumerate(("untrained", "finetuned"))]  # fmt: skip
    row = ablation_table(pd.DataFrame(rows)).iloc[0]
    assert (row["seeds"], row["untrained"], row["trained"]) == (3, 1.0, 11.0)


@pytest.fixture(scope="module")
def ablated(tmp_path_factory):
    out = tmp_path_factory.mktemp("ablation")
    config = RunConfig(steps=1600, episode_steps=100, algorithm_options={"n_envs": 8})
    return config, out, ablate(config, out, seeds=2, episodes=2, workers=1, progress=False)


@pytest.mark.slow
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
    assert "no oscillator" in (out / "ablation.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_ablations_go_on_where_they_stopped(ablated):
    config, out, table = ablated
    before = {path: path.stat().st_mtime_ns for path in out.glob("**/*.safetensors")}
    assert before
    pd.testing.assert_frame_equal(ablate(config, out, seeds=2, episodes=2, workers=1, progress=False), table)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    with pytest.raises(InvalidRun, match="holds another run"):
        ablate(dataclasses.replace(config, steps=800), out, seeds=2, progress=False)


def test_a_table_of_the_users_is_kept(tmp_path):
    (tmp_path / "ablation.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists, match=r"ablation\.csv exists and no ablation wrote it"):
        ablate(RunConfig(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ablation.csv"]
    assert (tmp_path / "ablation.csv").read_text(encoding="utf-8") == "mine"


def test_ranges_that_no_environment_takes_are_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(UnknownName, match="unknown randomisation 'mass'"):
        ablate(RunConfig(randomize={"mass": (0.8, 1.2)}), tmp_path / "out", seeds=1, episodes=1, progress=False)
    assert not (tmp_path / "out").exists()


def test_what_has_no_such_parts_is_one_line(tmp_path):
    with pytest.raises(CircuitMismatch, match="ablate takes ncap; mlp has no such parts"):
        ablate(RunConfig("mlp"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    out = tmp_path_factory.mktemp("paper") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCALES, "tiny", TINY)
        yield out, reproduce(out, "tiny", workers=1, progress=False)


@pytest.mark.release
@pytest.mark.slow
def test_a_reproduction_judges_every_claim(reproduced):
    out, claims = reproduced
    assert len(claims) == 17
    assert claims["verdict"].isin(["holds", "partly", "does not hold", "not tried"]).all()
    assert claims["verdict"].iloc[0] in ("holds", "partly")
    page = (out / "report.md").read_text(encoding="utf-8")
    for name in ("curves-paper", "curves-com", "profiles", "ablation", "transfer", "waves"):
        assert f"({name}.svg)" in page
        assert (out / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "nan" not in page.lower()


@pytest.mark.release
@pytest.mark.slow
def test_every_score_of_a_reproduction_is_in_the_store(reproduced):
    out, _ = reproduced
    scores = read_scores(out / "results.sqlite")
    curves = scores[(scores["study"] == "curves") & (scores["reward"] == "paper")]
    trained = curves[(curves["stage"] == "trained") & (curves["metric"] == "return")]
    assert trained.groupby(["agent", "algorithm"])["seed"].nunique().eq(2).all()
    assert trained.groupby(["agent", "algorithm"]).ngroups == 7
    assert set(trained[trained["algorithm"] == "ppo"]["body"]) == {"swimmer6", "swimmer4", "swimmer6-eel"}
    assert scores[(scores["study"] == "finetune")]["source"].nunique() == 3
    found = Findings(scores)
    ncap = trained[(trained["agent"] == "NCAP") & (trained["algorithm"] == "es") & (trained["body"] == "swimmer6")]
    assert found.iqm("NCAP", "es").mean == pytest.approx(ncap.groupby("seed")["value"].mean().mean())


@pytest.mark.release
@pytest.mark.slow
def test_a_reproduction_done_is_not_done_again(reproduced):
    out, claims = reproduced
    assert json.loads((out / "reproduction.json").read_text(encoding="utf-8")) == {"of": "ncap", "scale": "tiny"}
    files = [*out.glob("runs/**/*.safetensors"), *out.glob("trials/**/*.json")]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert len(before) > 50
    pd.testing.assert_frame_equal(reproduce(out, "tiny", workers=1, progress=False), claims)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    with pytest.raises(InvalidRun, match="at scale 'tiny'"):
        reproduce(out, "smoke", progress=False)


def scores_of(returns, study="curves", algorithm="ppo"):
    """Return the scores of trained agents: by label and body, the return of each seed."""
    return [
        {"source": f"{agent}-{seed}", "study": study, "agent": agent, "algorithm": algorithm, "reward": "paper",
         "seed": seed, "trained_on": "swimmer6", "stage": "trained", "metric": "return", "body": body, "weights": 4,
         "step": 10, "episode": 0, "value": value, "note": None}
        for (agent, body), values in returns.items() for seed, value in enumerate(values)
    ]  # fmt: skip


def test_an_ingredient_is_worth_the_difference_of_its_pair():
    rows = scores_of({
        ("along", "swimmer6"): (900, 910, 920), (MLP, "swimmer6"): (980, 980, 980),
        ("along", "swimmer8"): (950, 960, 970), (MLP, "swimmer8"): (300, 310, 320),
        ("along", "swimmer4"): (450, 460, 470), (MLP, "swimmer4"): (100, 110, 120),
        ("along", "swimmer6-eel"): (1, 1, 1), (MLP, "swimmer6-eel"): (999, 999, 999),
    })  # fmt: skip
    (row,) = ingredients_table(Findings(pd.DataFrame(rows))).to_dict("records")
    assert row["ingredient"] == "sharing along the body"
    assert row["with and without it"] == f"along and {MLP}, ppo"
    assert row["trained"].startswith("910 - 980 = -70 [-")
    # Means over 4 and 8 links; another body of 6 links has no part in them.
    assert row["other numbers of links"].startswith("710 - 210 = 500 [")


def test_ablations_are_judged_on_the_body_they_were_trained_on():
    along = scores_of({("along", "swimmer6"): (1, 1, 1)})
    whole = {("shared, signed, constant", body): (value,) * 3 for body, value in (("swimmer6", 900), ("swimmer3", 300))}
    found = Findings(pd.DataFrame([*along, *scores_of(whole, "ablation", "es")]))
    assert list(found.ablation["trained"]) == [900]


def test_an_algorithm_that_trained_no_other_agent_is_no_part_of_a_comparison():
    rows = [*scores_of({("NCAP", "swimmer6"): (900,) * 3, (MLP, "swimmer6"): (500,) * 3}, algorithm="es"),
            *scores_of({("NCAP", "swimmer6"): (900,) * 3}, algorithm="cmaes")]  # fmt: skip
    claim = _as_good_as_an_mlp(Findings(pd.DataFrame(rows)))
    assert (claim["verdict"], claim["numbers"]) == ("holds", f"es: NCAP 900, {MLP} 500")


def test_an_agent_that_could_not_be_trained_is_nobodys_best():
    rows = scores_of({("MLP(8, 8)", "swimmer6"): (np.nan,), (MLP, "swimmer6"): (500,) * 3}, algorithm="es")
    failed = {**rows[0], "stage": None, "metric": None, "body": None, "note": "does not fit"}
    ours = scores_of({("NCAP", "swimmer6"): (900,) * 3}, algorithm="es")
    found = Findings(pd.DataFrame([failed, *rows[1:], *ours]))
    assert found.best("paper", ["MLP(8, 8)", MLP]) == (MLP, "es", 500)
    assert _as_good_as_an_mlp(found)["verdict"] == "holds"


def test_every_pair_differs_in_something_that_the_largest_scale_trains():
    trials = first_trials(SCALES["paper"]).values()
    trained = {(trial.study, trial.agent, trial.config.algorithm) for trial in trials}
    for pair in PAIRS:
        assert {(pair.study, agent, pair.algorithm) for agent in (pair.whole, pair.without)} <= trained
        assert pair.whole != pair.without
    assert {trial.agent for trial in trials if trial.study == "curves"} == set(ARMS)


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
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists):
        reproduce(tmp_path / "mine", "smoke")
    with pytest.raises(SystemExit):
        main(["reproduce", "ctm", "--out", str(tmp_path / "out")])
    with pytest.raises(InvalidOption, match="workers is 0; give a whole number"):
        reproduce(tmp_path / "out", "smoke", workers=0)
    assert not (tmp_path / "out").exists()
    assert "unknown paper 'ctm'" in capsys.readouterr().err
