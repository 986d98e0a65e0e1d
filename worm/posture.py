"""Convert midlines of recorded worms to joint angles of a chain of links, and back; detect swapped heads and gaps."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int

from ..envs.tasks.joint_angles import MAX_GAP, longest_stretch, relinked
from ..errors import InvalidOption, InvalidRecording
from ..options import told
from ..training.rollouts.recording import Recording

_FEWEST = 3  # points, of which a midline has a bend
_MOST = 1000  # links


@dataclasses.dataclass(frozen=True)
class Track:
    """One worm at T times, as recorded by a tracker.

    Attributes:
        id: name of the worm.
        time: times, s, increasing.
        points: midline at each time: K points (x, y), m, head first; no points if nothing was seen, NaN for missing
            points.
        known: whether the tracker identified the head.
    """

    id: str
    time: Float[np.ndarray, " T"]
    points: tuple[Float[np.ndarray, "K 2"], ...]
    known: Bool[np.ndarray, " T"]

    @property
    def seen(self) -> Bool[np.ndarray, " T"]:
        """Times with a posture: three distinct points or more, including both ends."""
        return np.array([len(_clean(points)) >= _FEWEST for points in self.points], bool)

    @property
    def suspects(self) -> Int[np.ndarray, " suspects"]:
        """Indices of times at which head and tail are probably swapped.

        There, exchanging the ends reduces their distance from the previous ends to less than half.
        """
        found, last = [], None
        for at, points in enumerate(self.points):
            midline = _clean(points)
            if len(midline) < _FEWEST:
                continue
            ends = midline[[0, -1]]
            if last is not None:
                kept, turned = (np.linalg.norm(each - last, axis=1).sum() for each in (ends, ends[::-1]))
                if turned < 0.5 * kept:
                    found.append(at)
                    ends = ends[::-1]
            last = ends
        return np.array(found, int)

    def turned(self) -> Track:
        """Return the track with the midlines at `suspects` reversed."""
        suspects = set(self.suspects.tolist())
        points = tuple(each[::-1] if at in suspects else each for at, each in enumerate(self.points))
        return dataclasses.replace(self, points=points)


@dataclasses.dataclass(frozen=True)
class Posture:
    """A chain of N links at T times; NaN where nothing was seen.

    Attributes:
        time: times, s.
        joint_pos: angle from each link to the next, head to tail, rad, with the sign of the bodies' joints.
        heading: direction of the first link, from head to tail, rad from the x axis.
        length: length of the midline, m.
        head: position of the head, m; the centroid if the tracker recorded only that.
    """

    time: Float[np.ndarray, " T"]
    joint_pos: Float[np.ndarray, "T J"]
    heading: Float[np.ndarray, " T"]
    length: Float[np.ndarray, " T"]
    head: Float[np.ndarray, "T 2"]

    def nodes(self) -> Float[np.ndarray, "T nodes 2"]:
        """Return the N + 1 ends of the links, head first, m."""
        n_links = self.joint_pos.shape[1] + 1
        tangent = self.heading[:, None] + np.cumsum(np.pad(self.joint_pos, ((0, 0), (1, 0))), 1)
        steps = np.stack([np.cos(tangent), np.sin(tangent)], -1) * (self.length / n_links)[:, None, None]
        return self.head[:, None] + np.pad(np.cumsum(steps, 1), ((0, 0), (1, 0), (0, 0)))

    def relinked(self, n_links: int) -> Posture:
        """Return a chain with another number of equal links, whose nodes lie on this chain.

        Raises:
            InvalidOption: `n_links` is not from 2 to 1000.
        """
        check_links(n_links)
        there = self.joint_pos.shape[1] + 1
        if n_links == there:
            return self
        joints, turn = relinked(self.joint_pos, n_links)
        return dataclasses.replace(self, joint_pos=joints, heading=_within(self.heading + turn))

    def stretch(self, max_gap: float = MAX_GAP) -> Posture:
        """Return the longest stretch without a gap, leaving out times without a posture.

        Args:
            max_gap: longest time between postures that does not count as a gap, s; at least 1.5 times the usual time
                step.
        """
        chosen = longest_stretch(self.time, np.isfinite(self.joint_pos).all(1), max_gap)
        return Posture(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))

    def track(self, name: str) -> Track:
        """Return the chain as a track with this name, with its nodes as points."""
        seen = np.isfinite(self.heading)
        points = tuple(each if there else each[:0] for each, there in zip(self.nodes(), seen, strict=True))
        return Track(name, self.time, points, seen)


def to_links(track: Track, n_links: int, spline: bool = False) -> Posture:
    """Convert a track to a chain of links of equal length along the midline.

    Nodes are at equal arc lengths of the midline, with linear interpolation between its points. With fewer than
    2 N + 1 points for N links, angles are coarse; a spline helps.

    Args:
        track: the track.
        n_links: number of links, 2 to 1000.
        spline: fit a cubic spline through the points first.

    Raises:
        InvalidOption: `n_links` is not from 2 to 1000.
        InvalidRecording: the track has no posture at any time.
    """
    check_links(n_links)
    many = len(track.time)
    joints, rest = np.full((many, n_links - 1), np.nan), np.full((many, 4), np.nan)
    for at, points in enumerate(track.points):
        midline = _clean(points)
        if len(midline):
            rest[at, 2:] = midline[0]
        if len(midline) < _FEWEST:
            continue
        nodes, length = _resampled(midline, n_links, spline)
        tangent = np.arctan2(*np.diff(nodes, axis=0).T[::-1])
        joints[at] = _within(np.diff(tangent))
        rest[at, :2] = tangent[0], length
    if np.isnan(rest[:, 0]).all():
        raise InvalidRecording(
            f"worm {track.id} has no posture at any of {many} times; give midlines of {_FEWEST} points or more"
        )
    return Posture(track.time, joints, rest[:, 0], rest[:, 1], rest[:, 2:])


def check_links(n_links: int) -> None:
    """Refuse a chain that is none, or of more links than any tracker has points.

    Raises:
        InvalidOption: fewer than 2 links, or more than 1000.
    """
    if not 2 <= n_links <= _MOST:
        raise InvalidOption(f"links is {told(n_links)}; give 2 to {_MOST}")


def of_recording(recording: Recording, episode: int = 0) -> Posture:
    """Return an episode of a recording as a posture, in double precision.

    Raises:
        InvalidRecording: the body is not a chain of links.
    """
    if not recording.meta.get("is_chain", True):
        raise InvalidRecording(
            f"{recording.meta['name']} is not a chain of links; give a recording of a swimmer or a worm"
        )
    steps = int(recording.lengths[episode])
    joints, angle = (np.asarray(each[episode, :steps], float) for each in (recording.joint_pos, recording.link_angle))
    lengths = np.asarray(recording.meta["link_length"], float)
    along = np.stack([np.cos(angle[:, 0]), np.sin(angle[:, 0])], -1)
    head = np.asarray(recording.link_pos[episode, :steps, 0], float) + along * lengths[0] / 2
    # A link's own axis points to the head.
    heading = _within(angle[:, 0] + np.pi)
    return Posture(np.arange(steps) * recording.dt, joints, heading, np.full(steps, lengths.sum()), head)


def _clean(points: Float[np.ndarray, "K 2"]) -> Float[np.ndarray, "K 2"]:
    """Return the points that were seen, without repeated ones; none where an end was not seen."""
    fine = np.isfinite(points).all(1)
    if not (len(fine) and fine[0] and fine[-1]):
        return points[:0]
    points = points[fine]
    return points[np.append(True, (np.diff(points, axis=0) != 0).any(1))]


def _resampled(
    midline: Float[np.ndarray, "K 2"], n_links: int, spline: bool
) -> tuple[Float[np.ndarray, "nodes 2"], float]:
    chord = np.append(0, np.cumsum(np.linalg.norm(np.diff(midline, axis=0), axis=1)))
    if spline:
        fine = np.linspace(0, chord[-1], 20 * len(chord))
        midline = scipy.interpolate.CubicSpline(chord, midline)(fine)
        chord = np.append(0, np.cumsum(np.linalg.norm(np.diff(midline, axis=0), axis=1)))
    places = np.arange(n_links + 1) * chord[-1] / n_links
    return np.stack([np.interp(places, chord, each) for each in midline.T], -1), float(chord[-1])


def _within(angle: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return angles within (-pi, pi], rad."""
    return np.asarray(np.pi - np.mod(np.pi - angle, 2 * np.pi))
