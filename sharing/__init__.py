"""Runs that leave this machine: exports and their cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .hub import export, import_run, push

__all__ = [
    "export",
    "import_run",
    "push",
]
__getattr__ = lazy_exports(__name__, __file__)
