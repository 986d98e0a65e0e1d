"""Render a run: record its agent and film it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..envs import Body, make_body
from ..errors import InvalidFilm
from ..options import FLAG, PATH, checked
from ..training.rollouts.evaluation import EVALUATION_SEED
from ..training.rollouts.interventions import INTERVENTIONS, Intervention
from ..training.rollouts.recorder import record, record_agent
from ..training.rollouts.recording import SECONDS
from ..training.rollouts.saved_models import SavedModel
from ..training.rollouts.watched import Watched
from ..training.runs.result import Result, conditions_of
from ..training.runs.run import A_RUN, Run
from .encode import check_output
from .look import Look
from .render import render_recording

# One body needs no compiled code: lanes gain nothing, and would take seconds to compile before a first film.
_PHYSICS = "mujoco"


@checked(
    InvalidFilm,
    run=A_RUN,
    out=PATH,
    seconds=SECONDS,
    interventions=INTERVENTIONS,
    overwrite=FLAG,
    progress=FLAG,
)
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
    """Film a run's agent on its own or another body, stepped by MuJoCo; mp4, gif or webp, by the suffix of `out`.

    A film in the run's folder is added to its results, with a description.

    Args:
        run: the run or its folder.
        out: file of the film.
        body: another body than the run's own.
        seconds: seconds of the episode to film, from its start; None films all of it.
        interventions: interventions on neurons.
        overwrite: replace an existing file.
        progress: show progress bars.
        look: view, size (pixels), fps, speed, camera and zoom; see `Look`.

    Raises:
        OutputExists: `out` exists.
        UnknownName: there is no such format, view or camera.
        InvalidFilm: a number is out of range.
        InvalidRun: there is no such run, or it has no checkpoint yet.
        MissingDependency: `view="3d"` without a working OpenGL.
    """
    run = run if isinstance(run, Run) else Run(run)
    looks = _checked(out, run.config.body if body is None else body, overwrite, look)
    recording = record(run, 1, body, interventions, progress, _PHYSICS, seconds)
    caption = "; ".join([run.description, *map(str, interventions)])
    wiring = run.agent(body).circuit.wiring() if looks.view == "neurons" else None
    path = render_recording(
        recording, out, wiring=wiring, seconds=seconds, caption=caption, overwrite=overwrite, progress=progress, **look
    )
    weights = run.last_weights()
    if weights is not None and path.resolve().parent == run.path.resolve():
        conditions = conditions_of(run.resolved.stepped_by(_PHYSICS).config, 1, EVALUATION_SEED, body, interventions)
        run.results.add(Result("film", weights, conditions, name=looks.view, files=(path.name,)))
    return path


@checked(InvalidFilm, out=PATH, seconds=SECONDS, overwrite=FLAG, progress=FLAG)
def render_model(
    saved: SavedModel,
    out: str | Path,
    seconds: float | None = None,
    caption: str = "",
    overwrite: bool = False,
    progress: bool = False,
    **look: Any,
) -> Path:
    """Film a model that SB3 saved; mp4, gif or webp by the suffix of `out`.

    Args:
        saved: the model, with what it is tried in.
        out: the film.
        seconds: how much of the episode, from its start; None takes all.
        caption: a line under the body's name.
        overwrite: replace a file that exists.
        progress: show progress bars.
        look: view, size (pixels), fps, speed, camera and zoom; see `Look`.

    Raises:
        CircuitMismatch: it observes or acts in other spaces.
        OutputExists, UnknownName, InvalidFilm, MissingDependency: as `render`.
    """
    looks = _checked(out, saved.body, overwrite, look)
    envs = saved.make_envs(1)
    try:
        agent = Watched(saved, envs)
        recording = record_agent(agent, envs, progress=progress, seconds=seconds)
    finally:
        envs.close()
    wiring = agent.wiring if looks.view == "neurons" else None
    return render_recording(
        recording, out, wiring=wiring, seconds=seconds, caption=caption, overwrite=overwrite, progress=progress, **look
    )


def _checked(out: str | Path, body: str | Path | Body, overwrite: bool, look: Mapping[str, Any]) -> Look:
    """Return how a film looks, once it is known that it can be made: before any work."""
    looks = Look(**look)
    check_output(Path(out), overwrite)
    looks.rate(make_body(body).control_dt, Path(out))
    return looks
