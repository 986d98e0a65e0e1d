"""What an experiment is, and what of it lies on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .config import RunConfig
    from .folder import Folder
    from .resolve import Resolved, resolve, trainable
    from .run import Run
    from .scores import Store

__all__ = [
    "Folder",
    "Resolved",
    "Run",
    "RunConfig",
    "Store",
    "resolve",
    "trainable",
]
__getattr__ = lazy_exports(__name__, __file__)
