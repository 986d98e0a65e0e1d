"""Normalise rewards by the running standard deviation of discounted returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from ..normalizer import joined

_CLIP, _EPSILON = 10.0, 1e-8


class RewardNormalizer:
    """Divide rewards by the running standard deviation of discounted returns, as SB3's VecNormalize does."""

    def __init__(self, n_envs: int, gamma: float) -> None:
        self._gamma, self._returns = gamma, np.zeros(n_envs)
        self._moments: tuple[Any, Any, float] = (np.float64(0.0), np.float64(1.0), 1e-4)

    def __call__(self, rewards: Float[np.ndarray, " envs"], ended: Any) -> Float[np.ndarray, " envs"]:
        """Update the statistics with a step's rewards and return these normalised; `ended` resets the return."""
        self._returns = self._returns * self._gamma + rewards
        self._moments = joined(self._moments, self._returns)
        normalized = np.clip(rewards / np.sqrt(self._moments[1] + _EPSILON), -_CLIP, _CLIP)
        self._returns[ended] = 0.0
        return normalized

    def to_json(self) -> dict[str, Any]:
        """Return the statistics as JSON types."""
        mean, var, count = (float(value) for value in self._moments)
        return {"returns": self._returns.tolist(), "mean": mean, "var": var, "count": count}

    def load_json(self, held: Mapping[str, Any]) -> None:
        """Restore the statistics that `to_json` returned."""
        self._returns = np.array(held["returns"])
        self._moments = (np.float64(held["mean"]), np.float64(held["var"]), held["count"])
