"""A recording to a film."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..circuits import Wiring
from ..drawing.top_view import TopView
from ..envs import Body
from ..errors import InvalidRecording, UnknownName
from ..progress import progress_bar
from ..training.rollouts.recording import Recording
from .encode import check_output, write_film
from .neuron_view import NeuronView
from .view3d import frames_3d, qpos_of

VIEWS = ("2d", "3d", "neurons")
_SIZE, _WITH_NEURONS = (640, 480), (1120, 640)


def render_recording(
    recording: Recording,
    path: str | Path,
    *,
    view: str = "2d",
    body: Body | None = None,
    wiring: Wiring | None = None,
    episode: int = 0,
    seconds: float | None = None,
    caption: str = "",
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Film one episode in real time: one frame per control step (every second one in a gif or webp).

    Args:
        recording: what happened.
        path: where to; the suffix (.mp4, .gif, .webp) says what.
        view: "2d"; "3d" with MuJoCo's renderer, which needs `body`; or "neurons", the body beside its `wiring` with
            every neuron lit by its activity.
        body: what was recorded, for the 3-D view.
        wiring: of the circuit, for the view of its neurons.
        episode: which episode.
        seconds: how much of it, from its start; None takes all.
        caption: a line under the body's name (not in the 3-D view).
        size: width and height, pixels; by default 640 x 480, or 1120 x 640 with neurons.
        overwrite: replace a file that exists.
        progress: show a progress bar.

    Raises:
        UnknownName: no such view, or no such format.
        InvalidRecording: the view draws a body or a wiring, and none is given.
        OutputExists: there is something at `path`.
        MissingDependency: `view="3d"` where no OpenGL works, or mp4 without PyAV.
    """
    path = Path(path)
    check_output(path, overwrite)
    if view not in VIEWS:
        raise UnknownName("view", view, VIEWS)
    step = 1 if path.suffix == ".mp4" else 2
    whole = int(recording.lengths[episode])
    last = whole if seconds is None else min(whole, max(1, round(seconds / recording.dt)))
    if view == "3d":
        if body is None:
            raise InvalidRecording("view 3d draws the body's model, and there is none; give body")
        frames: Iterator[np.ndarray] = frames_3d(body, qpos_of(body, recording, episode)[:last:step], size or _SIZE)
    else:
        picture: TopView | NeuronView
        if view == "neurons":
            if wiring is None:
                raise InvalidRecording("view neurons draws the wiring, and there is none; give wiring=circuit.wiring()")
            picture = NeuronView(recording, wiring, episode, size or _WITH_NEURONS, caption)
        else:
            picture = TopView(recording.poses(episode), size or _SIZE, caption)
        frames = (picture.frame(instant) for instant in range(0, last, step))
    total = len(range(0, last, step))
    bar = progress_bar(frames, total=total, desc=f"film {path.name}", unit="frame", disable=not progress)
    write_film(bar, path, fps=1 / (recording.dt * step), overwrite=overwrite)
    return path
