"""What training without a sense for a while costs for good: the tables of docs/results/critical-periods.md.

python -m nervecord.benchmarks.results.critical_periods runs/critical --page docs/results/critical-periods.md
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...envs.deficits import Deficit
from ...intervals import Interval, bootstrap_iqm
from ...training.runs.config import RunConfig
from ...training.studies.markdown import markdown_table
from ...training.studies.trials import Trial
from .command import start
from .stored import trial_scores
from .tables import StudyArguments, interval_text, publish

# Environment steps: when the joints' angles begin to read zero, for how long, and how long training goes on after it.
ONSETS, DURATIONS, AFTER = (0, 50_000, 100_000), (50_000, 100_000), 100_000
CIRCUITS: Mapping[str, Mapping[str, Any]] = {"mlp": {}, "ncap": {}, "ctrnn": {}}
_EVERY = 50_000
_WHOLE = max(ONSETS) + max(DURATIONS) + AFTER
# Percent of the control's return: a deficit that takes no more than this costs nothing.
COST = 5.0


def trials(seeds: int) -> dict[str, Trial]:
    """Return a run for each circuit, deficit and seed, and controls without, as long as the longest."""
    found = {}
    for (circuit, options), seed in itertools.product(CIRCUITS.items(), range(seeds)):
        base = RunConfig(
            circuit, "ppo", seed=seed, steps=_WHOLE, circuit_options=options, evaluate_every=_EVERY,
            checkpoint_every=_WHOLE,
        )  # fmt: skip
        found[f"{circuit}/control/{seed}"] = Trial("control", circuit, base)
        for onset, duration in itertools.product(ONSETS, DURATIONS):
            masked = (Deficit("joint_pos", onset, onset + duration),)
            config = dataclasses.replace(base, steps=onset + duration + AFTER, deficits=masked)
            found[f"{circuit}/{onset}-{duration}/{seed}"] = Trial(f"{onset} {duration}", circuit, config)
    return found


def costs(scores: pd.DataFrame, circuit: str) -> dict[tuple[int, int], NDArray[np.float64]]:
    """Return, by onset and duration, the percent of the control's return that each seed has lost at the end."""
    rows = scores[(scores["stage"] == "training") & (scores["metric"] == "return") & (scores["agent"] == circuit)]
    rows = rows.sort_values("step")
    controls = {
        seed: curve.set_index("step")["value"] for seed, curve in rows[rows["study"] == "control"].groupby("seed")
    }
    found = {}
    for onset, duration in itertools.product(ONSETS, DURATIONS):
        ends = rows[rows["study"] == f"{onset} {duration}"].groupby("seed").tail(1)
        lost = []
        for seed, step, value in zip(ends["seed"], ends["step"], ends["value"], strict=True):
            # Both are evaluated after whole rollouts, and so at steps that may differ by one of them.
            control = controls[seed]
            lost.append(100 * (1 - value / control.iloc[np.abs(control.index - step).argmin()]))
        found[onset, duration] = np.array(lost)
    return found


def table(scores: pd.DataFrame) -> str:
    """Return the Markdown table of what each deficit costs, and whether its time matters."""
    columns = ["circuit", "seeds", "masked from step", "for steps", "lost, %", "more than when latest, %", "verdict"]
    lines = []
    for circuit in CIRCUITS:
        lost = costs(scores, circuit)
        for (onset, duration), shares in lost.items():
            latest = lost[ONSETS[-1], duration]
            if len(shares) != len(latest) or not len(shares):
                continue  # not all of its runs are done
            cost, beyond = bootstrap_iqm(shares), bootstrap_iqm(shares - latest)
            compared = ["", ""] if onset == ONSETS[-1] else [interval_text(beyond, 1), judge(cost, beyond)]
            lines.append([circuit, len(shares), f"{onset:,}", f"{duration:,}", interval_text(cost, 1), *compared])
    return markdown_table(columns, *lines)


def judge(cost: Interval, beyond_latest: Interval) -> str:
    """Return the verdict on a deficit, in percent of the control's return.

    "critical" if the cost's whole interval lies above `COST` and the same deficit at the latest onset costs less,
    seed by seed, with a whole interval above 0; "lasting" if only the first holds; "none seen" otherwise.
    """
    if cost.low <= COST:
        return "none seen"
    return "critical" if beyond_latest.low > 0 else "lasting"


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train with the joints' angles masked for a while, early and late, and as long without."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    scores = trial_scores(arguments, lambda _: [trials(arguments.seeds)])
    publish({"costs": table(scores)}, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
