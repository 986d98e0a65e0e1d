"""Units that vote for the class in which they are most active, and units that answer to all of them.

Hussaini, Milford and Fischer, ICRA 2023 (https://arxiv.org/abs/2209.08723).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from ....errors import InvalidOption

NOBODY = -1  # the class of a unit that was never active


def assigned(
    counts: Float[np.ndarray, "samples units"], labels: Int[np.ndarray, " samples"]
) -> Int[np.ndarray, " units"]:
    """Return the class in which each unit has its highest mean count; -1 for units that were never active.

    Args:
        counts: spikes of each unit in each sample, or any value that is 0 where it does not answer.
        labels: the class of each sample.
    """
    _check(counts, labels)
    classes = np.unique(labels)
    means = np.stack([counts[labels == each].mean(0) for each in classes])
    found: Int[np.ndarray, " units"] = np.where(means.max(0) > 0, classes[means.argmax(0)], NOBODY)
    return found


def remove_hyperactive(counts: Float[np.ndarray, "samples units"], threshold: int) -> Bool[np.ndarray, " units"]:
    """Return which units are kept: those that answer to fewer samples than the threshold.

    The mask is the `scale` of `Pins` that silence the others. A unit that answers to no sample is always kept.

    Args:
        counts: of each unit in samples of all classes; it answers where its count is above 0.
        threshold: number of samples; 0 keeps all units.

    Raises:
        InvalidOption: the threshold is below 0, or counts are not (samples, units).
    """
    _check(counts)
    if threshold < 0:
        raise InvalidOption(f"threshold is {threshold}; give the number of samples, 1 or more, or 0 to keep all units")
    responses = (counts > 0).sum(0)
    kept: Bool[np.ndarray, " units"] = (responses < threshold) | (responses == 0)
    return kept if threshold else np.ones(counts.shape[1], bool)


def votes(
    counts: Float[np.ndarray, "samples units"],
    classes: Int[np.ndarray, " units"],
    kept: Bool[np.ndarray, " units"] | None = None,
) -> tuple[Int[np.ndarray, " classes"], Float[np.ndarray, "classes samples"]]:
    """Return the classes, and the score of each in each sample: the sum of its units' counts over their number.

    Units of class -1 vote for nothing. Removed units are still counted in the number.

    Args:
        counts: of each unit in each sample.
        classes: as `assigned` returns them.
        kept: as `remove_hyperactive` returns them; None keeps all.
    """
    _check(counts)
    heard = counts if kept is None else counts * kept
    known = np.unique(classes[classes != NOBODY])
    scores = np.zeros((len(known), len(counts)))
    for row, each in enumerate(known):
        scores[row] = heard[:, classes == each].mean(1)
    return known, scores


def recognised(
    counts: Float[np.ndarray, "samples units"],
    labels: Int[np.ndarray, " samples"],
    classes: Int[np.ndarray, " units"],
    kept: Bool[np.ndarray, " units"] | None = None,
) -> float:
    """Return the share of samples whose class has the highest score; arguments as those of `votes`.

    It is 0 where no unit was ever active, and so nobody votes.
    """
    _check(counts, labels)
    known, scores = votes(counts, classes, kept)
    if not len(known):
        return 0.0
    return float((known[scores.argmax(0)] == labels).mean())


def best_threshold(
    counts: Float[np.ndarray, "samples units"],
    labels: Int[np.ndarray, " samples"],
    classes: Int[np.ndarray, " units"],
    candidates: Sequence[int],
) -> int:
    """Return the threshold with which most samples are recognised, the lowest of several; 0 where none is better.

    Args:
        counts, labels: of samples that `classes` were not found from.
        classes: as `assigned` returns them.
        candidates: thresholds to try.
    """
    found = [recognised(counts, labels, classes, remove_hyperactive(counts, each)) for each in (0, *candidates)]
    return (0, *candidates)[int(np.argmax(found))]


def _check(counts: Float[np.ndarray, "samples units"], labels: Int[np.ndarray, " samples"] | None = None) -> None:
    if np.ndim(counts) != 2 or (labels is not None and len(labels) != len(counts)):
        shapes = np.shape(counts) if labels is None else f"{np.shape(counts)} and labels {np.shape(labels)}"
        raise InvalidOption(f"counts are of shape {shapes}; give (samples, units), and a label for each sample")
