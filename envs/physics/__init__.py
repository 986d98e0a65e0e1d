"""What steps bodies in time."""

from .mujoco_batch import MujocoBatch
from .physics import PARAMETERS, QUANTITIES, Physics

__all__ = ["PARAMETERS", "QUANTITIES", "MujocoBatch", "Physics"]
