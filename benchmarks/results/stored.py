"""Results of long studies, stored beside their pages, which are made from them and can be gone on with elsewhere."""

from __future__ import annotations

import contextlib
import io
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ...errors import InvalidOption
from ...files import write_whole
from ...training.runs.trial_files import TrialFiles
from ...training.studies.trials import Trial, run_trials
from .tables import StudyArguments

TRIALS = ("trials/*.json",)


def trial_scores(
    arguments: StudyArguments, rounds: Callable[[Path], Iterable[Mapping[str, Trial]]], name: str = "trials"
) -> pd.DataFrame:
    """Run the trials of a study, or open those stored beside its page, and return the table of their scores.

    Args:
        arguments: see `results`.
        rounds: given the folder of the runs, trials by name; those of a round may start from runs of earlier rounds.
        name: of the archive.

    Raises:
        InvalidOption: what is stored is of another study; see `results` for the rest.
    """

    def run(out: Path) -> None:
        for trials in rounds(out / "runs"):
            run_trials(trials, out / "runs", TrialFiles(out), workers=arguments.workers)

    with results(arguments, name, run) as folder:
        scores = TrialFiles(folder).table()
        own = {(trial.study, trial.agent) for trials in rounds(folder / "runs") for trial in trials.values()}
    if own.isdisjoint(zip(scores["study"], scores["agent"], strict=True)):
        raise InvalidOption(f"what is stored beside {arguments.page} is of another study; give this study's own page")
    return scores


@contextlib.contextmanager
def results(
    arguments: StudyArguments, name: str, run: Callable[[Path], None], kept: Sequence[str] = TRIALS
) -> Iterator[Path]:
    """Open the folder that has a study's results: its own, after it has run, or the one stored beside its page.

    Args:
        arguments: without `out`, nothing runs. With `out` and `page`, what is found is stored beside the page.
        name: of the archive.
        run: runs the study in its folder.
        kept: patterns of the files that the tables are made from.

    Raises:
        InvalidOption: neither folder nor page is given, or nothing is stored beside the page.
    """
    if arguments.page is None and arguments.out is None:
        raise InvalidOption("give the folder of the runs, or --page alone to make its tables from what is stored")
    archive = None if arguments.page is None else arguments.page.with_suffix("") / f"{name}.tar.xz"
    if arguments.out is not None:
        run(arguments.out)
        if archive is not None:
            store(arguments.out, archive, kept)
        yield arguments.out
    elif archive is not None:
        with stored(archive) as folder:
            yield folder


def store(study: Path, archive: Path, kept: Sequence[str] = TRIALS) -> None:
    """Write files of a study's folder as one archive, the same bytes for the same files.

    Raises:
        InvalidOption: the folder has none.
    """
    files = sorted(file for pattern in kept for file in study.glob(pattern))
    if not files:
        raise InvalidOption(f"{study} has no {' or '.join(kept)}; give the folder of a study")

    def write(partial: Path) -> None:
        with tarfile.open(partial, "w:xz", preset=9) as packed:
            for file in files:
                content = file.read_bytes()
                entry = tarfile.TarInfo(file.relative_to(study).as_posix())
                entry.size = len(content)
                packed.addfile(entry, io.BytesIO(content))

    write_whole(archive, write)


@contextlib.contextmanager
def stored(archive: Path) -> Iterator[Path]:
    """Unpack an archive into a folder that is there for as long as the context lasts.

    Raises:
        InvalidOption: there is no such archive.
    """
    if not archive.exists():
        raise InvalidOption(f"{archive} does not exist; give the folder of a study, whose results are stored there")
    with tempfile.TemporaryDirectory(prefix="nervecord-") as folder:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        yield Path(folder)
