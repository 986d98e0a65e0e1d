"""Planar chains in vector instructions: MuJoCo's equations, a hundred times as fast; compiled on first use."""

from .chain import Chain, read_chain
from .compiling import cache_folder, compiled_near, compiled_step, reason_not_compiled, step_numbers
from .controller import Controller
from .coverage import reason_not_covered
from .face import Face
from .lanes import SETTINGS, Lanes

__all__ = [
    "SETTINGS",
    "Chain",
    "Controller",
    "Face",
    "Lanes",
    "cache_folder",
    "compiled_near",
    "compiled_step",
    "read_chain",
    "reason_not_compiled",
    "reason_not_covered",
    "step_numbers",
]
