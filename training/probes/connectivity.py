"""Whether a circuit's wiring can be read from its activity: inferred weights beside those that are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import scipy
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from ...circuits import Wiring
from ...drawing.figures import COLOURS, open_axes
from ...errors import InvalidRecording
from ..rollouts.recording import Recording
from .contract import ProbeResult, Subject, living

# Roles in the order in which a control step goes through them.
_RANKS: Mapping[str, int] = {"sensor": 0, "oscillator": 0, "inter": 1, "motor": 2, "muscle": 3}
_RIDGE = 1e-4  # of the mean square of the regressors
_STRONGEST = 0.2  # share of the weights that count as contacts where every pair has one
_FLAT = 3.0  # dimensions: activity of fewer cannot tell its causes apart
_SHIFTS = 20
_STEPS = 50


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of neurons between which there may be a contact.

    Attributes:
        pre, post: indices of each pair's neurons.
        is_late: whether the second hears the first a control step later.
        weight: of the contact, 0 where there is none.
    """

    pre: np.ndarray
    post: np.ndarray
    is_late: Bool[np.ndarray, " pairs"]
    weight: Float[np.ndarray, " pairs"]

    @property
    def is_contact(self) -> Bool[np.ndarray, " pairs"]:
        """Where there is a contact; where all pairs have one, which are the strongest fifth."""
        there = self.weight != 0
        if len(there) and there.all():
            return np.abs(self.weight) >= np.quantile(np.abs(self.weight), 1 - _STRONGEST)
        return there


def connectivity(subject: Subject) -> ProbeResult:
    """Infer every contact from a recording, by regression and by correlation, and compare with the wiring.

    Within a control step, sensors and oscillators act on units, those on motor neurons, and these on muscles; where
    units are wired to units, they act on each other a step later. For each neuron the regression predicts its value
    from all that may act on it (a vector autoregression with a ridge of 1e-4); the correlation takes each pair alone.
    Both are scored over all pairs that may have a contact: by the area under the ROC curve (0.5 by chance), the average
    precision and, for signs, the correlation with the weights. The null has each neuron's activity shifted in time.

    An undisturbed gait runs through few dimensions, in which causes cannot be told apart: record with noise in every
    neuron (`nervecord record --noise`) to see more.

    Raises:
        InvalidRecording: the recording is too short or not finite, its neurons are none of the wiring's, or no pair, or
            every pair, may have a contact.

    Source: Neuroformer (Antoniades et al. 2024, https://arxiv.org/abs/2311.00136) reads wiring from attention, where
    regression does better on our circuits.
    """
    activity, names, _ = living(subject.recording, _STEPS)
    pairs = candidates(subject.recording, subject.wiring, names)
    inferred = {"regression": regress(activity, pairs), "correlation": correlate(activity, pairs)}
    rng = np.random.default_rng(0)
    null = [auroc(np.abs(regress(_shifted(activity, rng), pairs)), pairs.is_contact) for _ in range(_SHIFTS)]
    dimensions = participation_ratio(activity)
    numbers: dict[str, float] = {}
    for method, weights in inferred.items():
        score = np.abs(weights)
        numbers[f"{method}_auroc"] = auroc(score, pairs.is_contact)
        numbers[f"{method}_precision"] = average_precision(score, pairs.is_contact)
        numbers[f"{method}_signed_r"] = float(np.corrcoef(weights, pairs.weight)[0, 1])
        numbers[f"{method}_rank_r"] = float(scipy.stats.spearmanr(score, np.abs(pairs.weight)).statistic)
    numbers |= {
        "null_auroc": float(np.mean(null)), "null_auroc_high": float(np.quantile(null, 0.975)),
        "dimensions": dimensions, "contacts": float(pairs.is_contact.sum()), "pairs": float(len(pairs.pre)),
    }  # fmt: skip
    n = len(names)
    arrays = {"neuron": np.array(names), "wiring": _matrix(pairs, pairs.weight, n)}
    arrays |= {method: _matrix(pairs, weights, n) for method, weights in inferred.items()}
    figure = _figure(arrays, pairs, inferred, names)
    units = dict.fromkeys(numbers, "")
    return ProbeResult(numbers, units, arrays, figure, _words(numbers))


def candidates(recording: Recording, wiring: Wiring, names: tuple[str, ...]) -> Pairs:
    """Return the pairs of the named neurons that may have a contact, with the weights of the wiring.

    Raises:
        InvalidRecording: no pair may have one, or none has, or the neurons are not the wiring's.
    """
    known = {neuron.name for neuron in wiring.neurons}
    if missing := [name for name in names if name not in known]:
        raise InvalidRecording(
            f"neuron {missing[0]} is recorded but is not in the wiring; probe the run that was recorded"
        )
    rank = {cell.name: _RANKS[cell.role] for cell in recording.cells}
    place = {name: index for index, name in enumerate(names)}
    weights = np.zeros((len(names), len(names)))
    for each in wiring.synapses:
        if each.pre in place and each.post in place and each.pre != each.post:
            weights[place[each.pre], place[each.post]] += each.weight
    ranks = np.array([rank[name] for name in names])
    at_once = ranks[:, None] < ranks[None, :]
    units = np.outer(ranks == 1, ranks == 1) & ~np.eye(len(names), dtype=bool)
    late = units if weights[units].any() else np.zeros_like(units)
    pre, post = np.nonzero(at_once | late)
    found = Pairs(pre, post, late[pre, post], weights[pre, post])
    if not found.is_contact.any() or found.is_contact.all():
        raise InvalidRecording(
            f"{int(found.is_contact.sum())} of {len(pre)} pairs of neurons that change have a contact; nothing is "
            "there to tell apart"
        )
    return found


