"""Read postures from the files of worm trackers and of this package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import InvalidOption, InvalidRecording, UnknownName
from ..training.rollouts.recording import Recording
from .posture import Posture, Track, check_links, of_recording, to_links
from .posture_csv import holds_points, read_angles, read_points
from .tierpsy import read_tierpsy
from .wcon import read_wcon

FORMATS = (".wcon", ".wcon.zip", ".csv", ".hdf5", ".h5", ".nc")
_DEFAULT_LINKS = 6


def read_postures(
    path: str | Path,
    n_links: int | None = None,
    *,
    spline: bool = False,
    fix_swaps: bool = False,
    flip_y: bool = False,
    unit: str | None = None,
    time_unit: str | None = None,
    degrees: bool = False,
) -> dict[str, tuple[Track, Posture]]:
    """Read each worm of a file, as a track and as a chain of links; worms without any posture are left out.

    Args:
        path: WCON (.wcon, .wcon.zip), CSV of midlines or of joint angles, Tierpsy's HDF5, or a recording (.nc), whose
            episodes count as worms.
        n_links: number of links; None is 6 for midlines, and the file's number for joint angles and recordings.
        spline: fit a cubic spline through the points of midlines first; see `to_links`.
        fix_swaps: reverse midlines whose head and tail are probably swapped.
        flip_y: flip the y axis of midlines.
        unit: unit of points if the file does not state it (CSV, or Tierpsy's pixels).
        time_unit: time unit of CSV midlines, s by default, or length of Tierpsy's frames.
        degrees: joint angles in CSV are in degrees.

    Raises:
        UnknownName: the file has an unknown format.
        InvalidOption: an option does not apply to the format, or `n_links` is not from 2 to 1000.
        InvalidRecording: the file cannot be read, has no units, or has no postures.
    """
    path = Path(path)
    kind = next((suffix for suffix in FORMATS if path.name.lower().endswith(suffix)), None)
    if kind is None:
        raise UnknownName("posture format", path.suffix or path.name, FORMATS)
    if n_links is not None:
        check_links(n_links)
    of_points = {"spline": spline, "fix_swaps": fix_swaps, "flip_y": flip_y}
    units = {"unit": unit, "time_unit": time_unit}
    if kind == ".nc":
        _refuse({**of_points, **units, "degrees": degrees}, f"{path} is a recording, whose joints are known")
        recording = Recording.load(path)
        made = {f"episode {i}": of_recording(recording, i) for i in range(recording.n_episodes)}
        return {name: _chain(name, each, n_links) for name, each in made.items()}
    if kind == ".csv" and not holds_points(path):
        _refuse({**of_points, **units}, f"{path} holds joint angles; midlines have these")
        return {name: _chain(name, each, n_links) for name, each in read_angles(path, degrees).items()}
    _refuse({"degrees": degrees}, f"{path} holds midlines; joint angles have it")
    if kind == ".csv":
        tracks = read_points(path, unit, time_unit, flip_y)
    elif kind in (".hdf5", ".h5"):
        tracks = read_tierpsy(path, unit, time_unit, flip_y)
    else:
        _refuse(units, f"{path} says its own units")
        tracks = read_wcon(path, flip_y)
    links, found = _DEFAULT_LINKS if n_links is None else n_links, {}
    for track in tracks:
        if track.seen.any():
            found[track.id] = track, to_links(track.turned() if fix_swaps else track, links, spline)
    if not found:
        to_links(tracks[0], links)  # which says what is missing
    return found


def one_worm(postures: dict[str, tuple[Track, Posture]], worm: str | None, path: str | Path) -> tuple[str, Posture]:
    """Return the posture of one worm of a file, by its name or as the only one.

    Raises:
        UnknownName: there is no worm of that name.
        InvalidRecording: there are several, and none is named.
    """
    first = next(iter(postures))
    if worm is None and len(postures) > 1:
        raise InvalidRecording(f"{path} holds the worms {_listed(postures)}; name one, such as --worm {first!r}")
    name = first if worm is None else worm
    if name not in postures:
        raise UnknownName("worm", name, postures)
    return name, postures[name][1]


def _listed(names: Iterable[str], most: int = 6) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def _chain(name: str, posture: Posture, n_links: int | None) -> tuple[Track, Posture]:
    """Return a chain, of another number of links if they are given, which lie on the same one."""
    if n_links is not None and n_links != posture.joint_pos.shape[1] + 1:
        posture = posture.relinked(n_links)
    return posture.track(name), posture


def _refuse(given: Mapping[str, object], why: str) -> None:
    if named := [f"--{name.replace('_', '-')}" for name, value in given.items() if value]:
        raise InvalidOption(f"{', '.join(named)} would have no effect: {why}")
