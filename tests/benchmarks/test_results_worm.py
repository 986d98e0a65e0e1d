"""Tables of docs/results/connectome.md and continual.md: differences and their verdicts, from the rows of trials."""

import pandas as pd
import pytest
from markdown_rows import rows_of
from nervecord.benchmarks.results import connectome, continual
from nervecord.benchmarks.results.tables import differences_table, standing
from nervecord.intervals import Interval

SEEDS = range(5)


def rows(agent, body, values, stage="trained", study="ppo"):
    return [
        {"study": study, "agent": agent, "body": body, "seed": seed, "value": value, "metric": "return",
         "episode": 0, "stage": stage}
        for seed, value in zip(SEEDS, values, strict=True)
    ]  # fmt: skip


def constant(value):
    return [value] * len(SEEDS)


@pytest.mark.parametrize(
    ("low", "high", "said"), [(1, 3, "ahead"), (-3, -1, "behind"), (-1, 3, "no difference"), (0, 3, "no difference")]
)
def test_one_is_ahead_only_with_the_whole_interval(low, high, said):
    assert standing(Interval((low + high) / 2, low, high, 5)) == said


def test_the_connectome_is_ahead_of_a_control_by_the_difference_of_each_measure():
    scores = []
    for agent, untrained, trained, other in (("connectome", 600, 650, 500), ("mlp", 0, 900, 500)):
        scores += rows(agent, "swimmer6", constant(untrained), "untrained")
        for body, value in (("swimmer6", trained), *((body, other) for body in connectome.BODIES)):
            scores += rows(agent, body, constant(value))
    own, mlp = rows_of(
        differences_table(pd.DataFrame(scores), "connectome", list(connectome.AGENTS), connectome.BODIES)
    )
    assert own[:4] == ["nothing", "600 [600, 600]", "650 [650, 650]", "50 [50, 50]"]
    assert mlp[:4] == ["mlp", "600 [600, 600] ahead", "-250 [-250, -250] behind", "-850 [-850, -850] behind"]
    assert set(mlp[4:]) == {"0 [0, 0] no difference"}


@pytest.mark.parametrize(("lost", "said"), [(5.0, ""), (40.0, "forgets")])
def test_a_circuit_forgets_where_it_loses_more_than_the_bound(lost, said):
    scores = rows("mlp", "swimmer6", constant(900.0)) + rows("mlp", "swimmer6-thick", constant(300.0))
    scores += rows("mlp, then swimmer6-thick", "swimmer6", constant(900.0 - lost))
    scores += rows("mlp, then swimmer6-thick", "swimmer6-thick", constant(400.0))
    (line,) = rows_of(continual.table(pd.DataFrame(scores)))
    assert line[6:8] == [f"{lost:.0f} [{lost:.0f}, {lost:.0f}]", said]


@pytest.mark.parametrize(
    ("spared", "cost", "said"), [(30, 20, "spares and costs"), (30, -5, "spares"), (0, 20, "costs"), (0, 0, "neither")]
)
def test_protection_is_judged_on_both_bodies_seed_by_seed(spared, cost, said):
    plain = [800.0 + 100 * seed for seed in SEEDS]  # seeds differ by more than what is spared
    scores = rows("mlp, then swimmer6-thick", "swimmer6", plain)
    scores += rows("mlp, then swimmer6-thick", "swimmer6-thick", plain)
    scores += rows("mlp, then swimmer6-thick, protected", "swimmer6", [value + spared for value in plain])
    scores += rows("mlp, then swimmer6-thick, protected", "swimmer6-thick", [value - cost for value in plain])
    (line,) = rows_of(continual.protection_table(pd.DataFrame(scores)))
    assert line[:3] == ["ppo", "mlp", "swimmer6-thick"]
    assert line[-1] == said
