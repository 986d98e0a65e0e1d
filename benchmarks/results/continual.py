"""Forgetting when a trained swimmer learns a second body: the numbers of docs/results/continual.md.

python -m nervecord.benchmarks.results.continual runs/continual --page docs/results/continual.md

Verdicts follow from rules that were fixed before the runs, on 95 % intervals over seeds. A circuit "forgets" where the
interval of what is forgotten lies above `FORGOTTEN` points. Protection "spares" where a plain run forgets more than a
protected one of the same seed, with an interval above 0, and "costs" where the protected one is lower on the new body.
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
PROTECTION = ", protected"  # at the end of a label
# Points of return: a circuit that loses no more has forgotten nothing that matters.
FORGOTTEN = 10.0


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
                label = f"{first.agent}, then {body}{PROTECTION}"
                found[to.replace(body, f"{body}-protected")] = Trial(first.study, label, kept, bodies=(FIRST,))
    return found


def table(scores: pd.DataFrame) -> str:
    """Return the Markdown table of one learner: returns on both bodies before and after, and the loss."""
    means = _means(scores)
    columns = ["circuit", "then", "its steps", "seeds", "6 links before", "6 links after", "forgotten", "verdict",
               "new body before", "new body after"]  # fmt: skip
    lines = []
    for circuit, bodies in NEXT.items():
        for body, kept in itertools.product(bodies, ("", PROTECTION)):
            label = f"{circuit}, then {body}{kept}"
            if label not in means.index.get_level_values(0):
                continue
            before, after = means[circuit][FIRST], means[label][FIRST]
            lost = bootstrap_iqm((before - after).to_numpy())
            cells = [
                bootstrap_iqm(cell.to_numpy()) for cell in (before, after, means[circuit][body], means[label][body])
            ]
            shown = [interval_text(cell) for cell in cells]
            verdict = "forgets" if lost.low > FORGOTTEN else ""
            steps = "protected" if kept else "plain"
            lines.append([circuit, body, steps, len(after), *shown[:2], interval_text(lost), verdict, *shown[2:]])
    return markdown_table(columns, *lines)


def protection_table(scores: pd.DataFrame) -> str:
    """Return the Markdown table of what protection spares and costs, seed by seed."""
    columns = ["learner", "circuit", "then", "seeds", "forgotten less", "lower on the new body", "verdict"]
    lines = []
    for learner, circuit, body in itertools.product(STEPS, PROTECTED, _SAME_SIZE):
        means, label = _means(scores[scores["study"] == learner]), f"{circuit}, then {body}"
        if label + PROTECTION not in means.index.get_level_values(0):
            continue
        plain, kept = means[label], means[label + PROTECTION]
        spared, cost = (
            bootstrap_iqm(beyond.dropna()) for beyond in (kept[FIRST] - plain[FIRST], plain[body] - kept[body])
        )
        verdict = " and ".join(word for word, found in (("spares", spared), ("costs", cost)) if found.low > 0)
        lines.append(
            [learner, circuit, body, spared.n, interval_text(spared), interval_text(cost), verdict or "neither"]
        )
    return markdown_table(columns, *lines)


def _means(scores: pd.DataFrame) -> pd.Series:
    """Return the mean return after training, by agent, body and seed."""
    rows = scores[(scores["metric"] == "return") & scores["episode"].notna() & (scores["stage"] != "untrained")]
    return rows.groupby(["agent", "body", "seed"])["value"].mean()


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train on 6 links, then in a thick fluid, with a joint cut or on 12 links, with and without --protect."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    scores = trial_scores(arguments, lambda runs: (firsts(arguments.seeds), seconds(arguments.seeds, runs)))
    made = {learner: table(scores[scores["study"] == learner]) for learner in STEPS}
    publish({**made, "protection": protection_table(scores)}, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
