"""Tables of architectures: spaces, runs that are those of `train`, queries, searches with known answers."""

import dataclasses
import gzip
import itertools
import json
import math
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nas_tables import SMALL, drawn_table
from nervecord.cli.main import main
from nervecord.errors import InvalidOption, InvalidRun, OutputExists, UnknownName
from nervecord.training.learning.training import train
from nervecord.training.rollouts.evaluation import EVALUATION_SEED, evaluate
from nervecord.training.runs.config import RunConfig
from nervecord.training.studies.nas import searching, table
from nervecord.training.studies.nas.making import make_table
from nervecord.training.studies.nas.measuring import VALIDATION_SEED, measure_seeds
from nervecord.training.studies.nas.plans import PLANS, TEST_EPISODES, UNSEEN_EPISODES, VALID_EPISODES, TablePlan
from nervecord.training.studies.nas.searchers import SEARCHERS, reinforce
from nervecord.training.studies.nas.searching import ranking_stability, search_table, write_searches
from nervecord.training.studies.nas.spaces import SearchSpace
from nervecord.training.studies.nas.table import METRICS, ArchitectureTable, open_table

PRIOR = PLANS["prior"].space
ONEMAX = SearchSpace("onemax", {f"bit{index}": (0, 1) for index in range(10)})
# Their code, 60 searches for the optimum of ten bits: quartiles of the number of queries.
THEIRS = {"random": (408, 808, 1574), "rea": (53, 73, 93), "reinforce": (101, 128, 151)}


def tiny_config(values):
    return RunConfig(
        values["circuit"], "es", circuit_options={"units": 4} if values["circuit"] in ("gru", "ltc") else {},
        algorithm_options={"n_envs": 8}, episode_steps=50,
    )  # fmt: skip


TINY = TablePlan(SearchSpace("tiny", {"circuit": ("ncap", "gru")}), tiny_config, ("swimmer4",), (400, 1200))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("nas")
    return out, make_table(TINY, out, seeds=2, workers=1, progress=False)


# Spaces


def test_the_prior_has_64_architectures_of_96_codes_and_no_period_without_an_oscillator():
    assert math.prod(map(len, PRIOR.choices.values())) == 96
    assert len(PRIOR) == len(set(PRIOR)) == 64
    assert all(("period=" in each) == ("oscillator=True" in each) for each in PRIOR)
    assert len(PLANS["cells"].space) == 32
    # NAS-Bench-201's own: 5 operations on 6 edges.
    assert len(SearchSpace("edges", {f"edge{index}": tuple("abcde") for index in range(6)})) == 15_625


@given(st.integers(0, 63), st.randoms(use_true_random=False))
def test_an_architecture_is_found_in_whatever_order_it_is_written(index, random):
    parts = PRIOR[index].split("|")
    random.shuffle(parts)
    assert PRIOR.index("|".join(parts)) == index


def test_what_does_not_act_may_be_written_and_changes_nothing():
    without = next(each for each in PRIOR if "oscillator=False" in each)
    assert {PRIOR.index(f"{without}|period={period}") for period in (40, 60, 90)} == {PRIOR.index(without)}
    assert "period" not in PRIOR.values(without)


@settings(max_examples=50)
@given(st.integers(0, 2**32))
def test_a_mutant_differs_in_one_choice_that_acts(seed):
    rng = np.random.default_rng(seed)
    genes = PRIOR.drawn(rng)
    before, after = (PRIOR.values(PRIOR.written(each)) for each in (genes, PRIOR.mutated(genes, rng)))
    assert len([name for name in before.keys() & after.keys() if before[name] != after[name]]) == 1
    assert set(before) ^ set(after) == ({"period"} if before["oscillator"] != after["oscillator"] else set())


def test_a_choice_that_begins_to_act_is_drawn():
    rng = np.random.default_rng(0)
    drawn = (PRIOR.drawn(rng) for _ in range(100))
    without = next(genes for genes in drawn if not PRIOR.values(PRIOR.written(genes))["oscillator"])
    periods = {PRIOR.values(PRIOR.written(PRIOR.mutated(without, rng))).get("period") for _ in range(300)}
    assert periods == {None, 40, 60, 90}


