"""A film of a replay: the recorded worm on the left, the body on the right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from ..drawing.poses import Poses
from ..drawing.top_view import TopView
from ..progress import progress_bar
from ..videos.encode import check_output, write_film
from ..videos.look import Look
from .posture import Posture
from .replays import Replay


def film_replay(
    replay: Replay,
    path: str | Path,
    speed: float = 1.0,
    size: tuple[int, int] = (480, 480),
    progress: bool = False,
) -> Path:
    """Film a replay beside the recorded worm, each at its own scale; mp4, gif or webp by the suffix.

    Args:
        replay: the replay.
        path: file of the film, which must not exist yet.
        speed: speed relative to real time.
        size: size of each half, pixels.
        progress: show a progress bar.

    Raises:
        OutputExists: `path` exists.
        UnknownName: there is no such format.
        InvalidFilm: a number is out of range.
    """
    path, look = Path(path), Look(speed=speed, size=size)
    check_output(path)
    recording = replay.recording
    body = recording.poses()
    fps = look.rate(recording.dt, path)
    steps = len(replay.target)
    instants = look.instants(steps, recording.dt, fps)
    worm = worm_poses(replay.posture, np.arange(steps) * recording.dt, body)
    is_placed = np.isfinite(replay.posture.length).all()
    caption = "as recorded" if is_placed else "as recorded; its length is not known"
    views = [
        TopView(worm, look.pixels, caption, clock=False),
        TopView(body, look.pixels, str(recording.meta["task"])),
    ]
    frames = (np.concatenate([view.frame(instant) for view in views], axis=1) for instant in instants.tolist())
    bar = progress_bar(frames, total=len(instants), desc=f"film {path.name}", unit="frame", disable=not progress)
    write_film(bar, path, fps)
    return path


def worm_poses(posture: Posture, time: Float[np.ndarray, " instants"], body: Poses) -> Poses:
    """Return a recorded worm as what is drawn, at some times.

    It is as thick for its length as the body, and coloured alike for the same bend of the whole. Where a file has
    angles alone, the worm is as long as the body and stays at one place, its mean direction along the x axis.

    Args:
        posture: without gaps.
        time: s, within the posture's.
        body: beside it.
    """
    joints = CubicSpline(posture.time, np.unwrap(posture.joint_pos, axis=0))(time)
    n_links, size = joints.shape[1] + 1, float(body.link_length.sum())
    bend = np.cumsum(np.pad(joints, ((0, 0), (1, 0))), 1)
    is_placed = bool(np.isfinite(posture.length).all())
    length = float(np.mean(posture.length)) if is_placed else size
    if is_placed:
        tangent = bend + np.interp(time, posture.time, np.unwrap(posture.heading))[:, None]
        head = np.stack([np.interp(time, posture.time, each) for each in posture.head.T], -1)
    else:
        tangent, head = bend - bend.mean(1, keepdims=True), np.zeros((len(time), 2))
    steps = np.stack([np.cos(tangent), np.sin(tangent)], -1) * length / n_links
    nodes = head[:, None] + np.pad(np.cumsum(steps, 1), ((0, 0), (1, 0), (0, 0)))
    links = (nodes[:, :-1] + nodes[:, 1:]) / 2
    if not is_placed:
        links -= links.mean(1, keepdims=True)
    width, reach = float(body.link_width.mean()) * length / size, float(body.joint_limit[0]) * len(body.link_length)
    return Poses(
        name="recorded worm", dt=body.dt, link_pos=links, link_angle=tangent + np.pi, joint_pos=joints,
        com_pos=links.mean(1), target_pos=None, link_length=np.full(n_links, length / n_links),
        link_width=np.full(n_links, width), joint_limit=np.full(n_links - 1, reach / n_links),
    )  # fmt: skip
