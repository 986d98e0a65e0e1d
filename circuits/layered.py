"""Circuits without a state, whose values pass from the sensors through layers to the motors."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .contract import Circuit, Pins, State


class LayeredCircuit(Circuit):
    """A feed-forward circuit, whose motors depend only on the current sensors; a subclass computes the layers."""

    memory = "none"

    @abstractmethod
    def layer_values(
        self, sensors: Float[Tensor, "batch sensors"], pins: Pins | None
    ) -> list[Float[Tensor, "batch units"]]:
        """Return the values of each layer, in the order of `neurons`: sensors first, motors last."""

    def initial_state(self, batch_size: int) -> State:  # noqa: ARG002
        """Return an empty state."""
        return {}

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step."""
        return self.layer_values(sensors, pins)[-1], state

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return sensors, units, each in [-1, 1], and motors."""
        values = self.layer_values(sensors, pins)
        return values[-1], state, torch.cat(values, -1)

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],  # noqa: ARG002
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run the circuit over a whole sequence at once, as it has no state."""
        return self(sensors.flatten(0, 1), {})[0].unflatten(0, sensors.shape[:2]), state
