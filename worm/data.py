"""Calcium recordings of worms with identified neurons, read worm by worm."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import InvalidRecording
from ..extras import require

HUB = "datasets/qsimeon/celegans_neural_data/worm_data_short.parquet"
_COLUMNS = ("source_dataset", "worm", "neuron", "is_labeled_neuron", "calcium_data", "time_in_seconds")
_ROWS = 64  # read at a time
_BUFFER = 2**20  # bytes of a column to read at a time; the default is a whole row group, and the published file has one
_WORM = ("source_dataset", "worm")


@dataclasses.dataclass(frozen=True)
class CalciumRecording:
    """One worm's neurons over T frames.

    Attributes:
        source: name of the study.
        worm: name of the worm in the study.
        neurons: names of the identified neurons.
        activity: z-scored fluorescence of each neuron.
        dt: median seconds per frame.
    """

    source: str
    worm: str
    neurons: tuple[str, ...]
    activity: Float[np.ndarray, "T N"]
    dt: float


def read_worms(data: str | Path = "hub", source: str | None = None) -> Iterator[CalciumRecording]:
    """Yield worms from harmonised calcium recordings, reading a few rows at a time.

    A row is one neuron of one worm, with the columns of Simeon et al. 2024 (https://arxiv.org/abs/2411.12091):
    source_dataset, worm, neuron, is_labeled_neuron, calcium_data [T] and time_in_seconds [T]. Neurons that
    were not identified are left out, and worms without identified ones.

    Args:
        data: a parquet file, or "hub" for qsimeon/celegans_neural_data on the Hugging Face Hub, which is
            read through the network as it is needed.
        source: yield only worms of this study, such as Kato2015.

    Raises:
        MissingDependency: pyarrow, or for the hub huggingface_hub, is not installed.
        InvalidRecording: the file is missing, unreachable, truncated or not parquet; a column is missing or of the
            wrong type; no worm is from that study; or a worm's rows are not consecutive, differ in length, or have
            times that decrease.
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
    for column, (wanted, fits) in _types().items():
        if not fits(file.schema_arrow.field(column).type):
            kind = file.schema_arrow.field(column).type
            raise InvalidRecording(f"{data}: {column} has the type {kind}; give {wanted}")
    seen: set[tuple[str, ...]] = set()
    for worm, of_worm in itertools.groupby(_rows(file, data), key=lambda row: tuple(str(row[name]) for name in _WORM)):
        if worm in seen:
            raise InvalidRecording(f"{data}: the rows of {' '.join(worm)} are not consecutive; sort it by worm")
        seen.add(worm)
        labelled = [row for row in of_worm if row["is_labeled_neuron"]]
        if labelled and source in (None, worm[0]):
            yield _recording(worm, labelled)
    if source is not None and source not in {study for study, _ in seen}:
        raise InvalidRecording(
            f"{data} has no worm of study {source!r}; it has {', '.join(sorted({study for study, _ in seen}))}"
        )


def _types() -> dict[str, tuple[str, Callable[[Any], bool]]]:
    """Return the type that each column must have, in words and as a test of an arrow type."""
    kinds = require("pyarrow", "calcium").types

    def is_trace(kind: Any) -> bool:
        lists = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list)
        return any(fits(kind) for fits in lists) and is_number(kind.value_type)

    def is_number(kind: Any) -> bool:
        return bool(kinds.is_floating(kind) or kinds.is_integer(kind))

    return {
        "is_labeled_neuron": ("true or false", kinds.is_boolean),
        "calcium_data": ("lists of numbers", is_trace),
        "time_in_seconds": ("lists of numbers", is_trace),
    }


def _rows(file: Any, data: str | Path) -> Iterator[dict[str, Any]]:
    count = 0
    try:
        for batch in file.iter_batches(_ROWS, columns=list(_COLUMNS)):
            yield from batch.to_pylist()
            count += batch.num_rows
    except Exception as error:
        # The exception for a damaged page or a lost network depends on the underlying library.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidRecording(f"{data} ends after {count} rows ({reason}); download it again") from error


def _open(data: str | Path) -> Any:
    if str(data) != "hub":
        return str(data)
    hub = require("huggingface_hub", "calcium")
    try:
        return hub.HfFileSystem().open(HUB)
    except Exception as error:
        # Any failure of the network, from a name that does not resolve to an answer of 404.
        raise InvalidRecording(
            f"the Hugging Face Hub cannot be reached ({type(error).__name__}); download "
            f"{HUB.removeprefix('datasets/')} elsewhere and give its path"
        ) from error


def _recording(worm: tuple[str, ...], rows: list[dict[str, Any]]) -> CalciumRecording:
    name = " ".join(worm)
    for row in rows:
        if any(row[column] is None for column in ("neuron", "calcium_data", "time_in_seconds")):
            raise InvalidRecording(f"{name}, neuron {row['neuron']}: a name, trace or times are missing; leave it out")
    lengths = {len(row[column]) for row in rows for column in ("calcium_data", "time_in_seconds")}
    if len(lengths) > 1 or min(lengths) < 2:
        raise InvalidRecording(f"{name} has traces of {sorted(lengths)} frames; give as many to each, 2 or more")
    times = np.asarray(rows[0]["time_in_seconds"], float)
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise InvalidRecording(f"{name}: its time_in_seconds do not rise from frame to frame; give the time of each")
    traces = np.array([row["calcium_data"] for row in rows], float).T
    names = tuple(str(row["neuron"]) for row in rows)
    return CalciumRecording(worm[0], worm[1], names, traces, float(np.median(np.diff(times))))
