"""An agent that swims inside a notebook: a page in a frame, which needs no server and no port."""

from __future__ import annotations

import dataclasses
import html
import os
from pathlib import Path

from ..errors import CircuitMismatch, InvalidOption, InvalidTask
from ..options import Instance, Number, checked
from ..training.runs.run import Run
from .web import web_page

_RUN = Instance((str, os.PathLike, Run), 'a run, its folder, or "agent:NAME"')


@dataclasses.dataclass(frozen=True)
class Inline:
    """A page that a notebook shows in a frame of its own.

    Attributes:
        page: the HTML of the whole page.
        height: of the frame, in pixels.
        title: what the frame shows, for who cannot see it.
    """

    page: str = dataclasses.field(repr=False)
    height: int = 800
    title: str = "agents that swim"

    def _repr_html_(self) -> str:
        """Return the frame, as notebooks and their HTML exports ask for it.

        The page lies in the frame's own text. The frame may run its scripts and nothing else: it reaches neither the
        notebook nor the network.
        """
        return (
            f'<iframe sandbox="allow-scripts" title="{html.escape(self.title)}" width="100%" height="{self.height}" '
            f'style="border: 0" srcdoc="{html.escape(self.page)}"></iframe>'
        )


@checked(InvalidOption, height=Number(100, 10_000, is_whole=True))
def show(*runs: Run | str | Path, height: int = 800) -> Inline:
    """Show runs' agents inside a notebook, where they swim, are pushed, lengthened and lesioned by hand.

    The browser computes body and circuit as in `export_web`, so that no port is needed, and the view works on in a
    notebook's HTML export. It is the value of a cell's last line, or what IPython's `display` takes. Circuits and tasks
    that a page cannot compute are for `nervecord play`, which serves a page from Python.

    Args:
        runs: one or more runs, their folders, or agents that come along, as "agent:relay"; the first is shown first.
        height: of the frame, in pixels.

    Raises:
        InvalidOption: no runs, or something else than a run.
        InvalidRun: no run there, or nothing trained in it yet.
        CircuitMismatch: a circuit, or an option of it, that pages do not compute.
        InvalidTask, InvalidBody: a task that pays for more than a reading of the physics, or a body that lanes cannot
            step.
    """
    if not runs:
        raise InvalidOption('there are no runs; give one or more, such as show("agent:ncap")')
    for each in runs:
        if not _RUN.takes(each):
            raise InvalidOption(f"{each!r} is no run; give {_RUN}")
    opened = [each if isinstance(each, Run) else Run(each) for each in runs]
    try:
        page = web_page(opened)
    except (CircuitMismatch, InvalidTask) as error:
        raise type(error)(f"{error}; nervecord play shows it from a terminal") from error
    return Inline(page, height, f"{', '.join(run.path.name for run in opened)}, swimming")
