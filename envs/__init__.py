"""Bodies, tasks, and the single and vector environments over them.

Each name loads when it is first used: registering ids and `nervecord --help` need no MuJoCo.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .registration import register_environments

if TYPE_CHECKING:
    from .bodies import VARIANTS, Body, body_names, make_body, register_body, swimmer
    from .cue_turn import CueTurn
    from .dm_face import DmSwimmer
    from .layout import Layout, Sense
    from .simulation import Simulation
    from .task_registry import TASKS, make_task
    from .tasks import Navigate, Swim, Task
    from .vector_env import SwimmerEnv, SwimmerVectorEnv, World

_LAZY = {
    "bodies": ("VARIANTS", "Body", "body_names", "make_body", "register_body", "swimmer"),
    "cue_turn": ("CueTurn",),
    "dm_face": ("DmSwimmer",),
    "layout": ("Layout", "Sense"),
    "simulation": ("Simulation",),
    "task_registry": ("TASKS", "make_task"),
    "tasks": ("Navigate", "Swim", "Task"),
    "vector_env": ("SwimmerEnv", "SwimmerVectorEnv", "World"),
}

__all__ = [
    "TASKS",
    "VARIANTS",
    "Body",
    "CueTurn",
    "DmSwimmer",
    "Layout",
    "Navigate",
    "Sense",
    "Simulation",
    "Swim",
    "SwimmerEnv",
    "SwimmerVectorEnv",
    "Task",
    "World",
    "body_names",
    "make_body",
    "make_task",
    "register_body",
    "register_environments",
    "swimmer",
]


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name in names:
            return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
