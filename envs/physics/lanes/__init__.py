"""Planar chains in vector instructions: MuJoCo's equations, a hundred times as fast; compiled on first use."""

from .chain import Chain, read_chain
from .compiling import cache_folder, reason_not_compiled
from .coverage import reason_not_covered
from .face import Face
from .lanes import SETTINGS, Lanes

__all__ = [
    "SETTINGS",
    "Chain",
    "Face",
    "Lanes",
    "cache_folder",
    "read_chain",
    "reason_not_compiled",
    "reason_not_covered",
]
