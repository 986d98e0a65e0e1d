"""What bricks are for: whether the units that best tell something of the body lie together in one of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy  # loads its statistics, which take a second, only when they are used
from jaxtyping import Bool, Float, Int

from ....errors import InvalidRecording
from ...probes.tools.conditions import gait_phase
from ...probes.tools.predicates import BY_MORE, Predicate, body_predicates
from ...rollouts.recording import Recording
from .partition import Labels

SIGNIFICANT = 0.001
_FEWEST, _SHARE = 3, 8  # of the units that best tell something: an eighth of the layer, and at least three
_QUARTERS = ("first", "second", "third", "last")
_DRAWS = 20  # of the null


@dataclasses.dataclass(frozen=True)
class Functions:
    """How the best units for each predicate fall into bricks.

    Attributes:
        top: how many units are the best for each predicate.
        counts: for each predicate and brick, how many of the best units are in it.
        p: the chance of as many or more, were they drawn at random: a hypergeometric tail.
        extent: how many times as many they are as the brick's size would have.
        null: share of predicates and bricks that are significant where labels are shuffled over units.
    """

    top: int
    counts: Int[np.ndarray, "predicates bricks"]
    p: Float[np.ndarray, "predicates bricks"]
    extent: Float[np.ndarray, "predicates bricks"]
    null: float

    @property
    def significant(self) -> Bool[np.ndarray, "predicates bricks"]:
        """Where the chance is at most 0.001."""
        return self.p <= SIGNIFICANT


def functions(scores: Float[np.ndarray, "predicates units"], labels: Labels, seed: int = 0) -> Functions:
    """Ask for each predicate whether the units that tell it best lie together in a brick.

    Few units can never be significant: of 24, three of the three best in a brick of 8 have a chance of 0.028.

    Args:
        scores: how well each unit tells each predicate; see `predictivity`.
        labels: the brick of each unit, -1 in none.
        seed: of the null.

    Source: Zhang et al. 2023, Emergent Modularity in Pre-trained Transformers (https://arxiv.org/abs/2305.18390).
    """
    n = scores.shape[1]
    top = max(_FEWEST, n // _SHARE)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]

    def count(of: Labels) -> np.ndarray:
        return (of[best][:, :, None] == np.arange(labels.max() + 1)).sum(1)

    counts, sizes = count(labels), np.bincount(labels[labels >= 0])
    rng = np.random.default_rng(seed)
    null = [(tail(count(rng.permutation(labels)), sizes, n, top) <= SIGNIFICANT).mean() for _ in range(_DRAWS)]
    return Functions(top, counts, tail(counts, sizes, n, top), extent(counts, sizes, n, top), float(np.mean(null)))


def tail(
    counts: Int[np.ndarray, "*predicates bricks"], sizes: Int[np.ndarray, " bricks"], units: int, top: int
) -> Float[np.ndarray, "*predicates bricks"]:
    """Return the chance that a brick has as many of the best units, or more, were these drawn at random.

    Args:
        counts: of the best units in each brick.
        sizes: units of each brick.
        units: of the layer.
        top: how many are the best.
    """
    return np.asarray(scipy.stats.hypergeom.sf(np.asarray(counts) - 1, units, sizes, top))


def extent(
    counts: Int[np.ndarray, "*predicates bricks"], sizes: Int[np.ndarray, " bricks"], units: int, top: int
) -> Float[np.ndarray, "*predicates bricks"]:
    """Return how many times as many of the best units a brick has as its size would have; arguments as in `tail`."""
    return np.asarray(np.asarray(counts) * units / (top * np.asarray(sizes)))


def predictivity(
    activity: Float[np.ndarray, "steps units"], holds: Bool[np.ndarray, "steps predicates"]
) -> Float[np.ndarray, "predicates units"]:
    """Return how well each unit tells each predicate: the average precision of it, or of its opposite if that is more.

    Steps of equal activity keep their order. A predicate that always or never holds has no precision, NaN.
    """
    ranks = np.arange(1, len(activity) + 1)[:, None]
    found = np.empty((holds.shape[1], activity.shape[1]))
    for unit, values in enumerate(activity.T):
        sorted_holds = holds[np.argsort(-values, kind="stable")]
        with np.errstate(invalid="ignore"):
            both = [(np.cumsum(each, 0) / ranks * each).sum(0) / each.sum(0) for each in (sorted_holds, ~sorted_holds)]
        found[:, unit] = np.maximum(*both)
    return found


def told_by(recording: Recording) -> tuple[list[Predicate], slice]:
    """Return what can be said at each step of a recording, and from which step on.

    That is of the body, its surroundings, its motors and its oscillator, and, where the body undulates, the quarter of
    the gait, after the first fifth of each episode.

    Raises:
        InvalidRecording: nothing changes that could be said.
    """
    predicates, steps = body_predicates(recording), slice(0, None)
    try:
        quarter = (gait_phase(recording) / (2 * np.pi) * 4).astype(int).clip(0, 3)
    except InvalidRecording:  # no gait, so nothing to say of it
        quarter = None
    if quarter is not None:
        steps = slice(recording.n_steps - quarter.shape[1], None)
        padded = np.pad(quarter, ((0, 0), (steps.start, 0)), constant_values=-1)
        for number, name in enumerate(_QUARTERS):
            said = f"the gait is in its {name} quarter"
            predicates.append(Predicate(said, said.replace(" in ", " not in ", 1), padded == number))
    # Of rare things, and of those that nearly always are so, the precision is of too few steps.
    kept = [each for each in predicates if 0.02 < each.holds[:, steps].mean() < 0.98]
    if not kept:
        raise InvalidRecording(
            "nothing that could be said of the body changes in this recording; record longer episodes"
        )
    return kept, steps


def phrases(found: Functions, predicates: Sequence[Predicate], brick: int, most: int = 3) -> list[str]:
    """Return what a brick tells best, with counts and chances; where nothing is significant, the likeliest thing."""
    order = np.lexsort((-found.extent[:, brick], found.p[:, brick]))
    several: dict[str, int] = {}
    for index in order:
        if found.significant[index, brick] or not several:
            # Once, of the many degrees by which a joint may be bent.
            several.setdefault(predicates[index].phrase.partition(BY_MORE)[0], index)
    return [
        f"{predicates[index].phrase} ({found.counts[index, brick]} of the {found.top} best units, "
        f"p {found.p[index, brick]:.2g})"
        for index in list(several.values())[:most]
    ]
