"""Render a run: record its agent and film it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..circuits import Wiring
from ..envs import Body, make_body
from ..errors import InvalidRun
from ..training.rollouts.evaluation import EVALUATION_SEED
from ..training.rollouts.interventions import Intervention
from ..training.rollouts.recorder import record, record_agent
from ..training.rollouts.recording import Recording
from ..training.rollouts.saved_models import SavedModel
from ..training.rollouts.watched import Watched
from ..training.runs.result import Result, conditions_of
from ..training.runs.run import Run
from .encode import check_output
from .render import render_recording


def render(
    run: Run | str | Path,
    out: str | Path,
    body: str | Body | None = None,
    view: str = "2d",
    seconds: float | None = None,
    interventions: Sequence[Intervention] = (),
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Film a run's agent on its own body or another; mp4, gif or webp by the suffix of `out`.

    A film in the run's own folder is added to its results, which say what it shows.

    Raises:
        OutputExists: `out` exists.
        InvalidRun: no seconds, no such run, or nothing trained in it yet.
        MissingDependency: `view="3d"` where no OpenGL works.
    """
    run = run if isinstance(run, Run) else Run(run)
    _check(out, seconds, overwrite)
    recording = record(run, 1, body, interventions, progress)
    caption = "; ".join([run.description, *map(str, interventions)])
    wiring = run.agent(body).circuit.wiring() if view == "neurons" else None
    shown = run.config.body if body is None else body
    path = _film(recording, out, view, shown, wiring, seconds, caption, overwrite, progress)
    weights = run.last_weights()
    if weights is not None and path.resolve().parent == run.path.resolve():
        conditions = conditions_of(run.resolved.config, 1, EVALUATION_SEED, body, interventions)
        run.results.add(Result("film", weights, conditions, name=view, files=(path.name,)))
    return path


def render_model(
    saved: SavedModel,
    out: str | Path,
    view: str = "2d",
    seconds: float | None = None,
    caption: str = "",
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Film a model that SB3 saved; mp4, gif or webp by the suffix of `out`.

    Raises:
        CircuitMismatch: it observes or acts in other spaces.
        OutputExists, InvalidRun, MissingDependency: as `render`.
    """
    _check(out, seconds, overwrite)
    envs = saved.make_envs(1)
    try:
        agent = Watched(saved, envs)
        recording = record_agent(agent, envs, progress=progress)
    finally:
        envs.close()
    wiring = agent.wiring if view == "neurons" else None
    return _film(recording, out, view, saved.body, wiring, seconds, caption, overwrite, progress)


def _check(out: str | Path, seconds: float | None, overwrite: bool) -> None:
    check_output(Path(out), overwrite)
    if seconds is not None and not seconds > 0:
        raise InvalidRun(f"seconds is {seconds:g}; give a number above 0")


def _film(
    recording: Recording,
    out: str | Path,
    view: str,
    body: str | Path | Body,
    wiring: Wiring | None,
    seconds: float | None,
    caption: str,
    overwrite: bool,
    progress: bool,
) -> Path:
    return render_recording(
        recording, out, view=view, body=make_body(body), wiring=wiring, seconds=seconds, caption=caption,
        overwrite=overwrite, progress=progress,
    )  # fmt: skip