@pytest.mark.parametrize(
    ("choices", "only_with", "words"),
    [
        ({"a": ()}, {}, r"a of mine has the values \(\); give different ones"),
        ({"a": (1, 1)}, {}, "give different ones"),
        ({"a": (1, 2)}, {"a": ("a", 1)}, "a of mine acts only with a=1; give an earlier one"),
        ({"a": (1, 2), "b": (1, 2)}, {"b": ("a", 3)}, "b of mine acts only with a=3"),
        ({"a": (1, 2)}, {"c": ("a", 1)}, "c of mine acts only with a=1"),
    ],
)
def test_a_space_that_cannot_be_is_refused(choices, only_with, words):
    with pytest.raises(InvalidOption, match=words):
        SearchSpace("mine", choices, only_with)


@pytest.mark.parametrize(
    ("architecture", "kind", "words"),
    [
        ("unit=8|cell=gru", UnknownName, "unknown choice of the space cells 'unit'; did you mean 'units'"),
        ("cell=gruu|units=8", UnknownName, "unknown value of cell in the space cells 'gruu'; did you mean 'gru'"),
        ("cell=gru", InvalidOption, r"cell=gru has no units; write cell=mlp\|units=8"),
        ("cell=gru|cell=gru|units=8", InvalidOption, "has cell twice"),
    ],
)
def test_an_architecture_that_the_space_lacks_is_refused_in_one_line(architecture, kind, words):
    with pytest.raises(kind, match=words):
        PLANS["cells"].space.index(architecture)


# Runs


@pytest.mark.parametrize("circuit", ["ncap", "gru"])
def test_a_run_of_a_table_is_the_run_of_train_and_its_scores_are_those_of_evaluate(circuit, made, tmp_path):
    out, found = made
    index = found.query_index_by_arch(f"circuit={circuit}")
    run = train(TINY.config_of(found[index], "swimmer4", seed=1), tmp_path / "alone", progress=False)
    held = json.loads((out / "trials" / f"tiny-{index}-swimmer4-1.json").read_text(encoding="utf-8"))
    assert {each["result"]["weights"]["sha256"] for each in held["results"]} == {run.last_weights().sha256}
    info = found.get_more_info(index, "swimmer4", seed=1)
    assert info["test"] == pytest.approx(evaluate(run, 20).returns.mean(), abs=0.051)
    unseen = [evaluate(run, 10, body=body).returns.mean() for body in TINY.unseen_of("swimmer4")]
    assert info["unseen"] == pytest.approx(np.mean(unseen), abs=0.051)
    assert [body.name for body in TINY.unseen_of("swimmer4")] == ["swimmer4-heavy", "swimmer4-long"]


def test_seeds_that_draw_more_than_weights_are_trained_apart(tmp_path):
    config = dataclasses.replace(
        tiny_config({"circuit": "ltc"}), body="swimmer3", steps=400, circuit_options={"units": 8}
    )
    together = measure_seeds(config, [0, 1], (400,), ())
    alone = measure_seeds(config, [1], (400,), ())
    weights = [found[1].results[0][1].weights for found in (together, alone)]
    assert weights[0] == weights[1]
    assert weights[0] == train(dataclasses.replace(config, seed=1), tmp_path / "run", progress=False).last_weights()


def test_an_algorithm_without_a_population_fills_the_same_table(tmp_path):
    config = RunConfig(
        "gru", "ppo", body="swimmer3", episode_steps=32, steps=256, circuit_options={"units": 4},
        algorithm_options={"n_envs": 4, "n_steps": 32, "batch_size": 64},
    )  # fmt: skip
    found = measure_seeds(config, [0], (128, 256), ())[0]
    assert [(step, metric) for step, metric, _ in found.curve] == [(128, "return"), (256, "return"), (256, "seconds")]
    run = train(config, tmp_path / "run", progress=False)
    assert found.results[0][1].weights == run.last_weights()
    assert found.results[0][1].numbers["return"]["value"] == evaluate(run, 20).returns.mean()


