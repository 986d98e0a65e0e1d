"""The tasks by name."""

from __future__ import annotations

from typing import Any

from ...errors import InvalidTask, UnknownName
from ...registry import Registry
from ..physics.simulation import Simulation
from .cue_turn import CueTurn
from .navigate import Navigate
from .swim import Swim
from .task import Task


def _adopted(task: Any, name: str) -> type[Task]:
    if not (isinstance(task, type) and issubclass(task, Task)):
        raise TypeError(f"{name} is a {type(task).__name__}, not a subclass of Task")
    return task


TASKS: Registry[type[Task]] = Registry(
    "nervecord.tasks", {"swim": Swim, "navigate": Navigate, "cueturn": CueTurn}, _adopted
)


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
