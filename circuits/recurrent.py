"""What circuits with memory share: features that carry it, and a linear readout to the motors."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .circuit import Circuit, State


class RecurrentCircuit(Circuit):
    """A circuit whose motors are a linear readout of features that carry its memory.

    A subclass writes `step_features`, `initial_state`, `forward_with_activity` and `wiring`, and sets
    `readout`; it may write a faster `unroll_features`. A critic may read the features too, which is how
    value and policy share one circuit.

    Attributes:
        n_features: size of the features.
        readout: from features to motor commands.
    """

    n_features: int
    readout: nn.Module

    @abstractmethod
    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step up to the features."""

    def unroll_features(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch features"], State]:
        """Run a sequence up to the features, resetting where an episode starts; see `Circuit.unroll`."""
        features = []
        for row, start in zip(sensors, episode_start, strict=True):
            now, state = self.step_features(row, self.reset_state(state, start))
            features.append(now)
        return torch.stack(features), state

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step."""
        features, state = self.step_features(sensors, state)
        return self.readout(features), state

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run a sequence; see `Circuit.unroll`."""
        features, state = self.unroll_features(sensors, state, episode_start)
        return self.readout(features), state
