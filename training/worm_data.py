"""Recordings of living worms: calcium traces with the names of their neurons, read worm by worm."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import InvalidRecording
from .extras import require

HUB = "datasets/qsimeon/celegans_neural_data/worm_data_short.parquet"
_COLUMNS = ("source_dataset", "worm", "neuron", "is_labeled_neuron", "calcium_data", "time_in_seconds")
_ROWS = 64  # read at a time
_BUFFER = 2**20  # bytes of a column read at a time; without it, all of a row group's, and the published file has one
_WORM = ("source_dataset", "worm")


@dataclasses.dataclass(frozen=True)
class CalciumRecording:
    """One worm's neurons over T frames.

    Attributes:
        source: the study it comes from.
        worm: its name there.
        neurons: names of those that were identified.
        activity: z-scored fluorescence of each, no unit.
        dt: seconds per frame, the median.
    """

    source: str
    worm: str
    neurons: tuple[str, ...]
    activity: Float[np.ndarray, "T N"]
    dt: float


def read_worms(data: str | Path = "hub") -> Iterator[CalciumRecording]:
    """Yield worms one after another from homogenised calcium recordings, of which only a few rows are held.

    A row is one neuron of one worm, with the columns of Simeon et al. 2024 (https://arxiv.org/abs/2411.12091):
    source_dataset, worm, neuron, is_labeled_neuron, calcium_data [T] and time_in_seconds [T]. Neurons that
    were not identified are left out, and worms without identified ones.

    Args:
        data: a parquet file, or "hub" for qsimeon/celegans_neural_data on the Hugging Face Hub, which is
            read through the network as it is needed.

    Raises:
        MissingDependency: pyarrow, or for the hub huggingface_hub, is not installed.
        InvalidRecording: no such file, no network, no parquet, a column is missing, or a worm's rows do not
            stand together or differ in length.
    """
    parquet = require("pyarrow.parquet", "calcium", *(["huggingface_hub"] if str(data) == "hub" else []))
    try:
        file = parquet.ParquetFile(_open(data), buffer_size=_BUFFER, pre_buffer=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidRecording(
            f"{data} cannot be read as parquet ({reason}); give a parquet file of calcium recordings, or 'hub' "
            "where there is a network"
        ) from error
    if missing := [column for column in _COLUMNS if column not in file.schema_arrow.names]:
        raise InvalidRecording(f"{data} has no column {missing[0]!r}; it needs {', '.join(_COLUMNS)}")
    rows = (row for batch in file.iter_batches(_ROWS, columns=list(_COLUMNS)) for row in batch.to_pylist())
    seen: set[tuple[str, ...]] = set()
    for worm, of_worm in itertools.groupby(rows, key=lambda row: tuple(str(row[name]) for name in _WORM)):
        if worm in seen:
            raise InvalidRecording(f"{data}: the rows of {' '.join(worm)} do not stand together; sort it by worm")
        seen.add(worm)
        labelled = [row for row in of_worm if row["is_labeled_neuron"]]
        if labelled:
            yield _recording(worm, labelled)


def _open(data: str | Path) -> Any:
    if str(data) != "hub":
        return str(data)
    hub = require("huggingface_hub", "calcium")
    try:
        return hub.HfFileSystem().open(HUB)
    except Exception as error:
        # Whatever failed on the way, from a name that does not resolve to an answer of 404.
        raise InvalidRecording(
            f"the Hugging Face Hub cannot be reached ({type(error).__name__}); download "
            f"{HUB.removeprefix('datasets/')} elsewhere and give its path"
        ) from error


def _recording(worm: tuple[str, ...], rows: list[dict[str, Any]]) -> CalciumRecording:
    lengths = {len(row[name]) for row in rows for name in ("calcium_data", "time_in_seconds")}
    if len(lengths) > 1 or min(lengths) < 2:
        raise InvalidRecording(
            f"{' '.join(worm)} has traces of {sorted(lengths)} frames; give as many to each, 2 or more"
        )
    times = np.asarray(rows[0]["time_in_seconds"], float)
    traces = np.array([row["calcium_data"] for row in rows], float).T
    return CalciumRecording(
        worm[0], worm[1], tuple(row["neuron"] for row in rows), traces, float(np.median(np.diff(times)))
    )
