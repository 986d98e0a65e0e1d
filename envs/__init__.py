"""Bodies, tasks and the environments made of them, for each API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports
from .registration import register_environments

if TYPE_CHECKING:
    from .arenas.arena import Arena
    from .arenas.fields import Field, Source
    from .arenas.media import Drag, Fluid, gel, newtonian
    from .arenas.posts import Lattice, Post, Wall
    from .arenas.registry import ARENAS, make_arena
    from .arenas.worlds import Landscape
    from .arenas.zones import Zone
    from .bodies.body import Body
    from .bodies.registry import body_names, make_body, register_body
    from .bodies.swimmers import VARIANTS, Swimmer, swimmer
    from .bodies.worm import Worm, worm
    from .bodies.xml_body import XmlBody
    from .choice import choose_physics
    from .dm_env import DmSwimmer
    from .env_batch import EnvBatch
    from .gymnasium_env import SwimmerEnv, SwimmerVectorEnv
    from .physics.mujoco_batch import MujocoBatch
    from .physics.physics import Physics
    from .sb3_env import SwimmerVecEnv
    from .senses import SENSES, Layout, Sense, SenseKind
    from .tasks.chemotaxis import Chemotaxis
    from .tasks.cue_turn import CueTurn
    from .tasks.escape import Escape
    from .tasks.forage import Forage
    from .tasks.lattice import CrossLattice
    from .tasks.navigate import Navigate
    from .tasks.recall_turn import RecallTurn
    from .tasks.registry import TASKS
    from .tasks.swim import Swim
    from .tasks.task import Task
    from .tasks.track import TrackPosture
    from .tasks.two_media import TwoMedia

__all__ = [
    "ARENAS",
    "SENSES",
    "TASKS",
    "VARIANTS",
    "Arena",
    "Body",
    "Chemotaxis",
    "CrossLattice",
    "CueTurn",
    "DmSwimmer",
    "Drag",
    "EnvBatch",
    "Escape",
    "Field",
    "Fluid",
    "Forage",
    "Landscape",
    "Lattice",
    "Layout",
    "MujocoBatch",
    "Navigate",
    "Physics",
    "Post",
    "RecallTurn",
    "Sense",
    "SenseKind",
    "Source",
    "Swim",
    "Swimmer",
    "SwimmerEnv",
    "SwimmerVecEnv",
    "SwimmerVectorEnv",
    "Task",
    "TrackPosture",
    "TwoMedia",
    "Wall",
    "Worm",
    "XmlBody",
    "Zone",
    "body_names",
    "choose_physics",
    "gel",
    "make_arena",
    "make_body",
    "newtonian",
    "register_body",
    "register_environments",
    "swimmer",
    "worm",
]
__getattr__ = lazy_exports(__name__, __file__)