def regress(activity: Float[np.ndarray, "E T n"], pairs: Pairs) -> Float[np.ndarray, " pairs"]:
    """Return the weight of each pair in a linear prediction of the second from all that may act on it.

    Weights are in the second neuron's unit over the first's. Units that are wired to units predict themselves too.
    """
    now, before = activity[:, 1:].reshape(-1, activity.shape[2]), activity[:, :-1].reshape(-1, activity.shape[2])
    found = np.zeros(len(pairs.pre))
    for post in np.unique(pairs.post):
        mine = np.flatnonzero(pairs.post == post)
        columns = [(before if pairs.is_late[each] else now)[:, pairs.pre[each]] for each in mine]
        if pairs.is_late[mine].any():
            columns.append(before[:, post])
        table = np.stack(columns, 1).astype(np.float64)
        table -= table.mean(0)
        spread = table.std(0)
        spread[spread == 0] = 1.0
        table /= spread
        goal = now[:, post] - now[:, post].mean(dtype=np.float64)
        found[mine] = (ridge(table, goal) / spread)[: len(mine)]
    return found


def ridge(table: Float[np.ndarray, "rows columns"], goal: Float[np.ndarray, "rows ..."]) -> np.ndarray:
    """Return the weights of a ridge regression of goals on a table, with a ridge of 1e-4 of its mean square."""
    square = table.T @ table
    square[np.diag_indices_from(square)] += _RIDGE * np.trace(square) / len(square)
    return np.linalg.solve(square, table.T @ goal)


def correlate(activity: Float[np.ndarray, "E T n"], pairs: Pairs) -> Float[np.ndarray, " pairs"]:
    """Return the correlation of each pair, the first a control step before the second where it acts late."""
    now, before = activity[:, 1:].reshape(-1, activity.shape[2]), activity[:, :-1].reshape(-1, activity.shape[2])
    z_now, z_before = ((each - each.mean(0)) / np.where(each.std(0) > 0, each.std(0), 1) for each in (now, before))
    first = np.where(pairs.is_late, z_before[:, pairs.pre], z_now[:, pairs.pre])
    return np.asarray((first * z_now[:, pairs.post]).mean(0), float)


def auroc(score: Float[np.ndarray, " pairs"], is_contact: Bool[np.ndarray, " pairs"]) -> float:
    """Return the chance that a contact scores above a pair that has none; ties count half."""
    ranks = scipy.stats.rankdata(score)
    n, others = int(is_contact.sum()), int((~is_contact).sum())
    return float((ranks[is_contact].sum() - n * (n + 1) / 2) / (n * others))


def average_precision(score: Float[np.ndarray, " pairs"], is_contact: Bool[np.ndarray, " pairs"]) -> float:
    """Return the mean over contacts of the share of contacts among all that score at least as high."""
    order = np.argsort(-score, kind="stable")
    hits = is_contact[order]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def participation_ratio(activity: Float[np.ndarray, "E T n"]) -> float:
    """Return over how many dimensions the activity is spread, each neuron scaled to a deviation of 1."""
    flat = activity.reshape(-1, activity.shape[2]).astype(np.float64)
    spectrum = np.linalg.eigvalsh(np.corrcoef(flat.T))
    return float(spectrum.sum() ** 2 / (spectrum**2).sum())


def _shifted(activity: Float[np.ndarray, "E T n"], rng: np.random.Generator) -> Float[np.ndarray, "E T n"]:
    steps = activity.shape[1]
    shifts = rng.integers(steps // 4, 3 * steps // 4, activity.shape[2])
    return np.stack([np.roll(activity[:, :, i], shift, axis=1) for i, shift in enumerate(shifts)], 2)


def _matrix(pairs: Pairs, values: Float[np.ndarray, " pairs"], n: int) -> Float[np.ndarray, "post pre"]:
    found = np.full((n, n), np.nan)
    found[pairs.post, pairs.pre] = values
    return found


def _words(numbers: Mapping[str, float]) -> tuple[str, ...]:
    words = [
        f"Regression tells contacts from other pairs with an AUROC of {numbers['regression_auroc']:.2f}, correlation "
        f"with {numbers['correlation_auroc']:.2f}; chance gives up to {numbers['null_auroc_high']:.2f}."
    ]
    if numbers["dimensions"] < _FLAT:
        words.append(
            f"The activity has {numbers['dimensions']:.1f} dimensions, too few to read wiring from it: many wirings "
            "would move like this. Record with noise in every neuron (nervecord record --noise 0.3)."
        )
    return tuple(words)


def _figure(
    arrays: Mapping[str, np.ndarray], pairs: Pairs, inferred: Mapping[str, np.ndarray], names: tuple[str, ...]
) -> Figure:
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    *maps, curve = figure.subplots(1, 3)
    for axes, (name, title) in zip(maps, {"wiring": "wiring", "regression": "inferred"}.items(), strict=True):
        values = arrays[name]
        most = np.nanquantile(np.abs(values), 0.98) or np.nanmax(np.abs(values)) or 1.0
        image = axes.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
        axes.set(title=title, xlabel="from neuron", ylabel="to neuron" if name == "wiring" else None)
        if len(names) <= 40:
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=5)
            axes.set_yticks(range(len(names)), names, fontsize=5)
        figure.colorbar(image, ax=axes, shrink=0.8)
    open_axes(curve)
    for colour, (method, weights) in zip(COLOURS, inferred.items(), strict=False):
        hits = pairs.is_contact[np.argsort(-np.abs(weights), kind="stable")]
        others, found = (np.concatenate([[0], np.cumsum(each) / each.sum()]) for each in (~hits, hits))
        curve.plot(others, found, color=colour, label=method)
    curve.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle="--")
    curve.set(xlabel="share of other pairs", ylabel="share of contacts found", aspect="equal")
    curve.legend(frameon=False)
    return figure
