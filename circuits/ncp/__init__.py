"""Liquid and closed-form networks in the wiring of neural circuit policies."""

from .cfc import CfC
from .ltc import LTC

__all__ = ["LTC", "CfC"]
