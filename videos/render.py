"""Render a recording as a film."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from ..circuits import Wiring
from ..drawing.top_view import TopView
from ..errors import InvalidFilm
from ..options import FLAG, PATH, Instance, Number, checked
from ..progress import progress_bar
from ..training.rollouts.recording import SECONDS, Recording, steps_in
from .encode import check_output, write_film
from .look import Look
from .neuron_view import NeuronView
from .view3d import frames_3d


@checked(
    InvalidFilm,
    recording=Instance(Recording, "a Recording"),
    path=PATH,
    wiring=Instance((Wiring, NoneType), "the wiring of a circuit, or leave it out"),
    episode=Number(0, is_whole=True),
    seconds=SECONDS,
    overwrite=FLAG,
    progress=FLAG,
)
def render_recording(
    recording: Recording,
    path: str | Path,
    *,
    wiring: Wiring | None = None,
    episode: int = 0,
    seconds: float | None = None,
    caption: str = "",
    overwrite: bool = False,
    progress: bool = False,
    **look: Any,
) -> Path:
    """Film one episode, in real time unless `speed` says otherwise.

    Args:
        recording: the recording.
        path: file of the film; the suffix (.mp4, .gif, .webp) is its format.
        wiring: wiring of the circuit, for view="neurons".
        episode: index of the episode.
        seconds: seconds of the episode to film, from its start; None films all of it.
        caption: a line under the body's name (not in the 3-D view).
        overwrite: replace an existing file.
        progress: show a progress bar.
        look: view, size (pixels), fps, speed, camera and zoom; see `Look`.

    Raises:
        OutputExists: `path` exists.
        UnknownName: there is no such format, view or camera.
        InvalidFilm: a number is out of range, there is no such episode, or view="neurons" has no wiring.
        MissingDependency: `view="3d"` without a working OpenGL, or an mp4 without PyAV.
    """
    path, looks = Path(path), Look(**look)
    check_output(path, overwrite)
    if not 0 <= episode < recording.n_episodes:
        raise InvalidFilm(f"episode is {episode}; give 0 to {recording.n_episodes - 1}")
    fps = looks.rate(recording.dt, path)
    last = steps_in(seconds, recording.dt, int(recording.lengths[episode]))
    instants = looks.instants(last, recording.dt, fps)
    poses = recording.poses(episode).between(0, last)
    where: dict[str, Any] = {"camera": looks.camera, "zoom": looks.zoom}
    frames: Iterable[np.ndarray]
    if looks.view == "3d":
        frames = frames_3d(poses, looks.pixels, instants.tolist(), **where)
    elif looks.view == "neurons":
        if wiring is None or {neuron.name for neuron in wiring.neurons} != set(recording.neurons):
            raise InvalidFilm("view is neurons, which draws the wiring of the circuit that was recorded; give it, as "
                              "wiring=run.agent().circuit.wiring()")  # fmt: skip
        view = NeuronView(recording, wiring, episode, looks.pixels, caption, last, **where)
        frames = map(view.frame, instants.tolist())
    else:
        frames = map(TopView(poses, looks.pixels, caption, **where).frame, instants.tolist())
    bar = progress_bar(frames, total=len(instants), desc=f"film {path.name}", unit="frame", disable=not progress)
    write_film(bar, path, fps, overwrite)
    return path
