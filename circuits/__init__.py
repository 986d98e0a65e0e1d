"""Neural circuits as torch modules with named neurons and an explicit state."""

from .cfc import CfC
from .circuit import Circuit, Neuron, Pins, State, Synapse, Wiring, load_weights
from .connectome import Connectome
from .ctm import CTM
from .ctrnn import CTRNN
from .elm import ELM
from .graph import Cell, Contact, Graph, ladder
from .graph_files import load_graph
from .gru import GRU
from .lstm import LSTM
from .ltc import LTC
from .mlp import MLP
from .navigator import Navigator
from .ncap import NCAP
from .ncap_plus import NCAPPlus
from .recurrent import RecurrentCircuit, UnitCircuit, with_rank
from .registry import CIRCUITS, circuit_names, make_circuit, register_circuit

__all__ = [
    "CIRCUITS",
    "CTM",
    "CTRNN",
    "ELM",
    "GRU",
    "LSTM",
    "LTC",
    "MLP",
    "NCAP",
    "Cell",
    "CfC",
    "Circuit",
    "Connectome",
    "Contact",
    "Graph",
    "NCAPPlus",
    "Navigator",
    "Neuron",
    "Pins",
    "RecurrentCircuit",
    "State",
    "Synapse",
    "UnitCircuit",
    "Wiring",
    "circuit_names",
    "ladder",
    "load_graph",
    "load_weights",
    "make_circuit",
    "register_circuit",
    "with_rank",
]
