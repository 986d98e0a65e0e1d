"""A population of one circuit, each member with its own weights, stepped as one batch."""

from __future__ import annotations

import logging

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ...circuits import Circuit, State
from ...circuits.contract import device_of
from .tracing import Traced, traced

_log = logging.getLogger(__name__)


class Population:
    """Members of a circuit in lockstep, one environment each; no Python loop over members.

    A circuit whose Python branches on values cannot be mapped over members. It is run member by member, which is
    said in one line.

    Args:
        circuit: the circuit whose weights vary; members live on its device.
        n_members: how many.

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
        """Begin anew: one row of flat weights per member, in the order of `circuit.parameters()`."""
        start, weights = 0, weights.to(self._device)
        for name, parameter in self._circuit.named_parameters():
            columns = weights[:, start : start + parameter.numel()]
            self._weights[name] = columns.reshape(self._members, *parameter.shape)
            start += parameter.numel()
        # Initial states may be learned, and then each member has its own.
        held = {f"circuit.{name}": weight for name, weight in self._weights.items()}
        initial = torch.vmap(lambda weights: torch.func.functional_call(self._start, weights, ()))(held)
        # Copied: under two keys may be one tensor, or one value seen many times, which a step tells apart.
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
        """Put some members back to their initial state."""
        chosen = torch.as_tensor(members, device=self._device)
        self._state = {
            key: torch.where(chosen.reshape(-1, *[1] * (value.dim() - 1)), self.initial[key], value)
            for key, value in self._state.items()
        }

    def _fastest(self, *varying: Tensor) -> Traced:
        """Return the circuit mapped over its members and traced, or, where it cannot be mapped, in a loop over them.

        vmap's own bookkeeping costs more than NCAP itself: without tracing a step of 32 NCAPs takes 2.3 times as long,
        of 256 GRUs 1.2 times.
        """
        weights = tuple(self._weights.values())
        # What a circuit draws by itself, against its contract, differs among members.
        mapped = torch.vmap(self._one, randomness="different")
        try:
            return traced(mapped, weights, varying)
        except RuntimeError as error:
            self._one_by_one(*weights, *varying)  # a circuit that cannot step at all says why
            _log.warning(
                "nervecord: members of %s run one by one, more slowly, because torch.vmap cannot map it: %s",
                type(self._circuit).__name__,
                str(error).split(". ")[0],
            )
            return Traced(lambda *weights: list(weights), self._one_by_one)

    def _one(self, *inputs: Tensor) -> list[Tensor]:
        """Step one member: weights in the order of their names, what it senses, state in the order of its names."""
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
