"""Read and write WCON, the exchange format of worm trackers for midlines (Tracker Commons).

The package `wcon` is not used because it cannot be imported with a current SciPy.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidRecording
from ..files import write_text
from ..training.rollouts.recording import Recording
from ..version import __version__
from .posture import Track, of_recording
from .units import si_value

_DIMENSIONS = {"t": "a time", "x": "a length", "y": "a length"}


def read_wcon(path: str | Path, flip_y: bool = False) -> list[Track]:
    """Read the worms of a WCON file, or of all files in a .wcon.zip, with increasing times and the head first.

    Records of the same worm are joined. If the tracker did not identify the head, the first point is taken as the head.

    Args:
        path: the file.
        flip_y: flip the y axis, for trackers whose y axis points down.

    Raises:
        InvalidRecording: the file is missing, damaged or not WCON, lacks units or has unknown ones, a worm has a time
            twice, or arrays of a record differ in length.
    """
    rows: dict[str, list[tuple[float, np.ndarray, bool]]] = {}
    for content in _contents(Path(path)):
        with _about(path):
            for name, row in _rows(content, flip_y):
                rows.setdefault(name, []).append(row)
    if not rows:
        raise InvalidRecording(f"{path} has no record of a worm; give a file with data")
    tracks = []
    for name, each in rows.items():
        each.sort(key=lambda row: row[0])
        time = np.array([row[0] for row in each])
        if (twice := np.flatnonzero(np.diff(time) == 0)).size:
            raise InvalidRecording(f"{path}: worm {name} has the time {time[twice[0]]:g} s twice; give each time once")
        tracks.append(Track(name, time, tuple(row[1] for row in each), np.array([row[2] for row in each])))
    return tracks


def write_wcon(path: str | Path, tracks: Iterable[Track], facts: Mapping[str, Any] | None = None) -> None:
    """Write worms as one WCON file, in mm and s, the head first, in double precision.

    Args:
        path: the file, which is replaced if it exists.
        tracks: the worms.
        facts: metadata about the origin, as JSON types, stored under the key @NCRD.
    """
    data = []
    for track in tracks:
        points = [(each * 1e3).tolist() for each in track.points]
        data.append({
            "id": track.id, "t": track.time.tolist(), "head": ["L" if known else "?" for known in track.known],
            **{axis: [_or_null([point[i] for point in each]) for each in points] for i, axis in enumerate("xy")},
        })  # fmt: skip
    content = {
        "units": {"t": "s", "x": "mm", "y": "mm"},
        "metadata": {"software": {"name": "nervecord", "version": __version__}},
        "data": data, "@NCRD": dict(facts or {}),
    }  # fmt: skip
    write_text(Path(path), json.dumps(content, allow_nan=False))


def write_recording(path: str | Path, recording: Recording, facts: Mapping[str, Any] | None = None) -> None:
    """Write the midlines of a recording of ours as WCON, an episode a worm: its links' ends, one point more than links.

    Args:
        path: the file, which is replaced.
        recording: of a chain of links.
        facts: of where it is from, as JSON types, beside the body.

    Raises:
        InvalidRecording: the body is not a chain of links.
    """
    tracks = [of_recording(recording, i).track(f"episode {i}") for i in range(recording.n_episodes)]
    write_wcon(path, tracks, {**(facts or {}), "body": str(recording.meta["name"])})


def _or_null(values: list[float]) -> list[float | None] | None:
    return [value if np.isfinite(value) else None for value in values] or None


class _about:  # noqa: N801
    """Let what is wrong name the file that it was read from."""

    def __init__(self, path: str | Path) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, InvalidRecording):
            raise InvalidRecording(f"{self.path}: {error}") from error
        if isinstance(error, TypeError | ValueError | KeyError | AttributeError | IndexError):
            raise InvalidRecording(f"{self.path} is not WCON ({type(error).__name__}: {error})") from error


def _contents(path: Path) -> Iterator[dict[str, Any]]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as held:
                texts = [held.read(name) for name in held.namelist() if name.endswith(".wcon")]
        else:
            texts = [path.read_bytes()]
        for text in texts:
            content = json.loads(text.decode("utf-8-sig"), parse_constant=_no_number)
            if not isinstance(content, dict):
                raise ValueError("it is not an object")
            yield content
    except OSError as error:
        raise InvalidRecording(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise InvalidRecording(f"{path} cannot be read as WCON ({error}); give JSON with units and data") from error


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON; write null for what is missing")


def _rows(content: Mapping[str, Any], flip_y: bool) -> Iterator[tuple[str, tuple[float, np.ndarray, bool]]]:
    units = content.get("units")
    if not isinstance(units, dict) or any(name not in units for name in _DIMENSIONS):
        raise InvalidRecording(
            'there are no units of t, x and y; give "units", such as {"t": "s", "x": "mm", "y": "mm"}'
        )
    value = {name: si_value(units[name], name, dimension) for name, dimension in _DIMENSIONS.items()}
    origin = {name: si_value(units[f"o{name}"], f"o{name}", "a length") if f"o{name}" in units else value[name]
              for name in "xy"}  # fmt: skip
    held = content.get("data", [])
    for record in held if isinstance(held, list) else [held]:
        name, times = str(record["id"]), record["t"]
        if not isinstance(times, list):
            raise InvalidRecording(f"t of worm {name} is {times!r}; give a list")
        columns = {}
        for axis in "xy":
            if not isinstance(record[axis], list) or len(record[axis]) != len(times):
                raise InvalidRecording(f"{axis} of worm {name} has another length than t; give a midline for each time")
            columns[axis] = record[axis]
        heads, shift = _each(record, "head", times, name), {a: _each(record, f"o{a}", times, name) for a in "xy"}
        for at, time in enumerate(times):
            if time is None or heads[at] not in (None, "L", "R", "?"):
                wrong = "a time is null" if time is None else f"head is {heads[at]!r}"
                raise InvalidRecording(f"worm {name}: {wrong}; give numbers of time, and L, R or ? for head")
            line = [_line(columns[axis][at]) * value[axis] + (shift[axis][at] or 0.0) * origin[axis] for axis in "xy"]
            if len(line[0]) != len(line[1]):
                raise InvalidRecording(
                    f"worm {name} at t {time} has {len(line[0])} x and {len(line[1])} y; give as many"
                )
            points = np.stack(line, -1) * (1, -1 if flip_y else 1)
            yield (
                name,
                (float(time) * value["t"], points[::-1] if heads[at] == "R" else points, heads[at] in ("L", "R")),
            )


def _each(record: Mapping[str, Any], key: str, times: list[Any], name: str) -> list[Any]:
    """Return a value of each time, of which a record may have one for all."""
    given = record.get(key)
    if not isinstance(given, list):
        return [given] * len(times)
    if len(given) != len(times):
        raise InvalidRecording(f"{key} of worm {name} has another length than t; give one value, or one for each time")
    return given


def _line(values: Any) -> np.ndarray:
    """Return one coordinate of a midline; a centroid is a point, and nothing none."""
    given = values if isinstance(values, list) else [] if values is None else [values]
    return np.array([np.nan if each is None else float(each) for each in given])
