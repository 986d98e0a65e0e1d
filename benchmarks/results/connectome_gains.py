"""Keep a connectome's gains at 0 or above in three ways, and see which learns best: for docs/results/connectome.md.

python -m nervecord.benchmarks.results.connectome_gains runs/gains --page docs/results/connectome.md

The rule, fixed before the runs: another form takes the place of `clamp` as the default of the circuit if, by both
learners, the interquartile mean over seeds of its trained return is no lower than that of `clamp`, and if by at least
one of them the mean difference to `clamp`, paired over seeds, is 20 of 1000 or more and its 95 % bootstrap interval is
above 0: less is not worth that older pages and runs mean another circuit. Of two that do, the one with the larger sum
of both differences. Otherwise `clamp` stays. Returns on bodies never trained on are shown and do not count.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ...circuits.connectome import Connectome
from ...files import read_json, write_json
from ...intervals import bootstrap_iqm, bootstrap_mean
from ...training.runs.config import RunConfig
from ...training.runs.run import Run
from ...training.runs.trial_files import TrialFiles
from ...training.studies.markdown import markdown_table
from ...training.studies.trials import Trial, run_trials
from .command import start
from .stored import TRIALS, results
from .tables import StudyArguments, interval_text, publish

FORMS = ("clamp", "softplus", "projection")
STEPS = {"es": 640_000, "ppo": 200_000}  # 20 generations; 49 rollouts
BODIES = ("swimmer8", "swimmer12")
_LEAST = 20.0  # of a return's 1000
_DEAD = 1e-3  # a gain below it is called 0: a hundredth of where the weakest start
_GRAPH = "cook2019"
_ZEROS = "zeros.json"


def trials(seeds: int) -> dict[str, Trial]:
    """Return forms x learners x seeds."""
    found = {}
    for form, algorithm, seed in itertools.product(FORMS, STEPS, range(seeds)):
        options = {"graph": _GRAPH, "nonnegative": form}
        config = RunConfig("connectome", algorithm, seed=seed, steps=STEPS[algorithm], circuit_options=options)
        found[f"{form}/{algorithm}/{seed}"] = Trial(algorithm, form, config, True, BODIES)
    return found


def gains_at_zero(run: Run) -> tuple[int, int]:
    """Return how many gains act as 0 after training, and how many of these have no gradient."""
    circuit = run.agent().circuit
    assert isinstance(circuit, Connectome)
    dead = circuit.gains.detach() < _DEAD
    (gradient,) = torch.autograd.grad(circuit.gains.sum(), [circuit.gain])
    return int(dead.sum()), int((dead & (gradient == 0)).sum())


def table(scores: pd.DataFrame, zeros: Mapping[str, Sequence[int]], algorithm: str) -> str:
    """Return the table of one learner: trained returns, paired differences to `clamp`, and gains at 0.

    Args:
        scores: of the trials.
        zeros: what `gains_at_zero` found of each trial.
        algorithm: the learner.
    """
    rows = scores[(scores["study"] == algorithm) & (scores["metric"] == "return") & scores["episode"].notna()]

    def returns(form: str, body: str, stage: str = "trained") -> pd.Series:
        chosen = rows[(rows["agent"] == form) & (rows["body"] == body) & (rows["stage"] == stage)]
        return chosen.groupby("seed")["value"].mean()

    lines = []
    for form in FORMS:
        own = returns(form, "swimmer6")
        less = bootstrap_mean((own - returns("clamp", "swimmer6")).to_numpy())
        counted = [zeros[f"{form}/{algorithm}/{seed}"] for seed in own.index]
        spans = [f"{min(each)} to {max(each)}" for each in zip(*counted, strict=True)]
        scored = [bootstrap_iqm(each) for each in (own, *(returns(form, body) for body in BODIES))]
        lines.append((
            form, f"{len(own)}", f"{returns(form, 'swimmer6', 'untrained').mean():.0f}",
            interval_text(scored[0]),
            "" if form == "clamp" else f"{less.mean:+.0f} [{less.low:+.0f}, {less.high:+.0f}]",
            *map(interval_text, scored[1:]), *spans,
        ))  # fmt: skip
    titles = ("gains", "seeds", "untrained", "trained", "above clamp", *BODIES, "at 0", "without gradient")
    return markdown_table(titles, *lines)


def verdict(scores: pd.DataFrame) -> str:
    """Return the form that the rule at the head of this file makes the default."""
    rows = scores[(scores["metric"] == "return") & (scores["body"] == "swimmer6") & (scores["stage"] == "trained")]
    means = rows[rows["episode"].notna()].groupby(["study", "agent", "seed"])["value"].mean()
    best, most = "clamp", 0.0
    for form in FORMS[1:]:
        differences = [means[study, form] - means[study, "clamp"] for study in STEPS]
        not_lower = [bootstrap_iqm(means[s, form]).mean >= bootstrap_iqm(means[s, "clamp"]).mean for s in STEPS]
        found = [bootstrap_mean(each.to_numpy()) for each in differences]
        above = [each.low > 0 and each.mean >= _LEAST for each in found]
        total = float(np.sum([each.mean() for each in differences]))
        if all(not_lower) and any(above) and total > most:
            best, most = form, total
    return best


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train the connectome with gains kept from below 0 by a clamp, a softplus and a projection."""

    seeds: int = 5
    """Seeds of each."""


def run_all(out: Path, arguments: _Arguments) -> None:
    """Train every form by every learner with every seed, and count the gains at 0."""
    wanted = trials(arguments.seeds)
    run_trials(wanted, out / "runs", TrialFiles(out), workers=arguments.workers)
    write_json(out / _ZEROS, {name: gains_at_zero(Run(out / "runs" / name)) for name in wanted})


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    kept = (*TRIALS, _ZEROS)
    with results(arguments, "gains", functools.partial(run_all, arguments=arguments), kept) as folder:
        scores, zeros = TrialFiles(folder).table(), read_json(folder / _ZEROS, f"{folder} is damaged")
    publish({f"gains-{algorithm}": table(scores, zeros, algorithm) for algorithm in STEPS}, arguments.page)
    print(f"\ndefault by the rule: {verdict(scores)}")


if __name__ == "__main__":
    start(main, _Arguments)
