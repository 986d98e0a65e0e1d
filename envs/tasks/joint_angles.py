"""Joint angles of a chain over time, such as those of a recorded worm: read from CSV, and sampled at any time."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ...errors import InvalidRecording

# s: what is filled in at most, as Tierpsy does; a worm turns in half a second.
MAX_GAP = 0.25
_ANGLE = re.compile(r"angle_(\d+)")


@dataclasses.dataclass(frozen=True)
class JointAngles:
    """Joint angles of a chain of equal links, head to tail, over time.

    Attributes:
        file: the name of the file that they are from.
        time: s, from 0, rising.
        joint_pos: rad, one column for each joint.

    Raises:
        InvalidRecording: fewer than two times or joints, times that do not rise, or what is no finite number.
    """

    file: str
    time: Float[np.ndarray, " T"]
    joint_pos: Float[np.ndarray, "T J"]

    def __post_init__(self) -> None:
        is_table = self.time.ndim == 1 and self.joint_pos.ndim == 2 and len(self.time) == len(self.joint_pos)
        if not is_table or len(self.time) < 2 or self.joint_pos.shape[1] < 2:
            raise InvalidRecording(
                f"{self.file} has joint angles of shape {self.joint_pos.shape} at times of shape {self.time.shape}; "
                "give two joints and two times or more"
            )
        if not (np.isfinite(self.time).all() and np.isfinite(self.joint_pos).all() and (np.diff(self.time) > 0).all()):
            raise InvalidRecording(f"{self.file} has times that do not rise, or what is no finite number")

    @classmethod
    def read(cls, path: str | Path) -> JointAngles:
        """Read the longest stretch without gaps of the only worm in a CSV file of joint angles.

        Raises:
            InvalidRecording: there is no such file, it holds other columns, or several worms.
        """
        if Path(path).suffix != ".csv":
            raise InvalidRecording(
                f"{path} is not a CSV file of joint angles; nervecord worm posture FILE --links 24 --out angles.csv "
                "makes one of a tracker's file"
            )
        header, worms = read_table(path)
        columns = angle_columns(header, path)
        if len(worms) > 1:
            raise InvalidRecording(
                f"{path} holds the worms {', '.join(worms)}; give a file of one (nervecord worm posture has --worm)"
            )
        ((_, table),) = worms.items()
        time, angles = table[:, header.index("time")], table[:, columns]
        chosen = longest_stretch(time, np.isfinite(angles).all(1))
        if len(chosen) < 2:
            raise InvalidRecording(f"{path} has no two times with every angle; give a recording of a posture")
        return cls(Path(path).name, time[chosen] - time[chosen[0]], angles[chosen])

    @property
    def duration(self) -> float:
        """From the first time to the last, s."""
        return float(self.time[-1])

    @property
    def n_links(self) -> int:
        """The number of links."""
        return self.joint_pos.shape[1] + 1

    def at(self, time: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N J"]:
        """Return the angles at some times, s, straight between those that are known, rad."""
        right = np.clip(np.searchsorted(self.time, time, side="right"), 1, len(self.time) - 1)
        share = (time - self.time[right - 1]) / (self.time[right] - self.time[right - 1])
        share = np.clip(share, 0.0, 1.0)[:, None]
        return self.joint_pos[right - 1] * (1 - share) + self.joint_pos[right] * share

    def relinked(self, n_links: int) -> JointAngles:
        """Return the angles of another number of equal links along the same midline."""
        return dataclasses.replace(self, joint_pos=relinked(self.joint_pos, n_links)[0])

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON types; `from_json` takes it back."""
        return {"file": self.file, "time": self.time.tolist(), "joint_pos": self.joint_pos.tolist()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> JointAngles:
        """Read what `to_json` returned.

        Raises:
            InvalidRecording: it is something else.
        """
        try:
            arrays = {name: np.array(values[name], float) for name in ("time", "joint_pos")}
            return cls(str(values["file"]), **arrays)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InvalidRecording):
                raise
            raise InvalidRecording(
                "a recording is a table of file, time and joint_pos, as a run holds it, or the path of a CSV file"
            ) from error


