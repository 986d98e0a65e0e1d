"""Physics: simulate bodies in time."""

from .lane_physics import LanePhysics
from .mujoco_batch import MujocoBatch
from .physics import PARAMETERS, QUANTITIES, Physics

__all__ = ["PARAMETERS", "QUANTITIES", "LanePhysics", "MujocoBatch", "Physics"]
