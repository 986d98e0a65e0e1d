"""Ablations of the NCAP prior: circuits without each of its parts, before and after training."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ...agents import Agent
from ...circuits import CIRCUITS
from ...drawing.figures import ablation_bars
from ...errors import CircuitMismatch, InvalidOption, InvalidRun
from ...intervals import bootstrap_iqm
from ...options import COUNT, FLAG, PATH, checked
from ..learning.checks import check
from ..learning.engine import Engine
from ..rollouts.evaluation import check_episodes
from ..runs.config import A_CONFIG, RunConfig
from ..runs.result import UNTRAINED
from ..runs.trial_files import TrialFiles
from .trials import AFTER, Trial, check_written, run_trials
from .written import FIGURES, TABLES, estimates, write_figure, write_table

_STUDY = "ablation"
# Name of each choice: with the prior, without it, and the circuit's option with both values.
_CHOICES: tuple[tuple[str, str, str, Any, Any], ...] = (
    ("shared", "unshared", "sharing", True, False),
    ("signed", "unsigned", "sign_constraints", True, False),
    ("constant", "uniform", "init", "constant", "uniform"),
)
_PARTS: Mapping[str, Mapping[str, Any]] = {
    "no proprioception": {"proprioception": False},
    "no oscillator": {"oscillator": False},
}


def lattice() -> dict[str, dict[str, Any]]:
    """Return the options of every ablation by its label, the whole prior first.

    Weight sharing x sign constraints x constant initial weights, and the whole prior without each of its
    two sources of rhythm.
    """
    found: dict[str, dict[str, Any]] = {}
    for choice in itertools.product((0, 1), repeat=len(_CHOICES)):
        label = ", ".join(names[taken] for names, taken in zip(_CHOICES, choice, strict=True))
        found[label] = {names[2]: names[3 + taken] for names, taken in zip(_CHOICES, choice, strict=True)}
    return found | {label: dict(options) for label, options in _PARTS.items()}


def ablation_trials(config: RunConfig, seeds: int) -> dict[str, Trial]:
    """Return the trials of every ablation of a config's circuit, by name.

    Raises:
        CircuitMismatch: the circuit has no such parts to leave out, or cannot be built.
        InvalidOption: no seeds.
    """
    if seeds < 1:
        raise InvalidOption(f"seeds is {seeds}; give 1 or more")
    needed = {option for options in lattice().values() for option in options}
    able = [name for name, entry in CIRCUITS.working().items() if needed <= entry.options.keys()]
    if config.circuit not in able:
        raise CircuitMismatch(f"ablate takes {' or '.join(able)}; {config.circuit} has no such parts to leave out")
    trials = {}
    for label, options in lattice().items():
        chosen = dataclasses.replace(config, circuit_options={**config.circuit_options, **options})
        Agent(check(chosen).agent)
        for seed in range(config.seed, config.seed + seeds):
            name = f"{_STUDY}/{config.algorithm}/{label.replace(', ', '-').replace(' ', '-')}/{seed}"
            trials[name] = Trial(_STUDY, label, dataclasses.replace(chosen, seed=seed), untrained=True)
    return trials


@checked(InvalidOption, config=A_CONFIG, out=PATH, seeds=COUNT, episodes=COUNT, progress=FLAG)
def ablate(
    config: RunConfig,
    out: str | Path,
    seeds: int = 5,
    episodes: int = 20,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train a circuit without each part of its prior, and write all scores to `out`/results.sqlite.

    The table and its figure are written as ablation.csv, .md, .tex, .svg, .pdf and .png. Calling it again resumes.
    Returns: One row per ablation: agent, weights, seeds, and the IQM over seeds of the mean return before (untrained)
    and after training (trained), each with its 95 % interval (_low, _high).

    Raises:
        CircuitMismatch: the circuit does not have these parts.
        InvalidOption: `seeds` or `episodes` is below 1.
        InvalidRun: a folder contains a run of another config, or all trials failed; the message says why the first
            did.
        OutputExists: `out` contains a table or figure that was not written by an ablation.
    """
    out = Path(out)
    files = TrialFiles(out)
    check_episodes(episodes)
    trials = ablation_trials(config, seeds)
    written = (out / f"{_STUDY}{suffix}" for suffix in (*TABLES, *FIGURES))
    check_written(files, _STUDY, written, "no ablation wrote it")
    run_trials(trials, out / "runs", files, episodes, workers, engine, address, progress)
    scores = files.table(_STUDY)
    scores = scores[scores["source"].isin(list(trials))]
    table = ablation_table(scores)
    if table.empty:
        raise InvalidRun(f"no ablation could be trained and measured; the first: {scores['note'].dropna().iloc[0]}")
    write_table(table, _printed(table), out / "ablation")
    write_figure(ablation_bars(table), out / "ablation")
    return table


def _printed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as it is read."""
    shown = table[["agent", "weights", "seeds"]].astype(str)
    for stage in ("untrained", "trained"):
        low, high = table[f"{stage}_low"], table[f"{stage}_high"]
        shown[f"{stage}: return, IQM [95 % interval]"] = estimates(table[stage], low, high)
    return shown


def ablation_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the table that `ablate` returns, one row per ablation, of the scores of its study.

    Scores are the rows of its table; see `read_scores`. Returns have no unit.
    """
    returns = scores[(scores["metric"] == "return") & scores["episode"].notna()]
    rows = []
    for agent in lattice():
        of_agent = returns[returns["agent"] == agent]
        if of_agent.empty:
            continue
        row: dict[str, Any] = {"agent": agent, "weights": int(of_agent["weights"].iloc[0])}
        for stage, stages in (("untrained", (UNTRAINED,)), ("trained", AFTER)):
            found = bootstrap_iqm(of_agent[of_agent["stage"].isin(stages)].groupby("seed")["value"].mean())
            row |= {"seeds": found.n, stage: found.mean, f"{stage}_low": found.low, f"{stage}_high": found.high}
        rows.append(row)
    return pd.DataFrame(rows)
