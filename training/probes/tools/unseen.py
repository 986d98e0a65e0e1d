"""Classes told without having been trained on: by a code that two senses of other classes have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ....circuits import PairedLiquids
from ....threads import one_thread


def told_unseen(
    first: Sequence[Float[Tensor, "time windows values"]],
    second: Sequence[Float[Tensor, "time windows others"]],
    episodes: Sequence[Int[Tensor, " windows"]],
    dt: float,
    seed: int = 0,
) -> list[float]:
    """Return for each pair of neighbouring classes the share of windows told by a code fitted to all other classes.

    The code of a window in the first sense is compared with the mean codes of both classes in the second, over the
    windows of other episodes. Chance is 0.5.

    Args:
        first, second: the same windows of each class, in the senses' own units.
        episodes: that each window is from.
        dt: seconds of a control step.
        seed: of liquids and projections, the same for all.
    """
    shares, many = [], len(first)
    for start in range(0, many, 2):
        two = [start, (start + 1) % many]
        rng = torch.Generator().manual_seed(seed)
        paired = PairedLiquids((first[0].shape[-1], second[0].shape[-1]), dt=dt, rng=rng)
        kinds = torch.cat([torch.full_like(each, number) for number, each in enumerate(episodes) if number not in two])
        with one_thread(), torch.enable_grad():
            paired.organise(_but(two, first), _but(two, second), kinds, rng=rng)
        with torch.no_grad():
            asked, known = ([paired(number, sense[each]) for each in two]
                            for number, sense in enumerate((first, second)))  # fmt: skip
        right = _told(asked, known, [episodes[each] for each in two])
        shares.append(float(torch.cat(right).float().mean()))
    return shares


def _but(two: Sequence[int], sense: Sequence[Float[Tensor, "time windows values"]]) -> Float[Tensor, "time all values"]:
    """Return the windows of all classes but two."""
    return torch.cat([windows for number, windows in enumerate(sense) if number not in two], 1)


def _told(
    asked: Sequence[Float[Tensor, "windows code"]],
    known: Sequence[Float[Tensor, "windows code"]],
    episodes: Sequence[Int[Tensor, " windows"]],
) -> list[Bool[Tensor, " some"]]:
    """Return which windows are told right, by class and episode."""
    right = []
    for episode in torch.cat(list(episodes)).unique():
        means = torch.stack([codes[own != episode].mean(0) for codes, own in zip(known, episodes, strict=True)])
        for number, (codes, own) in enumerate(zip(asked, episodes, strict=True)):
            right.append((codes[own == episode] @ means.t()).argmax(-1) == number)
    return right
