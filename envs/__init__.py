"""Bodies, tasks, and the single and vector environments over them.

Each name loads when it is first used: registering ids and `nervecord --help` need no MuJoCo.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .registration import register_environments

if TYPE_CHECKING:
    from .bodies.swimmer import VARIANTS, Body, body_names, make_body, register_body, swimmer
    from .dm_env import DmSwimmer
    from .env_batch import World
    from .gymnasium_env import SwimmerEnv, SwimmerVectorEnv
    from .physics.simulation import Simulation
    from .senses import Layout, Sense
    from .tasks.cue_turn import CueTurn
    from .tasks.navigate import Navigate
    from .tasks.registry import TASKS, make_task
    from .tasks.swim import Swim
    from .tasks.task import Task

_LAZY = {
    "bodies": ("VARIANTS", "Body", "body_names", "make_body", "register_body", "swimmer"),
    "tasks.cue_turn": ("CueTurn",),
    "dm_env": ("DmSwimmer",),
    "senses": ("Layout", "Sense"),
    "physics.simulation": ("Simulation",),
    "tasks.registry": ("TASKS", "make_task"),
    "tasks.swim": ("Swim",),
    "tasks.navigate": ("Navigate",),
    "tasks.task": ("Task",),
    "env_batch": ("World",),
    "gymnasium_env": ("SwimmerEnv", "SwimmerVectorEnv"),
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
