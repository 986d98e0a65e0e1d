"""Circuits wired by a signed graph of cells and contacts, such as the published connectome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .circuit import Connectome
    from .files import load_graph
    from .graph import Cell, Contact, Graph, ladder

__all__ = ["Cell", "Connectome", "Contact", "Graph", "ladder", "load_graph"]
__getattr__ = lazy_exports(__name__, __file__)
