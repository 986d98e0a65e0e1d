"""Circuits whose weights no learner changes: parts of a composed circuit that are trained already."""

from __future__ import annotations

import copy

from torch import nn

from .contract import Circuit


def freeze(circuit: Circuit) -> Circuit:
    """Make a circuit's parameters buffers, which no learner changes, under the same names; return the circuit."""
    names = []
    for place, module in circuit.named_modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach().clone())
            names.append(f"{place}.{name}".removeprefix("."))
    circuit.frozen = (*circuit.frozen, *names)
    return circuit


def thawed(circuit: Circuit) -> Circuit:
    """Return a copy of a circuit whose frozen weights are parameters again, in the order that they had."""
    copied = copy.deepcopy(circuit)
    for path in copied.frozen:
        place, _, name = path.rpartition(".")
        module = copied.get_submodule(place)
        weight = module.get_buffer(name)
        delattr(module, name)
        module.register_parameter(name, nn.Parameter(weight))
    copied.frozen = ()
    return copied
