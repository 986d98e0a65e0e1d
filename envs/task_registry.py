"""The tasks by name."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidTask, UnknownName
from .cue_turn import CueTurn
from .simulation import Simulation
from .tasks import Navigate, Swim, Task

TASKS: dict[str, type[Task]] = {"swim": Swim, "navigate": Navigate, "cueturn": CueTurn}


def make_task(name: str, simulation: Simulation, **options: Any) -> Task:
    """Build the task of that name.

    Raises:
        UnknownName: no such task.
        InvalidTask: an argument that the task does not take, or out of range.
    """
    if name not in TASKS:
        raise UnknownName("task", name, TASKS)
    try:
        return TASKS[name](simulation, **options)
    except TypeError as error:
        raise InvalidTask(f"task {name!r}: {str(error).split('() ')[-1]}") from error
