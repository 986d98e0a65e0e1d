"""A population of one circuit, each member with its own weights, stepped as one batch."""

from __future__ import annotations

import logging

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ...circuits import Circuit, State
from ...circuits.weights import device_of
from .tracing import Traced, traced

_log = logging.getLogger(__name__)


class Population:
    """Members of a circuit in lockstep, one environment each; no Python loop over members.

    A circuit whose Python code branches on values cannot be mapped over members: its members run one by one, and one
    line of the log says so.

    Args:
        circuit: the circuit whose weights vary; members are on its device.
        n_members: number of members.

    Attributes:
        initial: each member's state at an episode's start.
    """

    def __init__(self, circuit: Circuit, n_members: int) -> None:
        self._circuit, self._members = circuit, n_members
        self._start, self._device = _Start(circuit), device_of(circuit)
        self.initial: State = {}
        self._weights: dict[str, Tensor] = {}
        self._state: State = {}
        self._step: Traced | None = None
        self._prepared: list[Tensor] = []

    def start(self, weights: Float[Tensor, "members weights"]) -> None:
        """Start episodes with new weights: one flat row per member, in the order of `circuit.parameters()`."""
        start, weights = 0, weights.to(self._device)
        for name, parameter in self._circuit.named_parameters():
            columns = weights[:, start : start + parameter.numel()]
            self._weights[name] = columns.reshape(self._members, *parameter.shape)
            start += parameter.numel()
        # Initial states may be learned, and then each member has its own.
        held = {f"circuit.{name}": weight for name, weight in self._weights.items()}
        initial = torch.vmap(lambda weights: torch.func.functional_call(self._start, weights, ()))(held)
        # Copied, because two keys may share one tensor, or a tensor be an expanded view; a step needs them apart.
        self.initial = {key: value.clone(memory_format=torch.contiguous_format) for key, value in initial.items()}
        self._state = self.initial
        if self._step is not None:
            self._prepared = self._step.prepare(*self._weights.values())

    def step(self, sensors: Float[Tensor, "members sensors"]) -> Float[Tensor, "members motors"]:
        """Run one control step of every member; motors are in units of the motor's range."""
        varying = (sensors.to(self._device)[:, None], *self._state.values())
        if self._step is None:
            self._step = self._fastest(*varying)
            self._prepared = self._step.prepare(*self._weights.values())
        motor, *state = self._step.run(*self._prepared, *varying)
        self._state = dict(zip(self._state, state, strict=True))
        return motor[:, 0]

    def reset(self, members: Bool[np.ndarray, " members"]) -> None:
        """Reset some members to their initial state."""
        chosen = torch.as_tensor(members, device=self._device)
        self._state = {
            key: torch.where(chosen.reshape(-1, *[1] * (value.dim() - 1)), self.initial[key], value)
            for key, value in self._state.items()
        }

    def _fastest(self, *varying: Tensor) -> Traced:
        """Return the circuit's step mapped over members and traced, or a loop over members where it cannot be mapped.

        vmap's own bookkeeping costs more than NCAP itself: without tracing, a step of 32 NCAPs takes 2.3 times as long,
        and one of 256 GRUs 1.2 times.
        """
        weights = tuple(self._weights.values())
        # A circuit that draws random numbers, against its contract, draws different ones for each member.
        mapped = torch.vmap(self._one, randomness="different")
        try:
            return traced(mapped, weights, varying)
        except RuntimeError as error:
            self._one_by_one(*weights, *varying)  # a circuit that cannot step at all raises here
            _log.warning(
                "nervecord: members of %s run one by one, more slowly, because torch.vmap cannot map it: %s",
                type(self._circuit).__name__,
                str(error).split(". ")[0],
            )
            return Traced(lambda *weights: list(weights), self._one_by_one)

    def _one(self, *inputs: Tensor) -> list[Tensor]:
        """Step one member; inputs are its weights in the order of their names, its sensors, and its state likewise."""
        weights = dict(zip(self._weights, inputs, strict=False))
        sensors, *held = inputs[len(weights) :]
        state = dict(zip(self.initial, held, strict=True))
        motor, after = torch.func.functional_call(self._circuit, weights, (sensors, state))
        return [motor, *(after[key] for key in self.initial)]

    def _one_by_one(self, *inputs: Tensor) -> list[Tensor]:
        members = [self._one(*(value[member] for value in inputs)) for member in range(self._members)]
        return [torch.stack(values) for values in zip(*members, strict=True)]


class _Start(nn.Module):
    """The initial state of one member as a module's output, so that it follows the member's weights."""

    def __init__(self, circuit: Circuit) -> None:
        super().__init__()
        self.circuit = circuit

    def forward(self) -> State:
        return self.circuit.initial_state(1)
