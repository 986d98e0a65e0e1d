"""How alike two layouts of the same conditions are: centred kernel alignment (Cortes et al. 2012)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_NOTHING = 1e-12  # the norm of a kernel below which its conditions differ by rounding alone


def alignment(one: Float[np.ndarray, "c n"], other: Float[np.ndarray, "c m"]) -> float:
    """Return the centred kernel alignment of two layouts, 0 to 1; 0 where one of them is a single point.

    Rotations, shifts and scales of either do not change it.
    """
    return float((layout_kernel(one) * layout_kernel(other)).sum())


def layout_kernel(states: Float[np.ndarray, "c n"]) -> Float[np.ndarray, "c c"]:
    """Return the inner products of a layout's conditions, centred and of length 1, in no unit."""
    states = states - states.mean(0)
    return centred(states @ states.T)


def centred(kernel: Float[np.ndarray, "c c"]) -> Float[np.ndarray, "c c"]:
    """Return a kernel centred and of length 1, in no unit: the inner product of two such is their alignment."""
    shifted = kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()
    return np.asarray(shifted / max(float(np.linalg.norm(shifted)), _NOTHING))
