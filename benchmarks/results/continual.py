"""Forgetting when a trained swimmer learns a second body: the numbers of docs/results/continual.md.

python -m nervecord.benchmarks.results.continual runs/continual --page docs/results/continual.md
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ...intervals import bootstrap_iqm
from ...training.runs.config import RunConfig
from ...training.studies.markdown import markdown_table
from ...training.studies.trials import Trial
from .command import start
from .stored import trial_scores
from .tables import StudyArguments, interval_text, publish

FIRST = "swimmer6"
# Environment steps on the first body, and on the second.
STEPS = {"ppo": (200_000, 100_000), "es": (1_000_000, 300_000)}
CIRCUITS: Mapping[str, Mapping[str, Any]] = {
    "ncap": {}, "connectome": {"graph": "cook2019"}, "ctrnn": {}, "mlp": {},
}  # fmt: skip
# ES trains only the MLP: a CT-RNN does not learn to swim in as many steps, and the others have nothing to protect.
LEARNERS = {"ncap": ("ppo",), "connectome": ("ppo",), "ctrnn": ("ppo",), "mlp": ("ppo", "es")}
# The second bodies of each circuit: a CT-RNN's weights do not fit another number of joints.
_SAME_SIZE = (f"{FIRST}-thick", f"{FIRST}-lesioned")
NEXT = {"ncap": (*_SAME_SIZE, "swimmer12"), "connectome": ("swimmer6-thick", "swimmer12"),
        "ctrnn": _SAME_SIZE, "mlp": (*_SAME_SIZE, "swimmer12")}  # fmt: skip
# Circuits with weight matrices, whose updates can be projected, on a body of the same size.
PROTECTED = ("ctrnn", "mlp")


def firsts(seeds: int) -> dict[str, Trial]:
    """Return the runs on the first body."""
    found = {}
    for circuit, algorithms in LEARNERS.items():
        for algorithm, seed in itertools.product(algorithms, range(seeds)):
            steps, _ = STEPS[algorithm]
            config = RunConfig(
                circuit,
                algorithm,
                seed=seed,
                steps=steps,
                circuit_options=CIRCUITS[circuit],
                evaluate_every=steps // 10,
            )
            found[f"{circuit}/{algorithm}/first/{seed}"] = Trial(algorithm, circuit, config, bodies=NEXT[circuit])
    return found


def seconds(seeds: int, runs: Path) -> dict[str, Trial]:
    """Return the runs that continue from the first ones, plain and protected."""
    found = {}
    for name, first in firsts(seeds).items():
        start = str((runs / name).resolve())
        config = dataclasses.replace(first.config, steps=STEPS[first.study][1], start=start)
        for body in NEXT[config.circuit]:
            after = dataclasses.replace(config, body=body)
            to = name.replace("first", body)
            found[to] = Trial(first.study, f"{first.agent}, then {body}", after, bodies=(FIRST,))
            if config.circuit in PROTECTED and body in _SAME_SIZE:
                kept = dataclasses.replace(after, protect=(start,))
                label = f"{first.agent}, then {body}, protected"
                found[to.replace(body, f"{body}-protected")] = Trial(first.study, label, kept, bodies=(FIRST,))
    return found


def table(scores: pd.DataFrame) -> str:
    """Return the Markdown table of one learner: returns on both bodies before and after, and the loss."""
    rows = scores[(scores["metric"] == "return") & scores["episode"].notna() & (scores["stage"] != "untrained")]
    means = rows.groupby(["agent", "body", "seed"])["value"].mean()
    columns = ["circuit", "then", "its steps", "seeds", "6 links before", "6 links after", "forgotten",
               "new body before", "new body after"]  # fmt: skip
    lines = []
    for circuit, bodies in NEXT.items():
        for body in bodies:
            for label, steps in (
                (f"{circuit}, then {body}", "plain"),
                (f"{circuit}, then {body}, protected", "protected"),
            ):
                if label not in means.index.get_level_values(0):
                    continue
                before, after = means[circuit][FIRST], means[label][FIRST]
                cells = [before, after, before - after, means[circuit][body], means[label][body]]
                shown = [interval_text(bootstrap_iqm(cell.to_numpy())) for cell in cells]
                lines.append([circuit, body, steps, len(after), *shown])
    return markdown_table(columns, *lines)


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train on 6 links, then in a thick fluid, with a joint cut or on 12 links, with and without --protect."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    scores = trial_scores(arguments, lambda runs: (firsts(arguments.seeds), seconds(arguments.seeds, runs)))
    publish({learner: table(scores[scores["study"] == learner]) for learner in STEPS}, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
