"""The gated baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .gru import GRU
    from .lstm import LSTM

__all__ = ["GRU", "LSTM"]
__getattr__ = lazy_exports(__name__, __file__)
