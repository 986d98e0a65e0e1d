"""What an experiment is, and what of it lies on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .algorithms import ALGORITHMS, Algorithm
    from .config import RunConfig, trainable
    from .folder import Folder
    from .run import Run
    from .scores import Store

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Folder",
    "Run",
    "RunConfig",
    "Store",
    "trainable",
]
__getattr__ = lazy_exports(__name__, __file__)
