"""Names of neurons that most circuits have: one for each sensor, and rows of them along the body."""

from __future__ import annotations

from collections.abc import Iterable

from .contract import Neuron, Role, Side


def sensor_neurons(senses: Iterable[tuple[str, int]]) -> list[Neuron]:
    """Return SENSE_0, SENSE_1, ... for each sense, of these names and sizes."""
    return [Neuron(f"{sense}_{i}", "sensor") for sense, size in senses for i in range(size)]


def neuron_row(name: str, role: Role, n: int, side: Side | None = None) -> list[Neuron]:
    """Return n neurons NAME_0, NAME_1, ... evenly from head to tail, on one side of the body or on none."""
    return [Neuron(f"{name}_{i}", role, i / max(n - 1, 1), side) for i in range(n)]
