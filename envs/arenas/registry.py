"""The arenas by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import InvalidArena, UnknownName
from ...registry import Registry
from .arena import Arena
from .media import medium_of
from .worlds import Agar, AgarLow, Gel, Landscape, Newtonian, Water


def _adopted(arena: Any, name: str) -> type[Arena]:
    if not (isinstance(arena, type) and issubclass(arena, Arena)):
        raise TypeError(f"{name} is a {type(arena).__name__}, not a subclass of Arena")
    return arena


# Every arena by name, with those of other packages.
ARENAS: Registry[type[Arena]] = Registry(
    "nervecord.arenas",
    {
        "open": Arena,
        "water": Water,
        "newtonian": Newtonian,
        "gel": Gel,
        "agar": Agar,
        "agar_low": AgarLow,
        "landscape": Landscape,
    },
    _adopted,
)


def make_arena(arena: str | Arena | Mapping[str, Any] | None) -> Arena:
    """Return an arena from its name, from JSON, or as given; None is open space in each body's own medium.

    Raises:
        UnknownName: there is no such arena.
        InvalidArena: an argument is unknown or out of range.
    """
    if isinstance(arena, Arena):
        return arena
    values: dict[str, Any] = {"name": arena} if isinstance(arena, str) else dict(arena or {})
    name = str(values.pop("name", "open"))
    if name not in ARENAS:
        raise UnknownName("arena", name, ARENAS)
    try:
        if isinstance(values.get("medium"), Mapping):
            values["medium"] = medium_of(values["medium"])
        return ARENAS[name](**values)
    except TypeError as error:
        raise InvalidArena(f"arena {name!r}: {str(error).split('() ')[-1]}") from error


def arena_json(arena: Arena) -> dict[str, Any]:
    """Return an arena as JSON types, with its registered name, from which `make_arena` makes it again."""
    name = next((name for name in ARENAS if ARENAS[name] is type(arena)), None)
    if name is None:
        raise InvalidArena(f"{type(arena).__name__} is not a registered arena; register it, so that a run can name it")
    return {"name": name, **arena.to_json()}
