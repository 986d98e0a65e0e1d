"""Liquids: recurrent media of spiking units whose weights no learner changes, read out by trained weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .medium import Medium, Plasticity
    from .nalsm import NALSM
    from .paired import PairedLiquids

__all__ = ["NALSM", "Medium", "PairedLiquids", "Plasticity"]
__getattr__ = lazy_exports(__name__, __file__)
