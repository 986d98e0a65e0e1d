"""The tasks by name."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Mapping
from typing import Any

from ...errors import InvalidArgument, InvalidTask, UnknownName
from ...options import Allowed, Instance, ListOf, OfType, wrong_value
from ...registry import Registry
from ..setting import Envs
from .chemotaxis import Chemotaxis
from .cue_turn import CueTurn
from .escape import Escape
from .forage import Forage
from .lattice import CrossLattice
from .navigate import Navigate
from .recall_turn import RecallTurn
from .swim import Swim
from .task import Task
from .track import TrackPosture
from .two_media import TwoMedia


def _adopted(task: Any, name: str) -> type[Task]:
    if not (isinstance(task, type) and issubclass(task, Task)):
        raise TypeError(f"{name} is a {type(task).__name__}, not a subclass of Task")
    return task


# Every task by name, with those of other packages.
TASKS: Registry[type[Task]] = Registry(
    "nervecord.tasks",
    {
        "swim": Swim,
        "navigate": Navigate,
        "forage": Forage,
        "chemotaxis": Chemotaxis,
        "twomedia": TwoMedia,
        "cueturn": CueTurn,
        "recallturn": RecallTurn,
        "lattice": CrossLattice,
        "escape": Escape,
        "track": TrackPosture,
    },
    _adopted,
)

_SENSES = ListOf(Instance(str, "the name of a sense"), '["joint_pos","body_velocities"]')


def task_class(name: str) -> type[Task]:
    """Return the task of that name.

    Raises:
        UnknownName: there is no such task.
        InvalidTask: a task written for an older nervecord.
    """
    if name not in TASKS:
        raise unknown_task(name)
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


def unknown_task(name: str) -> UnknownName:
    """Return what to raise where no task has that name."""
    return UnknownName("task", name, TASKS, "of your own: an entry point of nervecord.tasks (docs/guides/task.md)")


def make_task(name: str, envs: Envs, options: Mapping[str, Any]) -> Task:
    """Build the task of that name.

    Raises:
        UnknownName: there is no such task.
        InvalidTask: as `check_options`; an option that the task needs is missing, or options do not go together.
    """
    check_options(name, options)
    kind = task_class(name)
    try:
        inspect.signature(kind).bind(envs, **options)
    except TypeError as error:
        raise InvalidTask(f"task {name!r}: {error}; it takes {', '.join(option_names(name))}") from error
    return kind(envs, **options)


def check_options(name: str, asked: Mapping[str, Any]) -> None:
    """Refuse options that a task does not take, and values that they cannot have.

    What a task does not declare as `allowed` is checked by its annotation, or else by the type of its default.
    `senses` is an option of every task.

    Raises:
        UnknownName: there is no such task.
        InvalidArgument: the first option that the task does not take.
        InvalidTask: the first option that is wrong.
    """
    known = _options(name)
    for option in asked:
        if option not in known and option != "senses" and not takes_any_option(name):
            raise InvalidArgument(f"task {name!r} has no option {option!r}; it takes {', '.join(option_names(name))}")
    allowed: dict[str, Allowed] = {option: OfType(_type_of(name, parameter)) for option, parameter in known.items()}
    if wrong := wrong_value(asked, {**allowed, **task_class(name).allowed, "senses": _SENSES}):
        raise InvalidTask(wrong)


def option_names(name: str) -> list[str]:
    """Return the options that a task takes by name, `senses` among them.

    Raises:
        UnknownName: there is no such task.
    """
    own = [option for option, each in _options(name).items() if each.kind is not each.VAR_KEYWORD]
    return [*own, "senses"]


def takes_any_option(name: str) -> bool:
    """Say whether a task takes options of any name."""
    return any(each.kind is each.VAR_KEYWORD for each in _options(name).values())


def option_defaults(name: str) -> dict[str, Any]:
    """Return the default of each of a task's own options, of those that have one."""
    return {option: each.default for option, each in _options(name).items() if each.default is not each.empty}


def _options(name: str) -> dict[str, inspect.Parameter]:
    return dict(list(inspect.signature(task_class(name)).parameters.items())[1:])


def _type_of(name: str, parameter: inspect.Parameter) -> Any:
    """Return the type that an option of a task is annotated with, or that its default has; Any where neither says."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        # Names that a task's module imports for type checkers alone are none when it runs.
        with contextlib.suppress(Exception):
            return eval(annotation, vars(sys.modules[task_class(name).__module__]))
    elif annotation is not parameter.empty:
        return annotation
    return Any if parameter.default in (None, parameter.empty) else type(parameter.default)
