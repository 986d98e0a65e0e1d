"""The surroundings of a body: medium, obstacles, fields, food."""

from .arena import Arena, Fluid
from .registry import ARENAS, arena_json, make_arena

__all__ = ["ARENAS", "Arena", "Fluid", "arena_json", "make_arena"]
