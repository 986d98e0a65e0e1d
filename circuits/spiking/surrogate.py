"""A threshold with the gradient of a smooth function: a spike where a value reaches 0."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import CircuitMismatch

Surrogate = Literal["narrow", "atan", "triangle", "box"]


def spike(over: Float[Tensor, "*shape"], surrogate: Surrogate, slope: float) -> Float[Tensor, "*shape"]:
    """Return 1 where the value is 0 or more, else 0; the gradient is that of a smooth step.

    Three lines, because those of libraries fail under torch.vmap. torch.func maps and differentiates these.

    Args:
        over: membrane potential less the threshold, in units of the threshold.
        surrogate: its gradient is, with "narrow", that of x / (1 + a |x|), 1 at 0 and of area 2 / a; with "atan", that
            of arctan(pi / 2 a x) / pi, a / 2 at 0 and of area 1; with "triangle", a at 0 falling to 0 at a distance of
            1, of area a; with "box", a up to a distance of 1 / (2 a), of area 1.
        slope: a; see `check_surrogate`.
    """
    # In two thirds of the time of a comparison whose result is then turned into a number.
    hard = torch.heaviside(over.detach(), over.new_ones(()))
    if not over.requires_grad:
        return hard
    if surrogate == "atan":
        soft = torch.atan(0.5 * math.pi * slope * over) / math.pi
    elif surrogate == "narrow":
        soft = over / (1 + slope * over.abs())
    elif surrogate == "box":
        soft = (slope * over).clamp(-0.5, 0.5)
    else:
        near = over.clamp(-1, 1)
        soft = slope * (near - 0.5 * near * near.abs())
    return hard + (soft - soft.detach())


def check_surrogate(surrogate: str, slope: float) -> None:
    """Refuse a surrogate that does not exist or has no slope.

    Raises:
        CircuitMismatch: says so.
    """
    if surrogate not in get_args(Surrogate):
        raise CircuitMismatch(f"surrogate is {surrogate!r}; give 'narrow', 'atan', 'triangle' or 'box'")
    if not 0 < slope < math.inf:
        raise CircuitMismatch(f"slope is {slope}; give a number above 0, such as 25")
