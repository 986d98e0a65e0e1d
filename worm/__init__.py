"""Data of living worms, and comparisons of simulations with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .compare import WormComparison, compare_worms
    from .data import CalciumRecording, read_worms

__all__ = [
    "CalciumRecording",
    "WormComparison",
    "compare_worms",
    "read_worms",
]
__getattr__ = lazy_exports(__name__, __file__)
