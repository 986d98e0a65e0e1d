"""Midlines of Tierpsy Tracker: its HDF5 files of skeletons and of features.

Layouts as its repository and documentation have them (2020): `*_skeletons.hdf5`, `*_featuresN.hdf5`, and the older
`*_features.hdf5`. Its own angles are atan2(dx, dy), of the other sign than ours; ours come from the points.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float

from ..errors import InvalidRecording
from .posture import Track
from .units import si_value

_ROWS = "trajectories_data"
_OLD_ROWS = "features_timeseries"
_LENGTHS = {"micrometers": 1e-6, "micrometres": 1e-6, "microns": 1e-6}


def read_tierpsy(
    path: str | Path, unit: str | None = None, time_unit: str | None = None, flip_y: bool = False
) -> list[Track]:
    """Return the worms of a file of Tierpsy Tracker, whose skeletons have the head first.

    Args:
        path: *_skeletons.hdf5, *_featuresN.hdf5 or *_features.hdf5.
        unit: of the points, where the file says pixels, such as 0.004*mm.
        time_unit: of a frame, where the file does not know their rate, such as 0.04*s.
        flip_y: turn the y axis, which points down in images.

    Raises:
        InvalidRecording: it is no such file, knows no unit, or has one while another is given.
    """
    try:
        with h5py.File(path, "r") as file:
            return _tracks(file, str(path), unit, time_unit, flip_y)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InvalidRecording):
            raise
        reason = " ".join(str(error).split())
        raise InvalidRecording(
            f"{path} is no file of Tierpsy's that can be read ({reason}); give *_skeletons.hdf5, *_featuresN.hdf5 or "
            "*_features.hdf5"
        ) from error


def _tracks(file: h5py.File, path: str, unit: str | None, time_unit: str | None, flip_y: bool) -> list[Track]:
    is_smoothed = "coordinates/skeletons" in file
    place = "coordinates/skeletons" if is_smoothed else "skeleton"
    table = _ROWS if _ROWS in file else _OLD_ROWS
    points, rows = _inside(file, place, path), _inside(file, table, path)[:]
    if points.ndim != 3 or points.shape[2] != 2:
        raise InvalidRecording(f"{path}: {place} is of shape {points.shape}; give skeletons, [rows, points, 2]")
    facts = {name: _plain(value) for name, value in file[table].attrs.items()}
    metres = _metres(facts, is_smoothed, path, unit)
    rate = _rate(facts, path, time_unit)
    names = rows.dtype.names or ()
    worm = rows["worm_index_joined" if "worm_index_joined" in names else "worm_index"]
    frame = rows["frame_number" if "frame_number" in names else "timestamp"].astype(float)
    # The old features have a row for each skeleton, in the same order.
    row = rows["skeleton_id"].astype(int) if "skeleton_id" in names else np.arange(len(rows))
    has_any = (row >= 0) & (row < len(points))
    if "has_skeleton" in names:
        has_any &= rows["has_skeleton"].astype(bool)
    skeletons: Float[np.ndarray, "rows K 2"] = points[:].astype(float) * metres * (1, -1 if flip_y else 1)
    tracks = []
    for index in np.unique(worm):
        own = np.flatnonzero(worm == index)
        own = own[np.argsort(frame[own], kind="stable")]
        time = frame[own] * rate
        if (twice := np.flatnonzero(np.diff(time) == 0)).size:
            raise InvalidRecording(f"{path}: worm {index} has the time {time[twice[0]]:g} s twice; give each time once")
        lines = tuple(skeletons[row[at]] if has_any[at] else skeletons[0, :0] for at in own)
        # A skeleton that was not found is a row of NaN.
        lines = tuple(line if np.isfinite(line).any() else line[:0] for line in lines)
        tracks.append(Track(str(index), time, lines, np.array([len(line) > 0 for line in lines])))
    if not tracks:
        raise InvalidRecording(f"{path} has no worms")
    return tracks


def _inside(file: h5py.File, name: str, path: str) -> h5py.Dataset:
    """Return an array of the file itself: HDF5 can take one from any file of the machine."""
    link, held = file.get(name, getlink=True), None
    if isinstance(link, h5py.HardLink):
        held = file[name]
    if not isinstance(held, h5py.Dataset):
        raise InvalidRecording(
            f"{path} has no {name} of Tierpsy's; give *_skeletons.hdf5, *_featuresN.hdf5 or *_features.hdf5"
        )
    made = held.id.get_create_plist()
    if made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count():
        raise InvalidRecording(f"{path}: the values of {name} lie in another file; give one that holds them")
    return held


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.item() if hasattr(value, "item") and np.size(value) == 1 else value


def _metres(facts: dict[str, Any], is_smoothed: bool, path: str, unit: str | None) -> float:
    """Return the metres of a unit of the skeletons: micrometres, or pixels of which the file knows the size."""
    said, per_pixel = facts.get("xy_units"), float(facts.get("microns_per_pixel", 1.0))
    # A pixel of one micrometre is Tierpsy's way to say that it does not know.
    known = None if per_pixel == 1 else per_pixel * 1e-6
    if is_smoothed:
        known = _LENGTHS.get(str(said)) if said is not None else known and 1e-6
    if unit is None:
        if known is None:
            raise InvalidRecording(f"{path} has its skeletons in pixels; give their size, such as --unit 0.004*mm")
        return known
    if known is not None:
        raise InvalidRecording(f"{path} says that its unit is {known:g} m; leave --unit out")
    return si_value(unit, "a pixel", "a length")


def _rate(facts: dict[str, Any], path: str, time_unit: str | None) -> float:
    """Return the seconds of a frame."""
    rates = [float(facts[name]) for name in ("fps", "expected_fps") if name in facts]
    # One frame a second is Tierpsy's way to say that it does not know.
    known = next((rate for rate in rates if rate > 0 and rate != 1), None)
    if time_unit is None:
        if known is None:
            raise InvalidRecording(f"{path} does not know its frames per second; give a frame's time, such as "
                                   "--time-unit 0.04*s")  # fmt: skip
        return 1 / known
    if known is not None:
        raise InvalidRecording(f"{path} says that it has {known:g} frames per second; leave --time-unit out")
    return si_value(time_unit, "a frame", "a time")
