"""What modules, rewiring, squares and radial bases bring on swimmer6: a table of docs/results/structure.md.

    python -m nervecord.benchmarks.results.rewiring runs/rewiring --page docs/results/structure.md

The verdict follows from a rule that was fixed before the runs: an agent is ahead of a control where the 95 % interval
of the difference, seed by seed, lies above 0, and it "helps" where it is ahead of each of its controls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...intervals import bootstrap_iqm
from ...training.runs.config import RunConfig
from ...training.studies.markdown import markdown_table
from ...training.studies.trials import Trial
from .command import start
from .stored import trial_scores
from .tables import StudyArguments, interval_text, publish

_STEPS, _EVERY = 204_800, 20_480  # environment steps: of a run, and from one evaluation to the next
_MODULES: Mapping[str, Any] = {"ensembles": "body", "rewire_every": 2}
ARMS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "MLP": ("mlp", {}),
    "modules that rewire": ("mlp", _MODULES),
    "modules, never rewired": ("mlp", {**_MODULES, "rewire_every": 0}),
    "modules, rewired at random": ("mlp", {**_MODULES, "grow": "random"}),
    "as many synapses, anywhere": ("mlp", {**_MODULES, "p_intra": 0.36, "p_inter": 0.36}),
    "quadratic": ("mlp", {"neuron": "quadratic"}),
    "MLP, as wide as quadratic": ("mlp", {"hidden": (116, 116)}),
    "radial bases": ("rbf", {}),
}
CONTROLS: Mapping[str, tuple[str, ...]] = {
    "modules that rewire": (
        "MLP", "modules, never rewired", "modules, rewired at random", "as many synapses, anywhere"
    ),
    "quadratic": ("MLP", "MLP, as wide as quadratic"),
    "radial bases": ("MLP",),
}  # fmt: skip
# On the way, and at the end.
MEASURES = ("return, mean over training", "return, trained")


def trials(seeds: int) -> dict[str, Trial]:
    """Return a run of each arm and seed."""
    found = {}
    for number, (arm, (circuit, options)) in enumerate(ARMS.items()):
        for seed in range(seeds):
            config = RunConfig(
                circuit, "ppo", seed=seed, steps=_STEPS, circuit_options=options, evaluate_every=_EVERY,
                checkpoint_every=_STEPS,
            )  # fmt: skip
            found[f"{number}/{seed}"] = Trial("rewiring", arm, config)
    return found


def measured(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each arm and seed, with a column for each of `MEASURES`."""
    returns = scores[scores["metric"] == "return"]
    whole = returns[(returns["stage"] == "trained") & returns["episode"].notna()]
    parts = (returns[returns["stage"] == "training"], whole)
    means = [rows.groupby(["agent", "seed"])["value"].mean() for rows in parts]
    return pd.concat(means, axis=1, keys=list(MEASURES)).dropna().reset_index()


def tables(scores: pd.DataFrame) -> dict[str, str]:
    """Return the table of all arms, and that of the verdicts, in Markdown."""
    rows = measured(scores)
    weights = scores.groupby("agent")["weights"].median()
    lines, verdicts = [], []
    for arm in ARMS:
        of_arm = rows[rows["agent"] == arm]
        if of_arm.empty:
            continue
        cells = [interval_text(bootstrap_iqm(of_arm[measure])) for measure in MEASURES]
        lines.append([arm, f"{weights[arm]:.0f}", len(of_arm), *cells])
    for arm, controls in CONTROLS.items():
        for measure in MEASURES:
            wide = rows.pivot_table(index="seed", columns="agent", values=measure)
            if not {arm, *controls} <= set(wide):
                continue
            beyond = [bootstrap_iqm((wide[arm] - wide[control]).dropna()) for control in controls]
            ahead = [control for control, found in zip(controls, beyond, strict=True) if found.low > 0]
            told = "; ".join(
                f"{control}: {interval_text(found)}" for control, found in zip(controls, beyond, strict=True)
            )
            verdict = "helps" if len(ahead) == len(controls) else f"ahead of {len(ahead)} of {len(controls)}"
            verdicts.append([arm, measure, told, verdict])
    return {
        "rewiring": markdown_table(["agent", "weights", "seeds", *MEASURES], *lines),
        "rewiring-verdicts": markdown_table(["agent", "measure", "beyond each control", "verdict"], *verdicts),
    }


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train MLPs with modules, squares and all their controls."""

    seeds: int = 5
    """Seeds of each."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    scores = trial_scores(arguments, lambda _: [trials(arguments.seeds)], "rewiring")
    publish(tables(scores), arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
