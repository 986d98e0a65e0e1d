"""Running statistics of observations, by which they are normalised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


class Normalizer(nn.Module):
    """Standardise observations by running statistics, and clip them, as SB3's VecNormalize does.

    Batches are merged into the statistics by Chan, Golub and LeVeque 1983, eq. 2.1.

    Attributes:
        mean, var: mean and variance of each observation.
        count: number of observations seen.
        frozen: whether the statistics no longer change.
    """

    mean: Float[Tensor, " obs"]
    var: Float[Tensor, " obs"]
    count: Float[Tensor, ""]
    clip = 10.0
    epsilon = 1e-8

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("var", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.tensor(1e-4, dtype=torch.float64))
        self.frozen = False

    @property
    def std(self) -> Float[Tensor, " obs"]:
        """The divisor of each observation, its standard deviation; above 0."""
        return torch.sqrt(self.var + self.epsilon)

    def update(self, observations: Float[np.ndarray, "batch obs"]) -> None:
        """Add a batch of observations to the statistics, unless they are frozen."""
        if self.frozen:
            return
        moments = joined(
            (self.mean.cpu().numpy(), self.var.cpu().numpy(), float(self.count)), np.asarray(observations, float)
        )
        for buffer, value in zip((self.mean, self.var, self.count), moments, strict=True):
            buffer.copy_(torch.as_tensor(value, dtype=torch.float64))

    def forward(self, observation: Float[Tensor, "*batch obs"]) -> Float[Tensor, "*batch obs"]:
        """Return normalised observations."""
        normalized = (observation.double() - self.mean) / self.std
        return normalized.clamp(-self.clip, self.clip)

    def to_json(self) -> dict[str, Any]:
        """Return the statistics as JSON types, for `load_json`."""
        return {
            "mean": self.mean.tolist(),
            "var": self.var.tolist(),
            "count": float(self.count),
            "clip": self.clip,
            "epsilon": self.epsilon,
        }

    def load_json(self, stats: Mapping[str, Any]) -> None:
        """Load statistics that `to_json` returned."""
        for name in ("mean", "var", "count"):
            getattr(self, name).copy_(torch.as_tensor(stats[name], dtype=torch.float64))
        self.clip, self.epsilon = float(stats["clip"]), float(stats["epsilon"])


def joined(
    moments: tuple[Any, Any, float], batch: Float[np.ndarray, "many ..."]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return mean, variance and count of what was seen and a batch together, in the units of the batch."""
    mean, var, count = moments
    many = batch.shape[0]
    delta, total = np.mean(batch, axis=0) - mean, count + many
    squares = var * count + np.var(batch, axis=0) * many + np.square(delta) * count * many / total
    return mean + delta * many / total, squares / total, total
