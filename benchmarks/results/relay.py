"""`relay` beside NCAP on the plain swimmers, untrained, trained and on other lengths: a table of docs/results/world.md.

python -m nervecord.benchmarks.results.relay runs/relay --page docs/results/world.md
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from ...training.runs.config import RunConfig
from ...training.studies.trials import Trial
from .command import start
from .stored import trial_scores
from .tables import StudyArguments, publish, returns_table

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
class _Arguments(StudyArguments):
    """Train relay and NCAP by ES and CMA-ES on swimmer6; print their table."""

    seeds: int = 30
    """Seeds of each."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    scores = trial_scores(arguments, lambda _: [trials(arguments.seeds)], "relay")
    agents = [f"{circuit}, {algorithm}" for circuit, algorithm in itertools.product(_CIRCUITS, _LEARNERS)]
    publish({"relay": returns_table(scores, agents, BODIES)}, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
