"""Runs of studies that are not trials: trained or gone on with, several at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...progress import progress_bar
from ...training.learning.engine import run_tasks
from ...training.learning.training import resume, train
from ...training.runs.config import RunConfig
from ...training.runs.run import Run


def trained(folder: Path, config: RunConfig) -> Run:
    """Return the run in a folder, trained to its end: a new one, or what an earlier call had begun."""
    return resume(folder, progress=False) if folder.exists() else train(config, folder, progress=False)


def run_each(
    function: Callable[..., Any], tasks: Mapping[str, tuple[Any, ...]], workers: int | None, name: str
) -> None:
    """Call `function(*arguments)` for every task, several at a time, with a bar.

    Args:
        function: importable by name; keeps what it finds in files, and calculates nothing that is there already.
        tasks: arguments by name.
        workers: tasks at a time; None takes one per core.
        name: of the bar.

    Raises:
        Exception: the first error of a task. Those that run at the time are stopped, and go on with the next call.
    """
    bar = progress_bar(total=len(tasks), desc=name, unit="task")
    with bar, contextlib.closing(run_tasks(function, tasks, workers)) as outcomes:
        for _, outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            bar.update()
