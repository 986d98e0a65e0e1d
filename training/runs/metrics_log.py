"""SB3's logger writing to a run: one tidy table and TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat

from ...files import write_whole
from .folder import read_metrics


class TidyTable(KVWriter):
    """Append (step, metric, value) rows to a CSV file, each dump at once."""

    def __init__(self, path: Path) -> None:
        is_new = not path.exists()
        self._file = open(path, "a", newline="")  # noqa: SIM115  (closed by `close`, as SB3 asks)
        self._writer = csv.writer(self._file)
        if is_new:
            self._writer.writerow(["step", "metric", "value"])

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write one dump's numbers; `key_excluded` names other formats' exclusions."""
        rows = [
            (step, key, repr(float(value)))
            for key, value in sorted(key_values.items())
            if isinstance(value, (int, float, np.number)) and "csv" not in (key_excluded.get(key) or ())
        ]
        self._writer.writerows(rows)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def make_logger(folder: Path, resumed_at: int) -> Logger:
    """Return a logger for a run; rows after the step it resumes at are dropped, to be written again."""
    table = folder / "metrics.csv"
    if table.exists():
        rows = read_metrics(table)
        kept = rows[rows["step"] <= resumed_at]
        write_whole(table, lambda partial: kept.to_csv(partial, index=False))
    tensorboard = TensorBoardOutputFormat(str(folder / "tensorboard"))
    return Logger(str(folder), [TidyTable(table), tensorboard])
