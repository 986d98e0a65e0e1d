"""What spikes, and memories that wire themselves, cost and bring: the tables of docs/results/spikes.md.

    python -m nervecord.benchmarks.results.spikes runs/spikes --workers 2 --page docs/results/spikes.md

Every measurement is a file. A second start goes on with what is not there, and the tables have what is finished. With
--page alone they are made from what is stored beside the page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

from ..command import start
from ..stored import results
from ..tables import StudyArguments, publish
from . import bits, liquids, recall, speed, swimming, turning
from .kept import KEPT, Measurement, measure

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


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""

    def run(out: Path) -> None:
        for part in arguments.parts:
            measure(out, PARTS[part](out, arguments.seeds), arguments.workers, part)

    with results(arguments, "measured", run, KEPT) as folder:
        publish(tables(folder), arguments.page)


def tables(out: Path) -> dict[str, str]:
    """Return the Markdown of all that is measured so far, by the name of its place on the page."""
    files = (speed, swimming, bits, turning, recall, liquids)
    return {name: table for file in files for name, table in file.tables(out).items()}


if __name__ == "__main__":
    start(main, _Arguments)
