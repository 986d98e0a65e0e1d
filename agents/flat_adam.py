"""Adam over parameters stored in one tensor, so that a step takes as long for a hundred parameters as for one."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CircuitMismatch


class FlatAdam(torch.optim.Adam):
    """Adam (Kingma and Ba 2015) whose weights are views of one tensor; likewise their gradients and moments.

    Its steps equal those of torch's Adam, and each reads the state that the other saved. Weights that a loss does
    not depend on have a gradient of 0. A move to another device, or gradients set to None, breaks the views;
    `zero_grad` restores them.

    Args:
        weights: the parameters to train.
        learning_rate: of Adam; about the largest change of a weight in one step.
        epsilon: added to the root of the second moment.
        rates: a factor of the learning rate for each of the parameters; None is 1 for all.

    Raises:
        CircuitMismatch: weights of several types, or on several devices.
    """

    # A copied optimiser has only its state; it joins the tensors on first use.
    _addresses: tuple[int, ...] = ()

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        learning_rate: float,
        epsilon: float = 1e-8,
        rates: Sequence[float] | None = None,
    ) -> None:
        super().__init__(list(weights), lr=learning_rate, eps=epsilon)
        self.param_groups[0]["rates"] = tuple(rates or (1.0,) * len(self._weights))
        self.zero_grad()

    def zero_grad(self, set_to_none: bool = False) -> None:  # noqa: ARG002
        """Set every gradient to 0."""
        weights = self._weights
        if tuple(weight.data_ptr() for weight in weights) != self._addresses:
            self._join()
        self._gradient.zero_()
        for weight, gradient in zip(weights, self._gradients, strict=True):
            weight.grad = gradient

    def clip(self, max_norm: float) -> float:
        """Scale the gradients to a norm of at most `max_norm`; return their norm before."""
        norm: float = torch.linalg.vector_norm(self._gradient).item()
        if norm > max_norm:
            # As torch's clip_grad_norm_.
            self._gradient.mul_(max_norm / (norm + 1e-6))
        return norm

    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Move the weights by one step of Adam."""
        group = self.param_groups[0]
        beta_1, beta_2 = group["betas"]
        self._counts.add_(1)
        for rate, (flat, gradient, first, second) in self._runs:
            # The function that torch's Adam calls in the end, without the 100 microseconds of the way there.
            torch._fused_adam_(
                [flat], [gradient], [first], [second], [], [self._counts[0]],
                lr=rate * group["lr"], beta1=beta_1, beta2=beta_2, weight_decay=0.0, eps=group["eps"], amsgrad=False,
                maximize=False, grad_scale=None, found_inf=None,
            )  # fmt: skip

    # Keeps torch from wrapping it for its profiler: 50 microseconds instead of 20, and 240 where other code runs
    # in between.
    step.hooked = True  # type: ignore[attr-defined]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore the state of this Adam or of torch's."""
        super().load_state_dict(dict(state_dict))
        self._join()

    @property
    def _weights(self) -> list[nn.Parameter]:
        weights: list[nn.Parameter] = self.param_groups[0]["params"]
        return weights

    @torch.no_grad()
    def _join(self) -> None:
        """Make weights, gradients and moments views of one tensor each, keeping their values."""
        weights = self._weights
        kinds = {f"{weight.dtype} on {weight.device}" for weight in weights}
        if len(kinds) > 1:
            raise CircuitMismatch(f"weights are {' and '.join(sorted(kinds))}; train weights of one type on one device")
        held = [self.state.get(weight, {}) for weight in weights]
        self._flat = torch.cat([weight.reshape(-1) for weight in weights])
        self._gradient = torch.zeros_like(self._flat)
        self._gradients = self._parts(self._gradient)
        self._first, self._second = torch.zeros_like(self._flat), torch.zeros_like(self._flat)
        n_steps = max(float(slots.get("step", 0.0)) for slots in held)
        # One per weight, as torch saves them.
        self._counts = torch.full((len(weights),), n_steps, device=self._flat.device)
        moments = zip(self._parts(self._first), self._parts(self._second), strict=True)
        parts = zip(weights, self._parts(self._flat), held, moments, self._counts, strict=True)
        for weight, part, slots, (first, second), count in parts:
            weight.data = part
            if slots:
                first.copy_(slots["exp_avg"])
                second.copy_(slots["exp_avg_sq"])
            self.state[weight] = {"step": count, "exp_avg": first, "exp_avg_sq": second}
        self._addresses = tuple(weight.data_ptr() for weight in weights)
        self._runs = self._by_rate()

    def _by_rate(self) -> list[tuple[float, list[Tensor]]]:
        """Return stretches of the flat weights, gradients and moments that learn at one rate, and these rates."""
        flat = (self._flat, self._gradient, self._first, self._second)
        # A state that torch's Adam saved has none.
        rates = self.param_groups[0].get("rates") or (1.0,) * len(self._weights)
        sized, runs, at = zip(rates, self._weights, strict=True), [], 0
        for rate, members in itertools.groupby(sized, key=operator.itemgetter(0)):
            many = sum(weight.numel() for _, weight in members)
            runs.append((rate, [tensor[at : at + many] for tensor in flat]))
            at += many
        return runs

    def _parts(self, flat: Tensor) -> list[Tensor]:
        """Return views of a flat tensor, one per weight and in its shape."""
        weights = self._weights
        parts = flat.split([weight.numel() for weight in weights])
        return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]
