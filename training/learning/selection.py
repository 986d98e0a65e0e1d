"""Train some of a circuit's units alone: all other weights stay as they are, bit for bit."""

from __future__ import annotations

import torch
from torch import Tensor

from ...agents.algorithms.algorithm import Learner
from ...circuits.unit_axes import touching
from ...errors import CircuitMismatch
from ..runs.config import RunConfig


def train_only(learner: Learner, config: RunConfig) -> None:
    """Let a learner move only the incoming, outgoing and own weights of the units in `config.train_only`.

    Other weights get no gradient, so that Adam's moments of them stay 0 too. A population still draws them around
    their values, which is noise in its members' returns. The statistics that normalise observations are frozen, because
    all that stays would be heard otherwise with them. A learner's critic is its own, and learns whole.

    Raises:
        CircuitMismatch: no such units, a circuit whose weights do not say where units stand, or an algorithm whose
            updates cannot be masked.
    """
    if not learner.takes_projections:
        raise CircuitMismatch(f"updates of {config.algorithm} cannot be masked; choose es or ppo")
    if learner.rewires:
        raise CircuitMismatch(f"circuit {config.circuit!r} rewires itself after updates, which moves other weights too")
    circuit, normalizer = learner.agent.circuit, learner.agent.normalizer
    masks = touching(circuit, config.train_only)
    masked = [(parameter, masks[name]) for name, parameter in circuit.named_parameters()]
    before: list[Tensor] = []

    @torch.no_grad()
    def keep() -> None:
        before[:] = [parameter.clone() for parameter, _ in masked]
        for parameter, mask in masked:
            if parameter.grad is not None:
                parameter.grad.mul_(mask)

    @torch.no_grad()
    def restore() -> None:
        for (parameter, mask), value in zip(masked, before, strict=True):
            parameter.copy_(torch.where(mask, parameter, value))

    learner.before_update.append(keep)
    learner.after_update.append(restore)
    if normalizer is not None:
        normalizer.frozen = True
