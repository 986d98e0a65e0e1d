"""Tables of docs/results/structure.md: bricks, rewiring and architectures, from what their studies kept."""

import itertools

import numpy as np
import pandas as pd
from markdown_rows import rows_of
from nervecord.benchmarks.results import bricks, rewiring
from nervecord.benchmarks.results.nas import effects_table, regret_table, sizes_table
from nervecord.training.runs import resolve
from nervecord.training.studies import SearchSpace
from nervecord.training.studies.nas.table import ArchitectureTable


def needed(method: str, without: list[float], control: list[float]) -> list[dict]:
    return [{"layer": "hidden_0", "method": method, "without": one, "control": two}
            for one, two in zip(without, control, strict=True)]  # fmt: skip


def test_the_least_of_a_cut_s_bricks_is_held_against_the_least_of_as_many_random_sets():
    found = [
        {"needed": [*needed("activity", [0.1, 0.9], [0.8, 0.6]), *needed("random", [0.7, 0.6], [0.6, 0.9])]}
        for _ in range(3)
    ]
    by_activity, at_random = rows_of(bricks.needed_table(found))
    assert by_activity[2:] == ["3", "0.10 [0.10, 0.10]", "0.60 [0.60, 0.60]", "-0.50 [-0.50, -0.50]", "parts"]
    assert at_random[5:] == ["0.00 [0.00, 0.00]", ""]


def test_a_way_to_have_two_skills_is_judged_by_its_mean_over_both_bodies_seed_by_seed():
    skills = {name: {bricks.OLD: 500.0, bricks.NEW: 300.0} for name in bricks.SKILLS}
    skills["routed"] = {bricks.OLD: 900.0, bricks.NEW: 500.0}
    skills["merged"] = {bricks.OLD: 100.0, bricks.NEW: 100.0}
    cells = {line[0]: line for line in rows_of(bricks.skills_table([{"skills": skills}] * 4))}
    assert cells[bricks.SKILLS["routed"]][-2:] == ["300 [300, 300]", "ahead"]
    assert cells[bricks.SKILLS["merged"]][-2:] == ["-300 [-300, -300]", "behind"]
    assert cells[bricks.SKILLS["all"]][-1] == "no difference"
    assert cells[bricks.SKILLS["tuned"]][-2:] == ["", ""]


def test_rewiring_helps_only_where_it_is_ahead_of_every_control():
    above = {"modules that rewire": 9.0, "quadratic": 2.0, "MLP": 1.0, "as many synapses, anywhere": 10.0}
    rows = [
        {"agent": arm, "seed": seed, "metric": "return", "stage": stage, "episode": episode, "weights": 100,
         "value": 100.0 * seed + above.get(arm, 0.0)}
        for arm, seed in itertools.product(rewiring.ARMS, range(5))
        for stage, episode in (("training", np.nan), ("trained", 0), ("trained", np.nan))
    ]  # fmt: skip
    made = rewiring.tables(pd.DataFrame(rows))
    verdicts = {(line[0], line[1]): line[2:] for line in rows_of(made["rewiring-verdicts"])}
    trained = rewiring.MEASURES[1]
    assert verdicts["quadratic", trained] == ["MLP: 1 [1, 1]; MLP, as wide as quadratic: 2 [2, 2]", "helps"]
    assert verdicts["modules that rewire", trained][1] == "ahead of 3 of 4"
    assert len(rows_of(made["rewiring"])) == len(rewiring.ARMS)
    for trial in rewiring.trials(1).values():
        resolve(trial.config)


def test_a_choice_is_told_by_architectures_that_differ_in_nothing_else():
    space = SearchSpace("mine", {"rhythm": (True, False), "period": (40, 60), "signs": (True, False)},
                        {"period": ("rhythm", True)})  # fmt: skip

    def value(architecture):
        chosen = space.values(architecture)
        slow = {40: 0.0, 60: 5.0, None: 0.0}[chosen.get("period")]
        return 100.0 * chosen["rhythm"] + 10.0 * chosen["signs"] + slow

    rows = [{"architecture": each, "body": "one", "seed": 0, "valid_8": 0.0, "test": value(each), "unseen": 0.0,
             "weights": 1, "seconds": 1.0} for each in space]  # fmt: skip
    told = {line[0]: line[1] for line in rows_of(effects_table(ArchitectureTable(space, pd.DataFrame(rows), {})))}
    assert told == {
        "rhythm: True over False": "102 (102 to 102)",  # the mean over both periods
        "period: 40 over 60": "-5 (-5 to -5)",
        "signs: True over False": "10 (10 to 10)",
    }


def test_cells_stand_beside_their_sizes_and_regrets_are_spread_over_bodies():
    space = SearchSpace("sizes", {"cell": ("gru", "mlp"), "units": (8, 16)})
    rows = [{"architecture": each, "body": "one", "seed": seed, "valid_8": 0.0, "test": float(place), "unseen": 0.0,
             "weights": 1, "seconds": 1.0} for place, each in enumerate(space) for seed in range(3)]  # fmt: skip
    table = sizes_table(ArchitectureTable(space, pd.DataFrame(rows), {}))
    assert rows_of(table)[1] == ["one", "mlp", "2 [2, 2]", "3 [3, 3]"]
    searches = pd.DataFrame([
        {"body": body, "searcher": "random", "trainings": trainings, "seconds": 4.0, "regret": regret, "found": 0.5,
         "optimism": 1.0} for body, regret in (("one", 1.0), ("two", 3.0)) for trainings in (10, 20, 100)
    ])  # fmt: skip
    assert rows_of(regret_table({"sizes": searches}))[0] == [
        "sizes", "random", "10", "4", "2.0 (1.0 to 3.0)", "50%", "1.0"
    ]  # fmt: skip
