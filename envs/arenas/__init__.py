"""The surroundings of a body: medium, obstacles, fields, food."""

from .arena import Arena
from .fields import Field, Source
from .media import Drag, Fluid, gel, newtonian
from .registry import ARENAS, arena_json, make_arena
from .worlds import Landscape
from .zones import Zone

__all__ = [
    "ARENAS",
    "Arena",
    "Drag",
    "Field",
    "Fluid",
    "Landscape",
    "Source",
    "Zone",
    "arena_json",
    "gel",
    "make_arena",
    "newtonian",
]
