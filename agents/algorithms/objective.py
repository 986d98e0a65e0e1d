"""PPO's clipped objective with its gradient, in half the operations that autograd takes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def objective(
    log_prob: Float[Tensor, "*batch"],
    values: Float[Tensor, "*batch"],
    old_log_prob: Float[Tensor, "*batch"],
    advantages: Float[Tensor, "*batch"],
    returns: Float[Tensor, "*batch"],
    clip_range: float,
    old_values: Float[Tensor, "*batch"] | None = None,
    clip_range_vf: float | None = None,
) -> tuple[Float[Tensor, " 4"], Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Return the parts of PPO's loss, and the gradients of the policy's and of the value's part.

    The parts are the policy's loss (Schulman et al. 2017, eq. 7), the value's mean squared error, Schulman's
    low-variance estimate of the KL divergence (nats) between the old and the new policy, and the share of ratios that
    are clipped. The first gradient is with respect to `log_prob`, the second to `values`.

    Args:
        log_prob, old_log_prob: of the actions taken, now and when they were, nats.
        values: what the critic says now, in the unit of the returns.
        advantages: without a unit.
        returns: what the values should be.
        clip_range: how far the ratio of probabilities is followed from 1.
        old_values: what the critic said when the actions were taken, in the unit of the returns.
        clip_range_vf: how far values are followed from those, in the same unit; None follows them anywhere.
    """
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    followed = advantages * ratio
    least = torch.minimum(followed, advantages * clipped)
    is_followed: Tensor | None = None
    if clip_range_vf is not None and old_values is not None:
        moved = values - old_values
        is_followed = moved.abs() <= clip_range_vf
        values = old_values + moved.clamp(-clip_range_vf, clip_range_vf)
    error = values - returns
    rows = (-least, error.square(), ratio - 1 - log_ratio, (ratio != clipped).to(ratio.dtype))
    parts = torch.stack([row.flatten() for row in rows]).mean(1)
    # The ratio is followed where it is the smaller one, which inside the range it always is.
    of_log_prob = followed * (followed == least) * (-1 / error.numel())
    of_values = error * (2 / error.numel())
    return parts, of_log_prob, of_values if is_followed is None else of_values * is_followed
