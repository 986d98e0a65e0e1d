"""Named neurons that most circuits have: one per sensor, and rows along the body."""

from __future__ import annotations

from collections.abc import Iterable

from .contract import Neuron, Role, Side


def sensor_neurons(senses: Iterable[tuple[str, int]]) -> list[Neuron]:
    """Return a neuron for each sensor, named SENSE_0, SENSE_1, ..., given the senses' names and sizes."""
    return [Neuron(f"{sense}_{i}", "sensor") for sense, size in senses for i in range(size)]


def neuron_row(name: str, role: Role, n: int, side: Side | None = None) -> list[Neuron]:
    """Return n neurons NAME_0, NAME_1, ..., evenly spaced from head to tail, optionally on one side of the body."""
    return [Neuron(f"{name}_{i}", role, i / max(n - 1, 1), side) for i in range(n)]
