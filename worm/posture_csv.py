"""Postures in tables: joint angles, or points of midlines, one row for each time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..envs.tasks.joint_angles import angle_columns, read_table
from ..errors import InvalidRecording
from .posture import Posture, Track
from .units import si_value

_POINT = re.compile(r"([xy])_(\d+)")
_PLACE = ("heading", "length", "head_x", "head_y")


def holds_points(path: str | Path) -> bool:
    """Return whether a CSV file holds points of midlines, x_0, y_0 and so on, and not joint angles.

    Raises:
        InvalidRecording: it holds both, or neither, or is no table over time.
    """
    header, _ = read_table(path)
    points, angles = "x_0" in header, "angle_0" in header
    if points == angles:
        raise InvalidRecording(
            f"{path} has columns of {'both angles and points' if points else 'neither angles nor points'}; give "
            "angle_0, angle_1, ... (rad) or x_0, y_0, x_1, y_1, ..."
        )
    return points


def read_points(path: str | Path, unit: str | None, time_unit: str | None = None, flip_y: bool = False) -> list[Track]:
    """Return the worms of a CSV file of midlines, head first: time, x_0, y_0, x_1, y_1 and so on, and perhaps worm.

    Args:
        path: the file; an empty cell is a point that was not seen.
        unit: of the points, such as mm; the file cannot say it.
        time_unit: of the time; None is s.
        flip_y: turn the y axis, of trackers whose images have it point down.

    Raises:
        InvalidRecording: there is no such file, or a column is left out.
    """
    if unit is None:
        raise InvalidRecording(
            f"{path} does not state the unit of x and y; give it, such as --unit mm, or --unit 0.004*mm"
        )
    metres = si_value(unit, "x and y", "a length")
    seconds = si_value(time_unit or "s", "time", "a time")
    header, worms = read_table(path)
    places = {found.groups(): at for at, name in enumerate(header) if (found := _POINT.fullmatch(name))}
    numbers = [str(number) for number in range(1 + max(int(number) for _, number in places))]
    if missing := [f"{axis}_{number}" for number in numbers for axis in "xy" if (axis, number) not in places]:
        raise InvalidRecording(f"{path} has no column {missing[0]}; give x and y of each point, from 0 at the head")
    columns = np.array([[places[axis, number] for axis in "xy"] for number in numbers], int).reshape(-1, 2)
    scale = metres * np.array([1.0, -1.0 if flip_y else 1.0])
    time = header.index("time")
    return [
        Track(name, table[:, time] * seconds, tuple(table[:, columns] * scale), np.ones(len(table), bool))
        for name, table in worms.items()
    ]


def read_angles(path: str | Path, degrees: bool = False) -> dict[str, Posture]:
    """Return the worms of a CSV file of joint angles, head to tail: time (s), angle_0, angle_1 and so on.

    Columns heading (rad), length, head_x and head_y (m), which `posture_table` writes, say where the worm is; without
    them its first link lies along the x axis, its head at the origin, and its length is NaN.

    Args:
        path: the file; where a cell is empty, there is no posture.
        degrees: angles are in degrees, and the heading too.

    Raises:
        InvalidRecording: there is no such file, an angle is left out, or an angle is beyond a half turn.
    """
    header, worms = read_table(path)
    columns, found = angle_columns(header, path), {}
    unit = np.pi / 180 if degrees else 1.0
    for name, table in worms.items():
        joints = table[:, columns] * unit
        seen = np.isfinite(joints).all(1)
        if (most := np.abs(joints[seen]).max(initial=0.0)) > np.pi + 1e-9:
            raise InvalidRecording(
                f"{path}: worm {name} bends by {most / unit:g} {'degrees' if degrees else 'rad'} at a joint, beyond a "
                "half turn; give --degrees if angles are in degrees"
            )
        own = {key: table[:, header.index(key)] for key in _PLACE if key in header}
        at = np.where(seen, 0.0, np.nan)
        heading = own["heading"] * unit if "heading" in own else at
        head = np.stack([own.get("head_x", at), own.get("head_y", at)], -1)
        joints[~seen] = np.nan
        length = np.where(seen, own.get("length", np.nan), np.nan)
        time, heading = table[:, header.index("time")], np.where(seen, heading, np.nan)
        found[name] = Posture(time, joints, heading, length, head)
        if not seen.any():
            raise InvalidRecording(f"{path}: worm {name} has no time with every angle; give a recording of a posture")
    return found
