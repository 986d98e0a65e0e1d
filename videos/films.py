"""Render a run: record its agent and film it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..envs import Body, make_body
from ..errors import InvalidRun, UnknownName
from ..options import FLAG, PATH, Instance, Number, checked
from ..training.rollouts.evaluation import EVALUATION_SEED
from ..training.rollouts.interventions import INTERVENTIONS, Intervention
from ..training.rollouts.recorder import record
from ..training.runs.result import Result, conditions_of
from ..training.runs.run import A_RUN, Run
from .encode import check_output
from .render import VIEWS, render_recording


@checked(
    InvalidRun,
    run=A_RUN,
    out=PATH,
    view=Instance(str, "2d, 3d or neurons"),
    seconds=Number(0, above=True, also=(None,), none="leave it out"),
    interventions=INTERVENTIONS,
    overwrite=FLAG,
    progress=FLAG,
)
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
        UnknownName: no such view, or no such format.
        MissingDependency: `view="3d"` where no OpenGL works.
    """
    run = run if isinstance(run, Run) else Run(run)
    check_output(Path(out), overwrite)
    if view not in VIEWS:
        raise UnknownName("view", view, VIEWS)
    recording = record(run, 1, body, interventions, progress)
    model = make_body(run.config.body if body is None else body).compile(visual=True) if view == "3d" else None
    caption = "; ".join([f"{run.config.circuit}, trained by {run.config.algorithm}", *map(str, interventions)])
    wiring = run.agent(body).circuit.wiring() if view == "neurons" else None
    path = render_recording(
        recording,
        out,
        view=view,
        model=model,
        wiring=wiring,
        seconds=seconds,
        caption=caption,
        overwrite=overwrite,
        progress=progress,
    )
    weights = run.last_weights()
    if weights is not None and path.resolve().parent == run.path.resolve():
        conditions = conditions_of(run.resolved.config, 1, EVALUATION_SEED, body, interventions)
        run.results.add(Result("film", weights, conditions, name=view, files=(path.name,)))
    return path
