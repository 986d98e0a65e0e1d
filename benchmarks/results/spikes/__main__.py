"""What spikes, and memories that wire themselves, cost and bring: the tables of docs/results/spikes.md.

    python -m nervecord.benchmarks.results.spikes runs/spikes --workers 2 --page docs/results/spikes.md

Every measurement is a file. A second start goes on with what is not there, and the tables have what is finished.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

import tyro

from ..tables import StudyArguments, fill_page
from . import bits, liquids, recall, speed, swimming, turning
from .kept import Measurement, measure

Part = Literal["swim", "rates", "bits", "recall", "liquids", "turning", "readouts", "speed"]
# What is measured in each part, in this order: "rates" needs what "swim" has trained, "speed" takes one core alone.
PARTS: Mapping[Part, Callable[[Path, int], Mapping[str, Measurement]]] = {
    "swim": swimming.wanted,
    "rates": swimming.wanted_of_rates,
    "bits": bits.wanted,
    "recall": recall.wanted,
    "liquids": liquids.wanted,
    "turning": turning.wanted,
    "readouts": swimming.wanted_of_readouts,
    "speed": speed.wanted,
}


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train, convert and disturb circuits that fire, liquids and one-shot memories, and write tables."""

    seeds: int = 5
    """Seeds of each."""
    parts: tuple[Part, ...] = get_args(Part)
    """What to measure."""


def main() -> None:
    """Run what the command line asks for."""
    arguments = tyro.cli(_Arguments)
    for part in arguments.parts:
        measure(arguments.out, PARTS[part](arguments.out, arguments.seeds), arguments.workers, part)
    made = {
        name: table
        for file in (speed, swimming, bits, turning, recall, liquids)
        for name, table in file.tables(arguments.out).items()
    }
    print(*made.values(), sep="\n\n")
    if arguments.page:
        fill_page(arguments.page, made)


if __name__ == "__main__":
    main()
