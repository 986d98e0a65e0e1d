"""Neural circuits as torch modules with named neurons and an explicit state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .connectome.circuit import Connectome
    from .connectome.files import load_graph
    from .connectome.graph import Cell, Contact, Graph, ladder
    from .contract import (
        Circuit,
        Facts,
        Neuron,
        Pins,
        State,
        Synapse,
        Wiring,
        check_pins,
        device_of,
        load_weights,
        named_groups,
        step_length,
        takes_pins,
        wiring_at,
    )
    from .ctm.circuit import CTM
    from .ctrnn import CTRNN
    from .elm import ELM
    from .gated.gru import GRU
    from .gated.lstm import LSTM
    from .lane_step import LaneStep
    from .mlp import MLP
    from .ncap.navigator import Navigator
    from .ncap.ncap import NCAP
    from .ncap.plus import NCAPPlus
    from .ncp.cfc import CfC
    from .ncp.ltc import LTC
    from .recurrent import RecurrentCircuit, UnitCircuit, with_rank
    from .registry import CIRCUITS, circuit_facts, circuit_names, make_circuit, register_circuit

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
    "Facts",
    "Graph",
    "LaneStep",
    "NCAPPlus",
    "Navigator",
    "Neuron",
    "Pins",
    "RecurrentCircuit",
    "State",
    "Synapse",
    "UnitCircuit",
    "Wiring",
    "check_pins",
    "circuit_facts",
    "circuit_names",
    "device_of",
    "ladder",
    "load_graph",
    "load_weights",
    "make_circuit",
    "named_groups",
    "register_circuit",
    "step_length",
    "takes_pins",
    "wiring_at",
    "with_rank",
]
__getattr__ = lazy_exports(__name__, __file__)