def test_a_table_is_continued_and_what_is_there_is_not_run_again(made):
    out, before = made
    files = {path: path.stat().st_mtime_ns for path in (out / "trials").iterdir()}
    next(iter(files)).write_text("{", encoding="utf-8")
    more = make_table(TINY, out, seeds=3, workers=1, progress=False)
    again = {path: path.stat().st_mtime_ns for path in files}
    assert sum(files[path] != again[path] for path in files) == 1
    assert len(list((out / "trials").iterdir())) == 6
    assert (before.seeds, more.seeds) == ((0, 1), (0, 1, 2))
    for index, metric in itertools.product(range(2), ("valid", "test", "unseen")):
        assert (more.scores("swimmer4", metric)[index, :2] == before.scores("swimmer4", metric)[index]).all()
    assert open_table(out / "tiny.csv.gz").summary().equals(more.summary())


def test_what_cannot_be_trained_is_a_note_and_no_row(tmp_path, caplog):
    # A cfc of 8 units cannot have 7 motors, which shows when it is built.
    plan = TablePlan(
        SearchSpace("sizes", {"units": (8, 16)}),
        lambda values: RunConfig("cfc", "es", circuit_options=values, algorithm_options={"n_envs": 2}, episode_steps=5),
        ("swimmer8",), (10,), unseen=(),
    )  # fmt: skip
    found = make_table(plan, tmp_path, seeds=1, workers=1, progress=False)
    assert list(found) == ["units=16"]
    assert "units=8 on swimmer8" in caplog.text
    with pytest.raises(InvalidOption, match="this table has no unseen on swimmer8"):
        found.find_best("swimmer8", "unseen")
    with pytest.raises(InvalidRun, match="no architecture could be trained; the first: "):
        make_table(plan, tmp_path, seeds=1, architectures=["units=8"], workers=1, progress=False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": "runs/worm"}, "the configs of tiny give start; a table has runs from nothing"),
        ({"deficits": ("joint_pos:0:10",)}, "the configs of tiny give deficits"),
        ({"bodies": ("swimmer4", "swimmer6")}, "the configs of tiny give bodies"),
        ({"device": "cuda"}, "the configs of tiny give device"),
    ],
)
def test_a_config_with_what_a_table_ignores_is_refused(options, words, tmp_path):
    plan = dataclasses.replace(TINY, config=lambda _: RunConfig("ncap", "es", **options))
    with pytest.raises(InvalidOption, match=words):
        make_table(plan, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_plans_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(InvalidOption, match=r"steps is \(200, 100\); give environment steps in rising order"):
        dataclasses.replace(TINY, steps=(200, 100))
    with pytest.raises(InvalidOption, match="gymnasium-swimmer is not a swimmer, so it has no variants"):
        make_table(dataclasses.replace(TINY, bodies=("gymnasium-swimmer",)), tmp_path / "out", progress=False)
    with pytest.raises(UnknownName, match="unknown body of the table tiny 'swimmer6'"):
        make_table(TINY, tmp_path / "out", bodies=["swimmer6"], progress=False)
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists, match="is a file; give another --out"):
        make_table(TINY, tmp_path / "file", progress=False)
    with pytest.raises(InvalidOption, match="an address needs Ray"):
        make_table(TINY, tmp_path / "out", address="h:1", progress=False)


def test_validation_has_other_episodes_than_tests():
    assert abs(VALIDATION_SEED - EVALUATION_SEED) > max(VALID_EPISODES, TEST_EPISODES, UNSEEN_EPISODES)


@pytest.mark.release
@pytest.mark.slow
def test_ray_makes_the_same_table(made, tmp_path):
    there = make_table(TINY, tmp_path / "ray", seeds=2, workers=1, engine="ray", progress=False)
    columns = ["architecture", "valid", "test", "unseen", "weights"]
    assert there.summary()[columns].equals(make_table(TINY, made[0], seeds=2, progress=False).summary()[columns])


# Files


def test_a_table_is_read_as_it_was_written(tmp_path):
    one = drawn_table()
    for name in ("a", "b"):
        one.write(tmp_path / f"{name}.csv.gz")
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    other = ArchitectureTable.read(tmp_path / "a.csv.gz")
    assert other.summary().equals(one.summary())
    assert (other.space, other.about, other.bodies, other.steps) == (SMALL, one.about, one.bodies, one.steps)
    assert len(pd.read_csv(tmp_path / "a.csv.gz", comment="#")) == 6 * 2 * 4


