"""The worm's swimming circuit, its graded variant, and the same steered towards a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .klinotaxis import Klinotaxis
    from .navigator import Navigator
    from .ncap import NCAP
    from .plus import NCAPPlus

__all__ = ["NCAP", "Klinotaxis", "NCAPPlus", "Navigator"]
__getattr__ = lazy_exports(__name__, __file__)
