"""SB3's logger for a run: it writes one tidy table and TensorBoard's files."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat

from ...files import write_csv
from .folder import read_metrics


class TidyTable(KVWriter):
    """Append (step, metric, value) rows to a CSV file, flushed after each dump.

    A second dump at the same step replaces the first one's values: SB3's off-policy algorithms dump
    once for each environment whose episode ends.
    """

    def __init__(self, path: Path) -> None:
        is_new = not path.exists()
        self._file = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115  (closed by `close`, as SB3 asks)
        self._writer = csv.writer(self._file, lineterminator="\n")
        if is_new:
            self._writer.writerow(["step", "metric", "value"])
        self._step, self._values = -1, dict[str, str]()
        self._begin = 0  # offset in the file of this step's rows

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write one dump's numbers; `key_excluded` names other formats' exclusions."""
        values = {
            key: repr(float(value))
            for key, value in sorted(key_values.items())
            if isinstance(value, (int, float, np.number)) and "csv" not in (key_excluded.get(key) or ())
        }
        self._file.flush()
        if step != self._step:
            self._step, self._values, self._begin = step, {}, self._file.tell()
        elif self._values.keys() & values.keys():
            # Truncated before it is written again: a process killed in between leaves fewer rows, but no wrong ones.
            self._file.truncate(self._begin)
            self._file.seek(0, os.SEEK_END)
            values, self._values = self._values | values, {}
        self._values |= values
        self._writer.writerows((step, key, value) for key, value in values.items())
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def make_logger(folder: Path, resumed_at: int | None) -> Logger:
    """Return a logger for a run.

    Args:
        folder: folder of the run.
        resumed_at: the step of the checkpoint from which the run resumes; None for a new run. Rows after it, or all
            rows for a new run, are deleted, because training writes them again.
    """
    table = folder / "metrics.csv"
    if table.exists():
        rows = read_metrics(table)
        kept = rows[rows["step"] <= (-1 if resumed_at is None else resumed_at)]
        write_csv(table, kept)
    tensorboard = TensorBoardOutputFormat(str(folder / "tensorboard"))
    return Logger(str(folder), [TidyTable(table), tensorboard])
