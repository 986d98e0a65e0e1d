"""The surroundings of a body: medium, obstacles, fields, food."""

from .arena import Arena
from .media import Drag, Fluid, gel, newtonian
from .registry import ARENAS, arena_json, make_arena
from .zones import Zone, Zones

__all__ = ["ARENAS", "Arena", "Drag", "Fluid", "Zone", "Zones", "arena_json", "gel", "make_arena", "newtonian"]
