"""The Continuous Thought Machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .circuit import CTM

__all__ = ["CTM"]
__getattr__ = lazy_exports(__name__, __file__)
