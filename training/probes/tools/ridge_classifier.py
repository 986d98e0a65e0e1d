"""A linear readout that tells classes apart, by ridge regression."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

_RIDGE = 1.0  # of standardised values


def ridge_readout(
    values: Float[np.ndarray, "samples features"], labels: Int[np.ndarray, " samples"], classes: int
) -> tuple[Float[np.ndarray, "classes features"], Float[np.ndarray, " classes"]]:
    """Return weights and biases of a score for each class, the highest of which names the class.

    Args:
        values: any, in units of their own; they are standardised before the regression. A feature that never
            changes has no weight.
        labels: the class of each sample, from 0.
        classes: how many there are.

    Returns:
        Weights and biases for values as they are; scores have no unit.
    """
    mean, deviation = values.mean(0), values.std(0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-9)
    known, wanted = (values - mean) * scale, (labels[:, None] == np.arange(classes)) - 1 / classes
    weights = np.linalg.solve(known.T @ known + _RIDGE * np.eye(known.shape[1]), known.T @ wanted) * scale[:, None]
    return weights.T, -mean @ weights
