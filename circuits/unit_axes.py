"""Hidden units in a circuit's weights: what each hears, and weights with units in another order, masked, or more."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from ..errors import CircuitMismatch
from .contract import Circuit, UnitAxes
from .registry import CIRCUITS

Tensors = Mapping[str, Shaped[Tensor, "*shape"]]
_ENDS = ("sensors", "motors")


def axes_of(circuit: Circuit) -> UnitAxes:
    """Return where a circuit's hidden units stand in its weights.

    Raises:
        CircuitMismatch: it does not say, has no hidden units, or holds weights of which it does not say; names the
            circuits that do.
    """
    found, kind = circuit.unit_axes, type(circuit).__name__
    if found is None:
        known = [
            name for name, entry in CIRCUITS.working().items()
            if inspect.isclass(entry.build) and getattr(entry.build, "unit_axes", None) is not Circuit.unit_axes
        ]  # fmt: skip
        raise CircuitMismatch(
            f"{kind} does not consist of layers of similar units; choose one that does: {', '.join(known)}"
        )
    if untold := circuit.state_dict().keys() - found.axes.keys():
        raise CircuitMismatch(f"{kind} has {', '.join(sorted(untold))}, which belong to no units; train one without")
    if not layers_of(circuit, found):
        raise CircuitMismatch(f"{kind} has no hidden units; train one that has, such as hidden=[64,64]")
    return found


def layers_of(circuit: Circuit, axes: UnitAxes) -> tuple[str, ...]:
    """Return the groups of hidden units, in the order of the circuit's neurons."""
    named = {group for groups in axes.axes.values() for group in groups}
    return tuple(group for group in circuit.groups if group in named and group not in _ENDS)


def heard_by(axes: UnitAxes, layer: str) -> tuple[str, ...]:
    """Return the groups of neurons that a layer hears, in the order of the columns of `incoming_rows`."""
    return tuple(groups[1] for groups in axes.axes.values() if len(groups) > 1 and groups[0] == layer)


def incoming_rows(circuit: Circuit, layer: str) -> Float[Tensor, "units weights"]:
    """Return the weights by which each unit of a layer hears, in their own units: all inputs, gate after gate."""
    axes, weights = axes_of(circuit), circuit.state_dict()
    n = size_of(circuit, layer)
    maps = [weights[name] for name, groups in axes.axes.items() if len(groups) > 1 and groups[0] == layer]
    by_gate = torch.cat([each.reshape(-1, n, each.shape[1]) for each in maps], 2)
    return by_gate.transpose(0, 1).reshape(n, -1)


def size_of(circuit: Circuit, group: str) -> int:
    """Return how many neurons a group has."""
    some = circuit.groups[group]
    return int(some.stop - (some.start or 0))


def places(units: Int[Tensor, " some"], size: int, length: int) -> Int[Tensor, " places"]:
    """Return where units stand on an axis of a `length` that is a multiple of the layer's size: in every gate."""
    return torch.cat([units + first for first in range(0, length, size)])


def reordered(
    circuit: Circuit, orders: Mapping[str, Int[Tensor, " units"]], signs: Mapping[str, Float[Tensor, " units"]]
) -> dict[str, Shaped[Tensor, "*shape"]]:
    """Return a circuit's weights, in their own units, with the units of layers in another order and of other signs.

    The circuit that they make computes the same; with signs, if its units' function is odd.

    Args:
        circuit: whose weights they are.
        orders: for layers, which unit comes where.
        signs: for layers, 1 or -1 of each unit, in the new order.

    Raises:
        CircuitMismatch: signs of units whose function is not odd.
    """
    axes = axes_of(circuit)
    if axes.odd is None and any((sign < 0).any() for sign in signs.values()):
        raise CircuitMismatch(
            f"units of {type(circuit).__name__} have no odd activation function, so their signs cannot be flipped"
        )
    found = {}
    for name, value in circuit.state_dict().items():
        for axis, group in enumerate(axes.axes[name]):
            n, length = size_of(circuit, group), value.shape[axis]
            if group in orders:
                value = value.index_select(axis, places(orders[group], n, length))
            if group in signs:
                factor = torch.ones(length, dtype=value.dtype)
                gate = axes.odd or 0 if length > n else 0
                factor[gate * n : (gate + 1) * n] = signs[group].to(value.dtype)
                value = value * factor.reshape([-1 if each == axis else 1 for each in range(value.ndim)])
        found[name] = value
    return found


def touching(circuit: Circuit, units: Collection[str]) -> dict[str, Bool[Tensor, "*shape"]]:
    """Return for each of the circuit's tensors where it is of some units: incoming, outgoing, or a unit's own.

    Raises:
        CircuitMismatch: a name is no hidden unit's; see `axes_of` too.
    """
    axes = axes_of(circuit)
    columns = {neuron.name: index for index, neuron in enumerate(circuit.neurons)}
    chosen: dict[str, list[int]] = {layer: [] for layer in layers_of(circuit, axes)}
    for unit in units:
        layer = next((each for each in chosen if _holds(circuit.groups[each], columns.get(unit, -1))), None)
        if layer is None:
            raise CircuitMismatch(f"{unit!r} is not a hidden unit of {type(circuit).__name__}; give some, such as "
                                  f"{circuit.neurons[circuit.groups[next(iter(chosen))].start].name}")  # fmt: skip
        chosen[layer].append(columns[unit] - circuit.groups[layer].start)
    masks = {}
    for name, value in circuit.state_dict().items():
        mask = torch.zeros(value.shape, dtype=torch.bool, device=value.device)
        for axis, group in enumerate(axes.axes[name]):
            if chosen.get(group):
                some = places(torch.tensor(chosen[group]), size_of(circuit, group), value.shape[axis])
                mask.index_fill_(axis, some.to(value.device), True)
        masks[name] = mask
    return masks


def widened(circuit: Circuit, wider: Circuit, layers: Sequence[str]) -> dict[str, Shaped[Tensor, "*shape"]]:
    """Return weights for a circuit with more units in some layers, in their own units, with which it computes the same.

    Args:
        circuit: whose units come first.
        wider: the same circuit with more units; their incoming weights are as it has them, their outgoing are 0.
        layers: that have more.
    """
    axes = axes_of(circuit)
    found = {name: value.clone() for name, value in wider.state_dict().items()}
    for name, value in circuit.state_dict().items():
        groups, whole = axes.axes[name], found[name]
        if len(groups) > 1 and groups[1] in layers:
            whole[:, size_of(circuit, groups[1]) :] = 0
        kept = [
            places(torch.arange(size_of(circuit, group)), size_of(wider, group), whole.shape[axis])
            for axis, group in enumerate(groups)
        ]
        whole[torch.meshgrid(*kept, indexing="ij")] = value
    return found


def _holds(some: slice, index: int) -> bool:
    return bool((some.start or 0) <= index < some.stop)
