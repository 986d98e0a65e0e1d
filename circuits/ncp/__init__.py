"""Liquid and closed-form networks in the wiring of neural circuit policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .cfc import CfC
    from .ltc import LTC

__all__ = ["LTC", "CfC"]
__getattr__ = lazy_exports(__name__, __file__)
