"""Values kept within bounds, with the same gradient in every torch."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def within(values: Float[Tensor, "*any"], low: float | None = None, high: float | None = None) -> Float[Tensor, "*any"]:
    """Return values from `low` to `high`, in their unit; the gradient passes where they are not beyond a bound.

    For what may lie at a bound exactly, such as a weight that starts at 0. `Tensor.clamp` passes the gradient there up
    to torch 2.14 and stops it from 2.15 on, where such a weight would never learn.
    """
    if not torch.is_grad_enabled():
        return values.clamp(low, high)
    if low is not None:
        values = torch.where(values < low, low, values)
    return values if high is None else torch.where(values > high, high, values)
