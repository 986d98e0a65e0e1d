"""Score predictions of responding pairs of neurons: AUROC and average precision, with intervals."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata, spearmanr

from ..errors import InvalidOption
from ..intervals import Interval
from .atlas import Atlas

DRAWS = 1000  # of stimulated neurons
_MANY = 8  # trials, from which a pair is well measured


@dataclasses.dataclass(frozen=True)
class Score:
    """The score of a prediction of an atlas's responding pairs.

    Attributes:
        auroc: area under the receiver operating characteristic, with average ranks for ties and a 95 % interval over
            1,000 bootstrap draws of stimulated neurons.
        precision: average precision.
        many: AUROC over pairs with 8 trials or more; NaN if all or none of them respond.
        within: mean over stimulated neurons of the AUROC among their own pairs.
        sign: balanced accuracy of the sign among responding pairs; NaN for predictions without signs.
        correlation: rank correlation with the amplitude, among responding pairs.
        draws: AUROC in every draw; scores of the same pairs have the same draws, so that these can be subtracted.
    """

    auroc: Interval
    precision: float
    many: float
    within: float
    sign: float
    correlation: float
    draws: Float[np.ndarray, " draws"] = dataclasses.field(repr=False)

    def less(self, other: Score) -> Interval:
        """Return the AUROC minus another's over the same pairs, with its 95 % bootstrap interval."""
        difference = self.auroc.mean - other.auroc.mean
        low, high = np.nanpercentile(self.draws - other.draws, [2.5, 97.5])
        return Interval(difference, float(low), float(high), self.auroc.n)


def score(
    atlas: Atlas,
    prediction: Float[np.ndarray, "300 300"],
    signed: Float[np.ndarray, "300 300"] | None = None,
    pairs: Bool[np.ndarray, "300 300"] | None = None,
) -> Score:
    """Score a prediction of which pairs of an atlas respond.

    Args:
        atlas: the atlas.
        prediction: a number for each pair, [responding, stimulated], larger for likelier responses.
        signed: predicted change, negative for inhibition; None for a prediction without signs.
        pairs: pairs to score, among the measured ones; by default all with a prediction.

    Raises:
        InvalidOption: all or none of the pairs respond, or one has no prediction.
    """
    kept = atlas.measured & (np.isfinite(prediction) if pairs is None else pairs)
    if not np.isfinite(prediction[kept]).all():
        missing = int((~np.isfinite(prediction[kept])).sum())
        raise InvalidOption(f"{missing} of {int(kept.sum())} pairs have no prediction; leave them out of pairs")
    found = prediction[kept]
    responds, column = atlas.significant[kept], np.nonzero(kept)[1]
    if responds.all() or not responds.any():
        raise InvalidOption(f"{int(responds.sum())} of {len(responds)} pairs respond; give pairs of both kinds")
    many = atlas.trials[kept] >= _MANY
    draws = _drawn(atlas.measured.tobytes(), len(atlas.names))
    sampled = aurocs(responds, found, column, draws)
    low, high = np.nanpercentile(sampled, [2.5, 97.5])
    stimulated = np.unique(column)
    change, amplitude = (prediction if signed is None else signed)[kept], atlas.amplitude[kept]
    known = responds & np.isfinite(amplitude)  # one response has a q and no amplitude
    change, amplitude = change[known], amplitude[known]
    return Score(
        Interval(auroc(responds, found), float(low), float(high), len(stimulated)),
        average_precision(responds, found),
        auroc(responds[many], found[many]),
        float(np.nanmean([auroc(responds[column == each], found[column == each]) for each in stimulated])),
        _balanced(amplitude > 0, change > 0) if signed is not None else float("nan"),
        float(spearmanr(change, amplitude).statistic) if np.ptp(change) > 0 else float("nan"),
        sampled,
    )  # fmt: skip


def auroc(truth: Bool[np.ndarray, " pairs"], given: Float[np.ndarray, " pairs"]) -> float:
    """Return how often a true pair is given more than a false one, ties counting half; NaN without both kinds."""
    positive = int(truth.sum())
    if positive in (0, len(truth)):
        return float("nan")
    above = rankdata(given)[truth].sum() - positive * (positive + 1) / 2
    return float(above / (positive * (len(truth) - positive)))


def aurocs(
    truth: Bool[np.ndarray, " pairs"],
    given: Float[np.ndarray, " pairs"],
    group: Int[np.ndarray, " pairs"],
    draws: Float[np.ndarray, "draws groups"],
) -> Float[np.ndarray, " draws"]:
    """Return the AUROC of samples of groups of pairs; NaN without both kinds.

    Args:
        truth, given: as `auroc` takes them.
        group: of each pair, counted from 0.
        draws: how often each sample has each group.
    """
    # Wins of true pairs of one group over false ones of another, which every sample only weighs anew.
    n = draws.shape[1]
    wins, positive, of_positive = np.zeros((n, n)), given[truth], group[truth]
    for each in np.unique(group[~truth]):
        negative = np.sort(given[~truth & (group == each)])
        won = (np.searchsorted(negative, positive) + np.searchsorted(negative, positive, "right")) / 2
        wins[:, each] = np.bincount(of_positive, won, n)
    many = draws @ np.bincount(of_positive, minlength=n), draws @ np.bincount(group[~truth], minlength=n)
    with np.errstate(invalid="ignore"):
        return np.asarray(((draws @ wins) * draws).sum(1) / (many[0] * many[1]))


def average_precision(truth: Bool[np.ndarray, " pairs"], given: Float[np.ndarray, " pairs"]) -> float:
    """Return the mean precision at the true pairs, from the largest number downwards; tied pairs count as one step."""
    order = np.argsort(-given, kind="stable")
    last = np.append(np.flatnonzero(np.diff(given[order])), len(given) - 1)
    hits = np.cumsum(truth[order])[last]
    return float((np.diff(hits, prepend=0) * hits / (last + 1)).sum() / truth.sum())


def _balanced(truth: Bool[np.ndarray, " pairs"], given: Bool[np.ndarray, " pairs"]) -> float:
    """Return the mean of the shares of rises and of falls that are told right."""
    return float(np.mean([(given[truth == which] == which).mean() for which in (True, False)]))


@functools.lru_cache(2)
def _drawn(measured: bytes, n: int) -> Float[np.ndarray, "draws 300"]:
    """Return how often each column is in each draw of stimulated neurons, the same for every prediction."""
    stimulated = np.flatnonzero(np.frombuffer(measured, bool).reshape(n, n).any(0))
    rng, found = np.random.default_rng(0), np.zeros((DRAWS, n))
    for row in found:
        np.add.at(row, rng.choice(stimulated, len(stimulated)), 1)
    return found
