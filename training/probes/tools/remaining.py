"""What remains of a return, also where returns are below 0."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


def remaining(returns: Float[ArrayLike, "*shape"], controls: Float[ArrayLike, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return 1 + (return - control) / |control|: the ratio where the control is above 0, 1 where nothing is lost.

    Less is always worse, which a ratio alone would turn round below 0. NaN where the control is 0.
    """
    controls = np.asarray(controls, float)
    return 1 + (np.asarray(returns, float) - controls) / np.where(controls == 0, np.nan, np.abs(controls))
