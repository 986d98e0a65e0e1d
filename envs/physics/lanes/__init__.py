"""Planar chains in vector instructions: MuJoCo's equations, a hundred times as fast; compiled on first use."""

from .chain import Chain, read_chain
from .compiling import absence_of_numba, cache_folder
from .coverage import reason_not_covered
from .lanes import SETTINGS, Lanes

__all__ = ["SETTINGS", "Chain", "Lanes", "absence_of_numba", "cache_folder", "read_chain", "reason_not_covered"]
