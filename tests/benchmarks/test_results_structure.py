"""Tables of docs/results/structure.md: agents over bodies and in turn, from the rows of their trials."""

import itertools

import pandas as pd
from markdown_rows import rows_of
from nervecord.benchmarks.results.context import NEVER, ROUTED, SEEN, bodies_table, in_turn, sequence_table, together
from nervecord.envs import make_body
from nervecord.training.runs import resolve


def row(study, agent, body, seed, value, trained_on="", stage="trained"):
    return {"study": study, "agent": agent, "body": body, "seed": seed, "value": value, "trained_on": trained_on,
            "metric": "return", "episode": 0, "stage": stage}  # fmt: skip


def lines_of(table: str) -> dict[str, list[str]]:
    return {cells[0]: cells[1:] for cells in rows_of(table)}


def test_agents_are_averaged_over_bodies_and_differences_are_of_the_same_seeds():
    scores = [
        row("together", agent, body, seed, 100.0 * seed + 10 * (body in NEVER) + more)
        for agent, more in (("dendrites", 5.0), ("MLP with context", 0.0))
        for body in (*SEEN, *NEVER)
        for seed in range(5)
    ]
    # A specialist counts on its own body alone.
    scores += [row("alone", "MLP of one body", body, seed, 900.0 if body == own else 0.0, own)
               for own in SEEN for body in SEEN for seed in range(5)]  # fmt: skip
    routers = pd.DataFrame([{"agent": ROUTED["facts"], "seed": seed, "body": body, "value": 500.0}
                            for seed in range(5) for body in (*SEEN, *NEVER)])  # fmt: skip
    lines = lines_of(bodies_table(pd.DataFrame(scores), routers))
    assert lines["dendrites"][-1] == "5 [5, 5]"
    assert lines["MLP with context"][-1] == ""
    assert lines["MLP of one body"][1:6] == ["900 [900, 900]"] * 5
    assert lines["routed by facts"][6] == "500 [500, 500]"
    assert "routed by motion" not in lines


def test_what_is_forgotten_is_what_each_body_had_when_it_was_learned_less_the_end():
    scores = []
    for place, own in enumerate(SEEN):
        for seed in range(5):
            scores += [row(f"in turn {place}", "MLP", body, seed, 800.0 if body == own else 100.0,
                           stage="finetuned" if place and body == own else "trained") for body in SEEN]  # fmt: skip
    cells = lines_of(sequence_table(pd.DataFrame(scores)))["MLP"]
    assert cells[1:] == [*["100 [100, 100]"] * 3, "800 [800, 800]", "275 [275, 275]", "525 [525, 525]"]


def test_every_run_can_be_and_each_goes_on_from_the_one_before(tmp_path):
    for trial in together(1).values():
        assert resolve(trial.config).agent.n_motors == 5
    rounds = in_turn(1, tmp_path)
    assert [len(each) for each in rounds] == [4] * len(SEEN)
    for before, after in itertools.pairwise(rounds):
        starts = {trial.config.start for trial in after.values()}
        assert starts == {str(tmp_path.resolve() / name) for name in before}
    assert {make_body(trial.config.body).name for trial in rounds[2].values()} == {SEEN[2]}
