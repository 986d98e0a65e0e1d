"""Algorithms that train circuits, one file each."""

from .cmaes import CMAES
from .es import ES
from .ppo import CircuitPPO

__all__ = ["CMAES", "ES", "CircuitPPO"]
