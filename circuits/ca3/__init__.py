"""A model of the hippocampal region CA3 as a memory that is addressed by content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .circuit import CA3
    from .spikes import SpikingCA3

__all__ = ["CA3", "SpikingCA3"]
__getattr__ = lazy_exports(__name__, __file__)
