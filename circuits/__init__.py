"""Neural circuits as torch modules with named neurons and an explicit state."""

from .circuit import Circuit, Neuron, State, Synapse, Wiring, load_weights
from .ctm import CTM
from .mlp import MLP
from .navigator import Navigator
from .ncap import NCAP
from .recurrent import RecurrentCircuit
from .registry import circuit_names, make_circuit, register_circuit

__all__ = [
    "CTM",
    "MLP",
    "NCAP",
    "Circuit",
    "Navigator",
    "Neuron",
    "RecurrentCircuit",
    "State",
    "Synapse",
    "Wiring",
    "circuit_names",
    "load_weights",
    "make_circuit",
    "register_circuit",
]
