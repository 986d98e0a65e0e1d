"""Circuits of units that fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .lif import LIF
    from .spiking import Spiking

__all__ = ["LIF", "Spiking"]
__getattr__ = lazy_exports(__name__, __file__)
