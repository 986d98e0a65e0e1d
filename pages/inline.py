"""Agents that swim inside a notebook: a page in a frame, without a server or a port."""

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
    """A page that a notebook shows in a frame.

    Attributes:
        page: HTML of the page.
        height: height of the frame, pixels.
        title: description of the frame for screen readers.
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
    """Show runs' agents inside a notebook, where they swim, and can be pushed, lengthened and lesioned.

    The browser simulates body and circuit as in `export_web`, so no port is needed, and the view also works in a
    notebook's HTML export. Return it from a cell's last line, or pass it to IPython's `display`. Circuits and tasks
    that a page cannot simulate need `nervecord play`, which serves a page from Python.

    Args:
        runs: one or more runs, their folders, or agents of the package, such as "agent:relay"; the first is shown
            first.
        height: height of the frame, pixels.

    Raises:
        InvalidOption: no runs are given, or something that is not a run.
        InvalidRun: there is no such run, or it has no checkpoint yet.
        CircuitMismatch: pages do not support the circuit or one of its options.
        InvalidTask, InvalidBody: pages do not support the task's reward, or lanes do not support the body.
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
