"""The tasks by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ...errors import InvalidTask, UnknownName
from ...registry import Registry
from ..setting import Envs
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


def task_class(name: str) -> type[Task]:
    """Return the task of that name.

    Raises:
        UnknownName: no such task.
        InvalidTask: a task written for an older nervecord.
    """
    if name not in TASKS:
        raise UnknownName("task", name, TASKS)
    kind = TASKS[name]
    takes = {method: len(inspect.signature(getattr(kind, method)).parameters) for method in ("reward", "before_step")}
    before = {
        "reward(self, com_speed) is now reward(self), and the speed self.forward_com_speed()": takes["reward"] > 1,
        "before_step(self) is now before_step(self, actions), which returns actions": takes["before_step"] < 2,
        "extra_senses(self) is now the class attribute senses, names of SENSES": hasattr(kind, "extra_senses"),
        "info(self) is now metrics(self)": hasattr(kind, "info"),
    }
    if changed := [now for now, is_old in before.items() if is_old]:
        raise InvalidTask(
            f"task {name!r}: {'; '.join(changed)}; what was self.simulation is self.physics.read(...), "
            "see docs/guides/task.md"
        )
    return kind


def make_task(name: str, envs: Envs, options: dict[str, Any]) -> Task:
    """Build the task of that name.

    Raises:
        UnknownName: no such task.
        InvalidTask: an argument that the task does not take, or out of range.
    """
    kind = task_class(name)
    try:
        inspect.signature(kind).bind(envs, **options)
    except TypeError as error:
        raise InvalidTask(
            f"task {name!r}: {error}; it takes {', '.join(option_names(name)) or 'no options'}"
        ) from error
    return kind(envs, **options)


def option_names(name: str) -> list[str]:
    """Return the names of a task's own options."""
    return list(inspect.signature(task_class(name)).parameters)[1:]


def option_defaults(name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the default of each of a task's own options.

    Args:
        name: of the task.
        asked: what is to be given; it is refused here if the task does not take it.

    Raises:
        InvalidTask: an option that the task does not take.
    """
    known = list(inspect.signature(task_class(name)).parameters.values())[1:]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in known)
    names = [each.name for each in known]
    for option in asked:
        if option not in (*names, "senses") and not takes_any:
            raise InvalidTask(f"task {name!r} has no option {option!r}; it takes {', '.join(names) or 'no options'}")
    return {each.name: each.default for each in known if each.default is not each.empty}
