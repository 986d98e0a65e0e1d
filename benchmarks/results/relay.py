"""`relay` beside NCAP on the plain swimmers, untrained, trained and on other lengths: a table of docs/results/world.md.

python -m nervecord.benchmarks.results.relay runs/relay --page docs/results/world.md
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tyro

from ...training.runs.config import RunConfig
from ...training.runs.trial_files import TrialFiles
from ...training.studies.trials import Trial, run_trials
from .command import start
from .tables import fill_page, returns_table

STEPS = 512_000
BODIES = ("swimmer4", "swimmer8", "swimmer12", "swimmer20", "swimmer40")
_LEARNERS: Mapping[str, Mapping[str, Any]] = {"es": {"n_envs": 32}, "cmaes": {"n_envs": 16, "sigma": 0.3}}
_CIRCUITS = ("relay", "ncap")


def trials(seeds: int) -> dict[str, Trial]:
    """Return both circuits under both learners."""
    found = {}
    for circuit, (algorithm, options), seed in itertools.product(_CIRCUITS, _LEARNERS.items(), range(seeds)):
        config = RunConfig(circuit, algorithm, seed=seed, steps=STEPS, algorithm_options=options)
        found[f"{circuit}-{algorithm}/{seed}"] = Trial("relay", f"{circuit}, {algorithm}", config, True, BODIES)
    return found


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """Train relay and NCAP by ES and CMA-ES on swimmer6; print their table."""

    out: tyro.conf.Positional[Path]
    """Folder of the runs and their scores."""
    seeds: int = 30
    """Seeds of each."""
    workers: int = 1
    """Runs at a time."""
    page: Path | None = None
    """A page in which to put the table, such as docs/results/world.md."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    files = TrialFiles(arguments.out)
    run_trials(trials(arguments.seeds), arguments.out / "runs", files, workers=arguments.workers)
    agents = [f"{circuit}, {algorithm}" for circuit, algorithm in itertools.product(_CIRCUITS, _LEARNERS)]
    table = returns_table(files.table(), agents, BODIES)
    print(table)
    if arguments.page:
        fill_page(arguments.page, {"relay": table})


if __name__ == "__main__":
    start(main, _Arguments)
