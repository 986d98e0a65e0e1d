"""Neural circuits as torch modules with named neurons and an explicit state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .along import Along
    from .bdh import BDH
    from .ca3.circuit import CA3
    from .ca3.spikes import SpikingCA3
    from .code_files import circuit_from_file
    from .compose import Composed
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
        UnitAxes,
        Wiring,
        check_pins,
        named_groups,
        step_length,
        takes_pins,
    )
    from .cpg import CPG
    from .ctm.circuit import CTM
    from .ctrnn import CTRNN
    from .dendrites import Dendrites
    from .elm import ELM
    from .escape import Escape
    from .freezing import freeze
    from .gated.gru import GRU
    from .gated.lstm import LSTM
    from .lane_step import LaneStep
    from .liquid.medium import Medium, Plasticity
    from .liquid.nalsm import NALSM
    from .liquid.paired import PairedLiquids
    from .mlp import MLP
    from .ncap.klinotaxis import Klinotaxis
    from .ncap.navigator import Navigator
    from .ncap.ncap import NCAP
    from .ncap.plus import NCAPPlus
    from .ncp.cfc import CfC
    from .ncp.ltc import LTC
    from .neurons import neuron_row, sensor_neurons
    from .quadratic import Quadratic
    from .rbf import RBF
    from .recurrent import RecurrentCircuit, UnitCircuit
    from .registry import CIRCUITS, make_circuit, register_circuit
    from .relay import Relay
    from .relay_klinotaxis import RelayKlinotaxis
    from .relay_navigator import RelayNavigator
    from .rewiring import Rewiring
    from .spiking.lif import LIF
    from .spiking.spiking import Spiking
    from .steering import Steering
    from .weights import load_weights
    from .wires import Wire

__all__ = [
    "BDH",
    "CA3",
    "CIRCUITS",
    "CPG",
    "CTM",
    "CTRNN",
    "ELM",
    "GRU",
    "LIF",
    "LSTM",
    "LTC",
    "MLP",
    "NALSM",
    "NCAP",
    "RBF",
    "Along",
    "Cell",
    "CfC",
    "Circuit",
    "Composed",
    "Connectome",
    "Contact",
    "Dendrites",
    "Escape",
    "Facts",
    "Graph",
    "Klinotaxis",
    "LaneStep",
    "Medium",
    "NCAPPlus",
    "Navigator",
    "Neuron",
    "PairedLiquids",
    "Pins",
    "Plasticity",
    "Quadratic",
    "RecurrentCircuit",
    "Relay",
    "RelayKlinotaxis",
    "RelayNavigator",
    "Rewiring",
    "Spiking",
    "SpikingCA3",
    "State",
    "Steering",
    "Synapse",
    "UnitAxes",
    "UnitCircuit",
    "Wire",
    "Wiring",
    "check_pins",
    "circuit_from_file",
    "freeze",
    "ladder",
    "load_graph",
    "load_weights",
    "make_circuit",
    "named_groups",
    "neuron_row",
    "register_circuit",
    "sensor_neurons",
    "step_length",
    "takes_pins",
]
__getattr__ = lazy_exports(__name__, __file__)
