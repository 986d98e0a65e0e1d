"""The surroundings of a body: medium, obstacles, fields, food."""

from .arena import Arena
from .fields import Field, Source
from .media import Drag, Fluid, gel, newtonian
from .posts import Lattice, Post, Wall
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
    "Lattice",
    "Post",
    "Source",
    "Wall",
    "Zone",
    "arena_json",
    "gel",
    "make_arena",
    "newtonian",
]