def test_a_table_of_another_version_and_a_damaged_one_are_refused_in_one_line(tmp_path):
    path = tmp_path / "mine.csv.gz"
    drawn_table().write(path)
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(text.replace('"format": 1', '"format": 2').encode()))
    with pytest.raises(
        InvalidRun, match=r"is a table of format 2 and this version of nervecord reads 1; make it again"
    ):
        open_table(path)
    path.write_bytes(gzip.compress(text.replace("size=8", "size=9", 1).encode()))
    with pytest.raises(InvalidRun, match="is damaged: its checksum is another"):
        open_table(path)
    path.write_bytes(gzip.compress(text.replace(",5,", ",6,", 1).encode()))
    with pytest.raises(InvalidRun, match="is damaged: its checksum is another"):
        open_table(path)
    for wrong in (b"", b"mine", gzip.compress(b"a,b\n1,2\n"), gzip.compress(b"# []\n"), gzip.compress(b"# {}\n")):
        path.write_bytes(wrong)
        with pytest.raises(InvalidRun, match="is not a table of architectures"):
            open_table(path)
    with pytest.raises(UnknownName, match="unknown table 'nope'; known: cells, cells-ppo, prior; or the path"):
        open_table("nope")


def test_a_table_that_is_not_installed_says_how_it_is_made(monkeypatch, tmp_path):
    monkeypatch.setattr(table, "SHIPPED", tmp_path)
    with pytest.raises(InvalidRun, match="nervecord nas make prior --out runs/nas makes it; then give runs/nas/prior"):
        open_table("prior")


@pytest.mark.parametrize("name", PLANS)
def test_a_table_that_comes_along_is_whole_and_small(name):
    path = table.SHIPPED / f"{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"no table {name} comes with this version")
    found = open_table(name)
    assert (found.space, found.steps) == (PLANS[name].space, PLANS[name].steps)
    assert found.bodies == PLANS[name].bodies
    assert all(np.isfinite(found.means(body, metric)).all() for body in found.bodies for metric in METRICS)
    assert os.path.getsize(path) < 300_000


# Queries


def test_a_query_is_the_mean_over_seeds_or_one_seed():
    found = drawn_table()
    rows = found.query_meta_info_by_index(2)
    rows = rows[rows["body"] == "two"]
    info = found.get_more_info(2, "two")
    assert (info["step"], info["seeds"], info["weights"]) == (200, 4, 5)
    assert info["valid"] == pytest.approx(rows["valid_200"].mean())
    assert info["seconds"] == pytest.approx(rows["seconds"].mean())
    one = found.get_more_info(2, "two", step=100, seed=3)
    assert one["valid"] == pytest.approx(rows["valid_100"].iloc[3])
    assert one["seconds"] == pytest.approx(rows["seconds"].iloc[3] / 2)
    assert one["latency"] == pytest.approx(rows["seconds"].iloc[3] / 200)
    assert "test" not in one


def test_the_best_has_the_highest_mean_and_stands_first():
    found = drawn_table()
    index, value = found.find_best("two")
    assert value == found.means("two").max()
    first = found.summary(body="two").iloc[0]
    assert (first["architecture"], first["test"]) == (found[index], pytest.approx(value))
    assert found.query_index_by_arch(found[index]) == index
    assert found.query_index_by_arch("size=64|gate=True") == -1
    assert {found.random() for _ in range(200)} == set(range(6))


def test_a_summary_of_one_seed_and_ranks_leave_out_what_has_no_run():
    whole = drawn_table(noise=0.0)
    rows = pd.concat([whole.query_meta_info_by_index(index) for index in range(len(whole))])
    lost = (rows["architecture"] == whole[0]) & (rows["body"] == "one") & (rows["seed"] > 0)
    partial = ArchitectureTable(whole.space, rows[~lost], whole.about)
    assert set(partial.summary(body="one", seed=1)["architecture"]) == {*whole} - {whole[0]}
    assert set(partial.summary(body="one", seed=0)["architecture"]) == {*whole}
    with pytest.raises(InvalidOption, match="seed is 9; this table has 0, 1, 2, 3"):
        partial.summary(seed=9)
    taus = ranking_stability(partial).set_index(["body", "other"])["tau"]
    assert taus.loc["one", "one"] == pytest.approx(1.0)
    assert np.isfinite(taus).all()


