"""Tables of searches and comparisons: the rule's verdicts, and ratios within a turn."""

import nervecord.benchmarks.results.comparison as comparison
import pandas as pd
import pytest
from nervecord.benchmarks.results import hyperparameters
from nervecord.benchmarks.results.hyperparameters import GRIDS, judge, said, table, trials
from nervecord.intervals import Interval
from nervecord.training.runs import resolve

ABOVE, ACROSS, BELOW = (Interval(mean, mean - 5, mean + 5, 5) for mean in (10, 0, -10))


def test_a_setting_replaces_the_default_only_if_it_is_better_with_every_circuit():
    assert judge({"ncap": ABOVE, "mlp": ABOVE}) == "replaces the default"
    assert judge({"ncap": ABOVE, "mlp": ACROSS}) == "better with ncap"
    assert judge({"ncap": ACROSS, "mlp": BELOW}) == ""


def test_every_grid_has_the_default_of_its_algorithm_among_its_settings():
    for grid in GRIDS.values():
        assert grid.default in list(grid.settings())
        made = next(each for each in trials(1).values() if each.config.algorithm == grid.algorithm)
        for circuit in grid.circuits:
            config = made.config.__class__(circuit, grid.algorithm)
            assert tuple(resolve(config).options[name] for name in grid.options) == grid.default


def test_gains_are_of_the_same_seeds():
    rows = [
        {"study": f"ppo {circuit}", "agent": said(setting), "metric": "return", "episode": episode, "seed": seed,
         "value": 100.0 * seed + (20.0 if setting == (3e-3,) and circuit == "along" else 0.0)}
        for circuit in GRIDS["ppo"].circuits
        for setting in GRIDS["ppo"].settings()
        for seed in range(5)
        for episode in range(2)
    ]  # fmt: skip
    lines = {line.split(" | ")[0].strip("| "): line for line in table(pd.DataFrame(rows), "ppo").splitlines()}
    assert "| the default |" in lines["0.001"]
    # Seeds differ by 100, and their differences not at all.
    assert "| 20 [20, 20] |" in lines["0.003"]
    assert lines["0.003"].endswith("| better with along |")
    assert hyperparameters.said((0.1, 0.03)) == "0.1, 0.03"


def test_ratios_are_taken_within_a_turn_and_a_missing_library_is_named(monkeypatch):
    rates = iter([(7, 3), (100.0, 10.0), (200.0, 40.0)])  # the first turn warms up
    turn = []

    def ours():
        turn[:] = next(rates)
        return turn[0]

    monkeypatch.setattr(
        comparison, "STEPPING",
        {"nervecord on MuJoCo, 256": (ours, ()), "theirs": (lambda: turn[1], ("on MuJoCo, 256",)),
         "EnvPool, 256": (pytest.fail, ("on MuJoCo, 256",))},
    )  # fmt: skip
    monkeypatch.setattr(comparison, "_PEERS", {"EnvPool": "no_such_module"})
    lines = comparison.stepping(2).splitlines()
    assert lines[2].startswith("| nervecord on MuJoCo, 256 | 150 | 100 to 200 |")
    assert lines[3].startswith("| theirs | 25 | 10 to 40 | 7.50 [5.00, 10.00] |")
    assert "no_such_module is not installed" in lines[4]
