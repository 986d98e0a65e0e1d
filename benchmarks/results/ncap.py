"""The NCAP paper reproduced at its scale: the tables and figures of docs/results/ncap.md, from stored trials.

python -m nervecord.benchmarks.results.ncap --page docs/results/ncap.md

The trials come from `nervecord reproduce ncap --scale paper --out OUT`; given OUT too, this command stores them anew.
To go on where they end, unpack the archive into OUT first.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro

from ...training.runs.run import Run
from ...training.runs.trial_files import TrialFiles
from ...training.studies.ncap_paper.findings import Findings
from ...training.studies.ncap_paper.page import report_body, write_figures
from .command import start
from .stored import store, stored
from .tables import fill_page


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """Make the page of the reproduction from its trials."""

    out: tyro.conf.Positional[Path | None] = None
    """Folder of a reproduction whose trials are stored first; by default the stored ones are taken."""
    page: Path = Path("docs/results/ncap.md")
    """Page that is filled; its figures and trials are in a folder beside it."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    folder = arguments.page.with_suffix("")
    archive = folder / "trials.tar.xz"
    if arguments.out is not None:
        store(arguments.out, archive)
    with stored(archive) as folder_of_trials:
        found = Findings(TrialFiles(folder_of_trials).table())
    claims = write_figures(folder, found, Run("agent:ncap"))
    fill_page(arguments.page, {"report": report_body(found, claims, f"{folder.name}/")})
    print(claims.to_string(index=False))


if __name__ == "__main__":
    start(main, _Arguments)