def test_a_simulated_training_shows_one_seed_and_costs_its_time():
    found = drawn_table()
    shown = [found.simulate_train_eval("gate=True|size=8", "one", 100) for _ in range(100)]
    assert {each.valid for each in shown} == set(found.scores("one", "valid", 100)[0])
    assert shown[-1].used_time == found.used_time == pytest.approx(sum(each.cost for each in shown))
    assert {each.cost for each in shown} == set(found.scores("one", "seconds", 100)[0])
    assert shown[0].latency == pytest.approx(shown[0].cost / 100)
    found.reset_time()
    assert found.used_time == 0
    again = [drawn_table().simulate_train_eval("gate=True|size=8", "one", rng=np.random.default_rng(3)) for _ in "ab"]
    assert again[0] == again[1]


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"index": 6}, InvalidOption, "index is 6; give 0 to 5"),
        ({"index": -1}, InvalidOption, "index is -1; give 0 to 5"),
        ({"body": "three"}, UnknownName, "unknown body of this table 'three'"),
        ({"step": 150}, InvalidOption, "step is 150; .*this table has 100, 200"),
        ({"seed": 9}, InvalidOption, "seed is 9; this table has 0, 1, 2, 3"),
    ],
)
def test_what_a_table_lacks_is_said_in_one_line(asked, kind, words):
    with pytest.raises(kind, match=words) as caught:
        drawn_table().get_more_info(**{"index": 0, "body": "one", **asked})
    assert "\n" not in str(caught.value)


def test_a_part_of_a_table_says_what_it_lacks():
    whole = drawn_table()
    rows = pd.concat([whole.query_meta_info_by_index(index) for index in (0, 3)])
    part = ArchitectureTable(SMALL, rows[(rows["body"] == "one") | (rows["seed"] < 2)], whole.about)
    assert list(part) == [SMALL[0], SMALL[3]]
    assert part.get_more_info(1, "two") == whole.get_more_info(3, "two") | {
        name: part.get_more_info(1, "two")[name] for name in ("seeds", "valid", "seconds", "latency")
    }
    alone = ArchitectureTable(SMALL, rows[(rows["body"] == "one") | (rows["architecture"] == SMALL[3])], whole.about)
    assert set(alone.summary()["architecture"] + " " + alone.summary()["body"]) == {
        f"{SMALL[0]} one", f"{SMALL[3]} one", f"{SMALL[3]} two"
    }  # fmt: skip
    with pytest.raises(InvalidOption, match=r"this table lacks runs of size=8\|gate=True on two"):
        alone.summary(SMALL[0], "two")
    with pytest.raises(InvalidOption, match=r"this table has 2 of the 6 architectures, and not size=8\|gate=False"):
        part.simulate_train_eval(SMALL[1], "one")
    with pytest.raises(InvalidOption, match=r"this table lacks runs of size=8\|gate=True on two"):
        part.get_more_info(0, "two", seed=3)
    with pytest.raises(InvalidOption, match="this table lacks 4 of 6 architectures on one"):
        search_table(part)
    with pytest.raises(UnknownName, match="unknown metric of a table 'speed'"):
        whole.find_best("one", "speed")
    with pytest.raises(InvalidOption, match="step is 100; of test, this table has 200"):
        whole.scores("one", "test", 100)


# Searches


def queries_to_optimum(searcher, searches):
    def ones(architecture):
        return 10.0 * architecture.count("=1")

    found = []
    for number in range(searches):
        tries = searcher(ONEMAX, ones, np.random.default_rng(number))
        found.append(next(at for at, (_, value) in enumerate(tries, 1) if value == 100))
    return np.array(found)


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_searcher_needs_as_many_queries_as_theirs_for_the_optimum_of_ten_bits(name):
    ours = queries_to_optimum(SEARCHERS[name], 100)
    # Sixty of ours, drawn again and again: theirs lie within, at one in a thousand for each quartile.
    rng = np.random.default_rng(0)
    quartiles = np.percentile(rng.choice(ours, (4000, 60)), (25, 50, 75), axis=1)
    low, high = np.percentile(quartiles, (0.05, 99.95), axis=1)
    assert (low <= THEIRS[name]).all()
    assert (high >= THEIRS[name]).all()


