"""Bricks: a trained circuit's functional parts, found, silenced, retrieved, merged, updated and grown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....lazy import lazy_exports

if TYPE_CHECKING:
    from .causes import record_without, remaining_commands, remaining_returns, returns_while
    from .findings import Study, load_bricks
    from .growing import grow
    from .merging import Merged, combined, heard_as, match, merge
    from .partition import Brick, at_random, by_activity, by_weights
    from .retrieval import Retrieving, Router, oracle, similarity
    from .study import find_bricks
    from .telling import Functions, functions, predictivity
    from .updating import edited, update_brick

__all__ = [
    "Brick",
    "Functions",
    "Merged",
    "Retrieving",
    "Router",
    "Study",
    "at_random",
    "by_activity",
    "by_weights",
    "combined",
    "edited",
    "find_bricks",
    "functions",
    "grow",
    "heard_as",
    "load_bricks",
    "match",
    "merge",
    "oracle",
    "predictivity",
    "record_without",
    "remaining_commands",
    "remaining_returns",
    "returns_while",
    "similarity",
    "update_brick",
]
__getattr__ = lazy_exports(__name__, __file__)
