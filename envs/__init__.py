"""Bodies, tasks, and the environments over them, for each API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports
from .registration import register_environments

if TYPE_CHECKING:
    from .bodies.swimmers import VARIANTS, Body, body_names, make_body, register_body, swimmer
    from .dm_env import DmSwimmer
    from .env_batch import World
    from .gymnasium_env import SwimmerEnv, SwimmerVectorEnv
    from .physics.simulation import Simulation
    from .sb3_env import SwimmerVecEnv
    from .senses import Layout, Sense
    from .tasks.cue_turn import CueTurn
    from .tasks.navigate import Navigate
    from .tasks.registry import TASKS, make_task
    from .tasks.swim import Swim
    from .tasks.task import Task

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
    "SwimmerVecEnv",
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
__getattr__ = lazy_exports(__name__, __file__)
