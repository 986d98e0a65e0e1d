"""A population of one circuit, each member with its own weights, stepped as one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from ...circuits import Circuit, State


class Population:
    """Members of a circuit in lockstep, one environment each; no Python loop over members.

    Args:
        circuit: the circuit whose weights vary.
        n_members: how many.
    """

    def __init__(self, circuit: Circuit, n_members: int) -> None:
        self._circuit, self._members = circuit, n_members
        self._start = _Start(circuit)
        self._initial: State = {}
        self._weights: dict[str, Tensor] = {}
        self._state: State = {}
        self._step: Callable[..., Any] | None = None

    def start(self, weights: Float[Tensor, "members weights"]) -> None:
        """Begin anew: one row of flat weights per member, in the order of `circuit.parameters()`."""
        start = 0
        for name, parameter in self._circuit.named_parameters():
            columns = weights[:, start : start + parameter.numel()]
            self._weights[name] = columns.reshape(self._members, *parameter.shape)
            start += parameter.numel()
        # Initial states may be learned, and then each member has its own.
        held = {f"circuit.{name}": weight for name, weight in self._weights.items()}
        self._initial = torch.vmap(lambda weights: torch.func.functional_call(self._start, weights, ()))(held)
        self._state = self._initial

    def step(self, sensors: Float[Tensor, "members sensors"]) -> Float[Tensor, "members motors"]:
        """Run one control step of every member."""
        inputs = (self._weights, sensors[:, None], self._state)
        if self._step is None:
            self._step = self._trace(*inputs)
        motor, self._state = self._step(*inputs)
        return motor[:, 0]

    def reset(self, members: Bool[np.ndarray, " members"]) -> None:
        """Put some members back to their initial state."""
        chosen = torch.as_tensor(members)
        self._state = {
            key: torch.where(chosen.reshape(-1, *[1] * (value.dim() - 1)), self._initial[key], value)
            for key, value in self._state.items()
        }

    def _trace(self, *inputs: Any) -> Callable[..., Any]:
        """Map the circuit over its members, once: vmap's own bookkeeping costs more than NCAP itself.

        Population 32, NCAP: 293 microseconds a step with vmap, 123 with what it traces to.
        """

        def one(weights: dict[str, Tensor], sensors: Tensor, state: State) -> tuple[Tensor, State]:
            result: tuple[Tensor, State] = torch.func.functional_call(self._circuit, weights, (sensors, state))
            return result

        traced: Callable[..., Any] = make_fx(torch.vmap(one))(*inputs)
        return traced


class _Start(nn.Module):
    """The initial state of one member as a module's output, so that it follows the member's weights."""

    def __init__(self, circuit: Circuit) -> None:
        super().__init__()
        self.circuit = circuit

    def forward(self) -> State:
        return self.circuit.initial_state(1)
