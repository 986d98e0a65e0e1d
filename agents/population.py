"""A population of one circuit, each member with its own weights, stepped as one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..circuits import Circuit, State


class Population:
    """Members of a circuit in lockstep, one environment each; no Python loop over members.

    Args:
        circuit: the circuit whose weights vary.
        weights: one row of flat weights per member, in the order of `circuit.parameters()`.
    """

    def __init__(self, circuit: Circuit, weights: Float[Tensor, "members weights"]) -> None:
        self._circuit, self._members = circuit, len(weights)
        self._weights: dict[str, Tensor] = {}
        start = 0
        for name, parameter in circuit.named_parameters():
            columns = weights[:, start : start + parameter.numel()]
            self._weights[name] = columns.reshape(self._members, *parameter.shape)
            start += parameter.numel()
        self._initial = {key: value[:, None] for key, value in circuit.initial_state(self._members).items()}
        self._state: State = self._initial

        def one(weights: dict[str, Tensor], sensors: Tensor, state: State) -> tuple[Tensor, State]:
            result: tuple[Tensor, State] = torch.func.functional_call(circuit, weights, (sensors, state))
            return result

        self._step: Callable[..., Any] = torch.vmap(one)

    def step(self, sensors: Float[Tensor, "members sensors"]) -> Float[Tensor, "members motors"]:
        """Run one control step of every member."""
        motor, self._state = self._step(self._weights, sensors[:, None], self._state)
        return motor[:, 0]

    def reset(self, members: Bool[np.ndarray, " members"]) -> None:
        """Put some members back to their initial state."""
        chosen = torch.as_tensor(members)
        self._state = {
            key: torch.where(chosen.reshape(-1, *[1] * (value.dim() - 1)), self._initial[key], value)
            for key, value in self._state.items()
        }
