"""Bodies, tasks, and the single and vector environments over them."""

from .bodies import VARIANTS, Body, body_names, make_body, register_body, swimmer
from .cue_turn import CueTurn
from .layout import Layout, Sense
from .registration import register_environments
from .simulation import Simulation
from .task_registry import TASKS, make_task
from .tasks import Navigate, Swim, Task
from .vector_env import SwimmerEnv, SwimmerVectorEnv, World

__all__ = [
    "TASKS",
    "VARIANTS",
    "Body",
    "CueTurn",
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