def test_random_search_finds_one_of_1024_in_709_queries_half_the_time():
    median = math.log(0.5) / math.log(1 - 1 / 1024)
    share = (queries_to_optimum(SEARCHERS["random"], 100) <= median).mean()
    assert share == pytest.approx(0.5, abs=3 * 0.5 / math.sqrt(100))


def test_reinforce_with_a_large_rate_is_fast_on_bits():
    def searcher(*given):
        return reinforce(*given, learning_rate=0.1)

    assert np.median(queries_to_optimum(searcher, 60)) == pytest.approx(36, abs=6)


def test_the_best_of_n_has_the_expected_rank():
    # Without replacement (M + 1) / (n + 1); the architectures are tried in a drawn order.
    found = drawn_table(ONEMAX, ("one",), seeds=2, noise=0.0)
    worth = found.means("one")
    ranks = (-worth).argsort().argsort() + 1
    chosen = []
    for number in range(400):
        tried = np.random.default_rng(number).permutation(1024)[:20]
        chosen.append(ranks[searching._incumbents(np.arange(20.0), tried, worth[tried]).chosen[-1]])
    expected = 1025 / 21
    assert np.mean(chosen) == pytest.approx(expected, abs=4 * expected / math.sqrt(400))


def test_random_search_regret_is_that_of_the_best_of_n_draws():
    found = drawn_table(PRIOR, ("one",), seeds=2, noise=0.0)
    shown = search_table(found, searchers=["random"], searches=400, trainings=20)
    best_first = np.sort(found.means("one"))[::-1]
    for row in shown.itertuples():
        # The rank of the best of n draws with replacement is above k with probability (1 - k / M)^n.
        above = (1 - np.arange(65) / 64) ** row.trainings
        expected = best_first[0] - (best_first * -np.diff(above)).sum()
        assert row.regret_low95 - 0.1 <= expected <= row.regret_high95 + 0.1
        assert row.optimism == pytest.approx(0)
        assert row.found == pytest.approx(1 - above[1], abs=0.08)


def test_the_best_of_64_noisy_numbers_flatters_itself():
    # 64 normal numbers of spread 1, seen once with noise 0.5: the best by 0.2 x 2.35 x 1.118, with a regret of 0.25.
    told = []
    for number in range(150):
        found = drawn_table(PRIOR, ("one",), seeds=50, noise=0.5, seed=number)

        def every(space, evaluate, rng):
            yield from ((architecture, evaluate(architecture)) for architecture in rng.permutation(list(space)))

        course = searching._course(found, "one", every, 64, np.random.default_rng(number))
        told += searching._rows(found, "one", [course], [64])
    assert np.mean([row["optimism"] for row in told]) == pytest.approx(0.2 * 2.35 * 1.118, abs=0.1)
    assert np.mean([row["regret"] for row in told]) == pytest.approx(0.25, abs=0.1)


def test_architectures_that_tie_with_the_best_count_as_found():
    means = np.array([[3.0, 3.0, 1.0, 1.0, 0.0, 0.0]])
    shown = search_table(drawn_table(bodies=("one",), noise=0.0, means=means), searches=50, trainings=200)
    last = shown[shown["trainings"] == 200]
    assert last["regret"].max() == 0
    assert last["found"].min() == 1
    first = shown[shown["trainings"] == 1]
    assert first["found"].mean() == pytest.approx(1 / 3, abs=0.25)


def test_a_search_costs_the_time_of_its_trainings_and_is_repeatable():
    found = drawn_table()
    shown = search_table(found, ["two"], ["rea"], searches=20, trainings=30, seed=4)
    assert list(shown["trainings"]) == [1, 2, 5, 10, 20, 30]
    assert (np.diff(shown["regret"]) <= 1e-9).sum() >= 3
    assert (shown["seconds"] / shown["trainings"]).between(1, 3).all()
    assert shown.equals(search_table(found, ["two"], ["rea"], searches=20, trainings=30, seed=4))