def read_table(path: str | Path) -> tuple[list[str], dict[str, Float[np.ndarray, "T columns"]]]:
    """Read a CSV file of numbers over time, of one worm or several, which the column `worm` names.

    Returns:
        The names of the columns, and for each worm its rows, in the order of time; NaN where a cell is empty, and in
        the column `worm`.

    Raises:
        InvalidRecording: it cannot be read, has no column `time`, a cell that is no number, or a time twice.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            rows, line_numbers = list[list[str]](), list[int]()
            for row in filter(None, reader):
                rows.append(row)
                line_numbers.append(reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRecording(f"{path} cannot be read as CSV: {reason}") from error
    header = [name.strip() for name in rows[0]] if rows else []
    if "time" not in header or len(set(header)) < len(header):
        raise InvalidRecording(
            f"{path} is not a CSV file of a recording; give the columns time (s) and angle_0, angle_1, ... "
            "or x_0, y_0, ..."
        )
    of_worm = header.index("worm") if "worm" in header else None
    held: dict[str, list[list[float]]] = {}
    for number, row in zip(line_numbers[1:], rows[1:], strict=True):
        if len(row) != len(header):
            raise InvalidRecording(f"{path}, line {number}, has {len(row)} cells and {len(header)} columns")
        name = Path(path).stem if of_worm is None else row[of_worm]
        numbers = [np.nan if at == of_worm else _number(cell, path, number) for at, cell in enumerate(row)]
        held.setdefault(name, []).append(numbers)
    if not held:
        raise InvalidRecording(f"{path} has no rows")
    worms, at_time = {}, header.index("time")
    for name, lines in held.items():
        table = np.array(lines)
        if not np.isfinite(table[:, at_time]).all():
            raise InvalidRecording(f"{path}: worm {name} has a row without a time")
        worms[name] = table = table[np.argsort(table[:, at_time], kind="stable")]
        if (twice := np.flatnonzero(np.diff(table[:, at_time]) == 0)).size:
            time = table[twice[0], at_time]
            raise InvalidRecording(f"{path}: worm {name} has the time {time:g} s twice; give each time once")
    return header, worms


def angle_columns(header: list[str], path: str | Path) -> list[int]:
    """Return the places of angle_0, angle_1 and so on among the columns of a table.

    Raises:
        InvalidRecording: there are none, or one is left out.
    """
    places = {int(found[1]): at for at, name in enumerate(header) if (found := _ANGLE.fullmatch(name))}
    if len(places) < 2 or sorted(places) != list(range(len(places))):
        raise InvalidRecording(
            f"{path} has no columns angle_0, angle_1, ... of joint angles in rad, head to tail; "
            "nervecord worm posture FILE --links 24 --out angles.csv makes them of a tracker's file"
        )
    return [places[joint] for joint in sorted(places)]


def longest_stretch(
    time: Float[np.ndarray, " T"], seen: Bool[np.ndarray, " T"], max_gap: float = MAX_GAP
) -> Int[np.ndarray, " chosen"]:
    """Return the times of the longest stretch without a gap, counted from 0, of those at which something was seen.

    A gap is longer than `max_gap`, s, and than one and a half of the usual steps of time.
    """
    known = np.flatnonzero(seen)
    usual = float(np.median(np.diff(time))) if len(time) > 1 else 0.0
    ends = np.flatnonzero(np.diff(time[known]) > max(max_gap, 1.5 * usual)) + 1
    parts = [part for part in np.split(known, ends) if len(part)]
    return max(parts, key=lambda part: time[part[-1]] - time[part[0]], default=known)


def relinked(
    joint_pos: Float[np.ndarray, "T J"], n_links: int
) -> tuple[Float[np.ndarray, "T joints"], Float[np.ndarray, " T"]]:
    """Return joint angles of another number of links whose nodes lie on the same chain, and how the first link turns.

    All in rad. The nodes are at equal steps along the chain, of equal links.
    """
    tangent = np.cumsum(np.pad(joint_pos, ((0, 0), (1, 0))), 1)
    there = tangent.shape[1]
    if there == n_links:
        return joint_pos, np.zeros(len(joint_pos))
    steps = np.stack([np.cos(tangent), np.sin(tangent)], -1)
    nodes = np.pad(np.cumsum(steps, 1), ((0, 0), (1, 0), (0, 0)))
    places = np.arange(n_links + 1) * there / n_links
    left = np.minimum(places.astype(int), there - 1)
    share = (places - left)[:, None]
    points = nodes[:, left] * (1 - share) + nodes[:, left + 1] * share
    angle = np.arctan2(*np.moveaxis(np.diff(points, axis=1), -1, 0)[::-1])
    return np.pi - np.mod(np.pi - np.diff(angle, axis=1), 2 * np.pi), angle[:, 0]


def _number(cell: str, path: str | Path, line: int) -> float:
    try:
        value = float(cell) if cell.strip() else np.nan
    except ValueError:
        value = np.inf
    if np.isinf(value):
        raise InvalidRecording(
            f"{path}, line {line}, has {cell[:40]!r} where a number is expected; leave missing values empty"
        )
    return value
