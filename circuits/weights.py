"""A circuit's weights: loaded into it, counted before they are drawn, and where they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .contract import Circuit

_FEW = 3  # weights that a message names
MOST_WEIGHTS = 2**23  # a square matrix of as many takes seconds to draw orthogonal


def load_weights(circuit: Circuit, weights: Mapping[str, Float[Tensor, "*shape"]]) -> None:
    """Load weights into a circuit of the same kind.

    Raises:
        CircuitMismatch: names or sizes differ; nothing is loaded.
    """
    own = circuit.state_dict()
    kind = type(circuit).__name__
    if own.keys() != weights.keys():
        differing = ", ".join(sorted(own.keys() ^ weights.keys()))
        raise CircuitMismatch(f"these weights are not of this {kind}: {differing} on one side only")
    unlike = [
        f"{name} {tuple(weights[name].shape)} there, {tuple(value.shape)} here"
        for name, value in own.items()
        if value.shape != weights[name].shape
    ]
    if unlike:
        more = f"; and {len(unlike) - _FEW} more" if len(unlike) > _FEW else ""
        raise CircuitMismatch(
            f"{kind} trained on another size: {'; '.join(unlike[:_FEW])}{more}; "
            "use a body of the same size, or a circuit that shares its weights along the body, such as ncap"
        )
    circuit.load_state_dict(dict(weights))


def check_size(option: str, n_weights: int) -> None:
    """Refuse a circuit of more weights than are drawn in seconds; a short file could ask for any number.

    Raises:
        CircuitMismatch: it has more than `MOST_WEIGHTS`.
    """
    if n_weights > MOST_WEIGHTS:
        raise CircuitMismatch(f"{option} makes {n_weights:,} weights; {MOST_WEIGHTS:,} are the most, so give less")


def device_of(module: nn.Module) -> torch.device:
    """Return where a module's parameters and buffers are; the CPU where it has none."""
    held = next(module.parameters(), next(module.buffers(), None))
    return torch.device("cpu") if held is None else held.device
