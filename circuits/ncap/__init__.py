"""The worm's swimming circuit, its graded variant, and the same steered towards a target."""

from .navigator import Navigator
from .ncap import NCAP
from .plus import NCAPPlus

__all__ = ["NCAP", "NCAPPlus", "Navigator"]
