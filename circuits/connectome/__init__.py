"""Circuits wired by a signed graph of cells and contacts, such as the published connectome."""

from .circuit import Connectome
from .files import load_graph
from .graph import Cell, Contact, Graph, ladder

__all__ = ["Cell", "Connectome", "Contact", "Graph", "ladder", "load_graph"]
