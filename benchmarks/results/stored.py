"""Trials of long studies, stored beside their pages, which are made from them and can be gone on with elsewhere."""

from __future__ import annotations

import contextlib
import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ...errors import InvalidOption
from ...files import write_whole
from ...training.runs.trial_files import TrialFiles


def store(study: Path, archive: Path) -> None:
    """Write the trials of a study's folder as one archive, the same bytes for the same trials.

    Raises:
        InvalidOption: the folder has no trials.
    """
    files = sorted((study / "trials").glob("*.json"))
    if not files:
        raise InvalidOption(f"{study} has no trials; give the folder of a study")

    def write(partial: Path) -> None:
        with tarfile.open(partial, "w:xz", preset=9) as packed:
            for file in files:
                content = file.read_bytes()
                entry = tarfile.TarInfo(f"trials/{file.name}")
                entry.size = len(content)
                packed.addfile(entry, io.BytesIO(content))

    write_whole(archive, write)


@contextlib.contextmanager
def stored(archive: Path) -> Iterator[TrialFiles]:
    """Open the trials in an archive for as long as the context lasts.

    Raises:
        InvalidOption: there is no such archive.
    """
    if not archive.exists():
        raise InvalidOption(f"{archive} does not exist; give the folder of a study whose trials are to be stored there")
    with tempfile.TemporaryDirectory(prefix="nervecord-") as folder:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        yield TrialFiles(folder)