def test_bodies_that_rank_alike_have_tau_one_and_reversed_ones_minus_one():
    means = np.random.default_rng(0).normal(size=64)
    noiseless = drawn_table(PRIOR, ("one", "same", "reversed"), noise=0.0, means=np.stack([means, 3 * means, -means]))
    told = ranking_stability(noiseless).set_index(["body", "other"])["tau"]
    assert told["one", "same"] == told["one", "one"] == pytest.approx(1)
    assert told["one", "reversed"] == told["same", "reversed"] == pytest.approx(-1)


def test_the_interval_of_tau_holds_it_and_is_as_wide_as_seeds_make_it():
    rows = drawn_table(PRIOR, seeds=10).query_meta_info_by_index
    table_ = pd.concat([rows(index) for index in range(64)])
    rng = np.random.default_rng(1)
    width = {}
    for noise in (0.1, 1.0):
        noisy = table_.assign(test=table_["test"] + noise * rng.normal(size=len(table_)))
        told = ranking_stability(ArchitectureTable(PRIOR, noisy, {}))
        assert (told["tau_low95"] <= told["tau"]).all()
        assert (told["tau"] <= told["tau_high95"]).all()
        pair = told[told["body"] != told["other"]].iloc[0]
        width[noise] = pair["tau_high95"] - pair["tau_low95"]
        own = told[told["body"] == told["other"]]["tau"]
        assert (own > (0.9 if noise < 1 else 0.5)).all()
    assert width[1.0] > 2 * width[0.1]
    # Rankings that have nothing to do with one another.
    assert abs(pair["tau"]) < 0.3


# Commands


def test_the_commands_query_and_search(tmp_path, capsys):
    drawn_table().write(tmp_path / "mine.csv.gz")
    main(["nas", "query", str(tmp_path / "mine.csv.gz"), "--body", "two", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["architecture"] for row in rows] == drawn_table().summary(body="two")["architecture"].tolist()
    main(["nas", "query", str(tmp_path / "mine.csv.gz"), "--architecture", "gate=True|size=16", "--seed", "1"])
    assert "size=16|gate=True" in capsys.readouterr().out
    asked = ["nas", "search", str(tmp_path / "mine.csv.gz"), "--searches", "3", "--trainings", "5", "--json"]
    main([*asked, "--out", str(tmp_path / "out")])
    said = json.loads(capsys.readouterr().out)
    assert len(said["regret"]) == 2 * 3 * 3
    assert len(said["stability"]) == 3
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{name}{suffix}"
        for name in ("regret", "stability")
        for suffix in (".csv", ".md", ".tex", ".svg", ".pdf", ".png")
    }
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("mine", encoding="utf-8")
    with pytest.raises(SystemExit):
        main([*asked, "--out", str(tmp_path / "mine")])
    assert "holds no searches; give another --out" in capsys.readouterr().out


def test_a_part_of_cells_is_made_by_the_command(tmp_path, capsys):
    chosen = "cell=mlp|units=8"
    asked = ["--bodies", "swimmer4", "--seeds", "1", "--workers", "1", "--architectures", chosen]
    main(["nas", "make", "cells", "--out", str(tmp_path), *asked, "--json"])
    assert json.loads(capsys.readouterr().out)["architectures"] == "1 of 32"
    info = open_table(tmp_path / "cells.csv.gz").get_more_info(0, "swimmer4", seed=0)
    assert info["step"] == 256_000
    assert info["valid"] > 40


def test_a_figure_has_a_panel_for_each_body(tmp_path):
    searches = search_table(drawn_table(bodies=("one", "two", "three", "four")), searches=2, trainings=3)
    write_searches(searches, ranking_stability(drawn_table(bodies=("one",))), tmp_path / "out")
    svg = (tmp_path / "out" / "regret.svg").read_text(encoding="utf-8")
    assert all(f">{body}<" in svg for body in ("one", "two", "three", "four", "rea"))
