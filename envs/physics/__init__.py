"""What steps bodies in time."""

from .simulation import Simulation

__all__ = ["Simulation"]
