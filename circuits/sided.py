"""What circuits with a dorsal and a ventral side share: how signals are split, and how neurons are named and pinned."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .contract import Circuit, Neuron, Pins, Role, Side
from .neurons import neuron_row

SIDES: tuple[Side, Side] = ("d", "v")


class SidedCircuit(Circuit):
    """A circuit whose neurons of both sides are two groups, such as `B_d` and `B_v`."""

    def pinned_sides(
        self, values: Float[Tensor, "2 batch some"], group: str, pins: Pins | None
    ) -> Float[Tensor, "2 batch some"]:
        """Return the dorsal and ventral values of a group as they are after `pins`."""
        if pins is None:
            return values
        return torch.stack([self.pinned(row, f"{group}_{side}", pins) for side, row in zip(SIDES, values, strict=True)])


def sides(signed: Float[Tensor, "batch columns"]) -> Float[Tensor, "2 batch columns"]:
    """Split a signed signal into what excites the dorsal and what excites the ventral side, from 0 up."""
    return torch.stack((signed, -signed)).clamp(min=0.0)


def along_body(kind: str, role: Role, n_joints: int) -> dict[str, list[Neuron]]:
    """Return a neuron for each joint and side, as two groups."""
    return {f"{kind}_{side}": neuron_row(f"{kind}_{side}", role, n_joints, side) for side in SIDES}
