"""Bodies, tasks, and the single and vector environments over them."""

from .bodies import VARIANTS, Body, body_names, make_body, register_body, swimmer
from .layout import Layout, Sense
from .registration import register_environments
from .simulation import Simulation
from .tasks import TASKS, Navigate, Swim, Task, make_task
from .vector_env import SwimmerEnv, SwimmerVectorEnv, World

__all__ = [
    "TASKS",
    "VARIANTS",
    "Body",
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
