"""Render a run: record its agent and film it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..envs import Body, make_body
from ..errors import InvalidFilm
from ..training.rollouts.evaluation import EVALUATION_SEED
from ..training.rollouts.interventions import Intervention
from ..training.rollouts.recorder import record
from ..training.runs.result import Result, conditions_of
from ..training.runs.run import Run
from .encode import check_output
from .look import Look
from .render import render_recording


def render(
    run: Run | str | Path,
    out: str | Path,
    body: str | Body | None = None,
    seconds: float | None = None,
    interventions: Sequence[Intervention] = (),
    overwrite: bool = False,
    progress: bool = False,
    **look: Any,
) -> Path:
    """Film a run's agent on its own body or another; mp4, gif or webp by the suffix of `out`.

    A film in the run's own folder is added to its results, which say what it shows.

    Args:
        run: whose agent.
        out: the film.
        body: another than the run's own.
        seconds: how much of the episode, from its start; None takes all.
        interventions: what is done to neurons.
        overwrite: replace a file that exists.
        progress: show progress bars.
        look: view, size (pixels), fps, speed, camera and zoom; see `Look`.

    Raises:
        OutputExists: `out` exists.
        UnknownName: no such format, view or camera.
        InvalidFilm: a number out of range.
        InvalidRun: no such run, or nothing trained in it yet.
        MissingDependency: `view="3d"` where no OpenGL works.
    """
    # Before any work: what cannot be is said at once.
    looks, out = Look(**look), Path(out)
    check_output(out, overwrite)
    if seconds is not None and not seconds > 0:
        raise InvalidFilm(f"seconds is {seconds:g}; give a number above 0")
    run = run if isinstance(run, Run) else Run(run)
    looks.rate(make_body(run.config.body if body is None else body).control_dt, out)
    recording = record(run, 1, body, interventions, progress)
    caption = "; ".join([run.description, *map(str, interventions)])
    wiring = run.agent(body).circuit.wiring() if looks.view == "neurons" else None
    path = render_recording(
        recording, out, wiring=wiring, seconds=seconds, caption=caption, overwrite=overwrite, progress=progress, **look
    )
    weights = run.last_weights()
    if weights is not None and path.resolve().parent == run.path.resolve():
        conditions = conditions_of(run.resolved.config, 1, EVALUATION_SEED, body, interventions)
        run.results.add(Result("film", weights, conditions, name=looks.view, files=(path.name,)))
    return path
