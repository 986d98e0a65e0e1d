"""The arenas by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import InvalidArena, UnknownName
from ...registry import Registry
from .arena import Arena, Fluid


def _adopted(arena: Any, name: str) -> type[Arena]:
    if not (isinstance(arena, type) and issubclass(arena, Arena)):
        raise TypeError(f"{name} is a {type(arena).__name__}, not a subclass of Arena")
    return arena


# Every arena by name, with those of other packages.
ARENAS: Registry[type[Arena]] = Registry("nervecord.arenas", {"open": Arena}, _adopted)


def make_arena(arena: str | Arena | Mapping[str, Any] | None) -> Arena:
    """Return an arena of that name, the arena itself, or one read from JSON.

    None is open space in the medium that a body is at home in.

    Raises:
        UnknownName: no such arena.
        InvalidArena: an argument that the arena does not take, or out of range.
    """
    if isinstance(arena, Arena):
        return arena
    values: dict[str, Any] = {"name": arena} if isinstance(arena, str) else dict(arena or {})
    name = str(values.pop("name", "open"))
    if name not in ARENAS:
        raise UnknownName("arena", name, ARENAS)
    try:
        if isinstance(values.get("medium"), Mapping):
            values["medium"] = Fluid(**values["medium"])
        return ARENAS[name](**values)
    except TypeError as error:
        raise InvalidArena(f"arena {name!r}: {str(error).split('() ')[-1]}") from error


def arena_json(arena: Arena) -> dict[str, Any]:
    """Return an arena as JSON types, with the name under which `make_arena` finds it again."""
    name = next((name for name in ARENAS if ARENAS[name] is type(arena)), None)
    if name is None:
        raise InvalidArena(f"{type(arena).__name__} is no registered arena; register it, so that a run can name it")
    return {"name": name, **arena.to_json()}
