"""Biclusters: states of the network in time, and groups of neurons that tell them alike."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from ...drawing.figures import ACTIVITY_MAP, open_axes
from ...errors import InvalidRecording
from ...extras import require
from .contract import ProbeResult, Subject, living, settled

_STATES, _GROUPS = range(1, 7), range(1, 7)
_RESTARTS = 2
_STEPS, _EPISODES = 300, 2
_RESAMPLES = 50
_BLOCK = 20  # samples that are resampled together, because neighbours are alike


@dataclasses.dataclass(frozen=True)
class Biclusters:
    """States and groups.

    Attributes:
        states: the state of each sample.
        groups: the group of each neuron.
        means: each neuron's mean in each state, of its z-score (of its logarithm for counts).
        together: how often two neurons fall into one group when time is resampled.
    """

    states: Int[np.ndarray, " T"]
    groups: Int[np.ndarray, " n"]
    means: Float[np.ndarray, "n states"]
    together: Float[np.ndarray, "n n"]


def biclusters(subject: Subject) -> ProbeResult:
    """Find states in time by a hidden Markov model, and groups of neurons by their means in those states.

    The first two episodes are taken, in at most 300 bins each after the first fifth; neurons are z-scored.

    Raises:
        InvalidRecording: fewer than 100 steps, values that are not finite, or fewer than two neurons that change.
        MissingDependency: hmmlearn or scikit-learn is not installed.
    """
    first = settled(subject.recording)
    activity, names, constant = living(subject.recording, 100, first)
    if len(names) < 2:
        raise InvalidRecording("one neuron alone changes, and groups need two; record a larger circuit")
    late = activity[:_EPISODES, first:]
    width = int(np.ceil(late.shape[1] / _STEPS))
    bins = late.shape[1] // width
    samples = late[:, : bins * width].reshape(len(late), bins, width, -1).mean(2).astype(float)
    flat = samples.reshape(-1, samples.shape[2])
    scored = (flat - flat.mean(0)) / np.maximum(flat.std(0), 1e-9)
    found = find_biclusters(scored, [bins] * len(late))
    n_states, n_groups = int(found.states.max()) + 1, int(found.groups.max()) + 1
    dt = width * subject.recording.dt
    changes = int((np.diff(found.states.reshape(len(late), bins), axis=1) != 0).sum())
    pairs = found.together[np.triu_indices(len(names), 1)]
    numbers = {
        "states": float(n_states), "groups": float(n_groups),
        "dwell": len(found.states) * dt / (changes + len(late)),
        "certainty": float(np.abs(2 * pairs - 1).mean()), "constant": float(constant),
    }  # fmt: skip
    units = {"states": "states", "groups": "groups", "dwell": "s", "certainty": "", "constant": "neurons"}
    words = tuple(
        f"Group {group + 1}: {', '.join(np.array(names)[found.groups == group])}; "
        f"highest in state {int(found.means[found.groups == group].mean(0).argmax()) + 1}."
        for group in range(n_groups)
    )
    arrays = {
        "neuron": np.array(names), "state": found.states.reshape(len(late), bins), "group": found.groups,
        "mean": found.means, "together": found.together,
    }  # fmt: skip
    return ProbeResult(numbers, units, arrays, _figure(found, scored[:bins], names, dt), words)


def find_biclusters(samples: Float[np.ndarray, "T n"], lengths: list[int]) -> Biclusters:
    """Return states and groups of samples that stand one episode after another, of the given lengths.

    Counts (whole numbers from 0) are modelled by a Poisson hidden Markov model and grouped by the logarithms
    of their means, all else by a Gaussian one and means. Numbers of states and groups are those of the lowest
    Bayesian information criterion, of two random starts each.

    Raises:
        MissingDependency: hmmlearn or scikit-learn is not installed.
    """
    counts = bool((samples >= 0).all() and (samples == np.round(samples)).all())
    states = _states(samples.astype(int) if counts else samples, lengths, counts)
    # A state that is never visited has no mean.
    states = np.unique(states, return_inverse=True)[1]
    means = _means(samples, states, counts)
    groups = _groups(means, _GROUPS)
    rng = np.random.default_rng(0)
    together = np.zeros((samples.shape[1], samples.shape[1]))
    starts = np.arange(0, len(samples) - _BLOCK + 1)
    number = [int(groups.max()) + 1]
    for _ in range(_RESAMPLES):
        chosen = rng.choice(starts, len(samples) // _BLOCK)
        rows = (chosen[:, None] + np.arange(_BLOCK)).ravel()
        if len(np.unique(states[rows])) < len(np.unique(states)):
            rows = np.concatenate([rows, np.unique(states, return_index=True)[1]])
        again = _groups(_means(samples[rows], states[rows], counts), number)
        together += again[:, None] == again
    return Biclusters(states, groups, means, together / _RESAMPLES)


def _states(samples: np.ndarray, lengths: list[int], counts: bool) -> Int[np.ndarray, " T"]:
    hmm: Any = require("hmmlearn.hmm", "probes")
    best: tuple[float, Any] = (np.inf, None)
    told = logging.getLogger("hmmlearn.base")
    before = told.level
    told.setLevel(logging.ERROR)  # it warns of starts that do not converge, of which another is better
    try:
        for number in _STATES:
            lowest = np.inf
            for seed in range(_RESTARTS if number > 1 else 1):
                options = {"n_iter": 30, "tol": 1.0, "random_state": seed}
                model = (
                    hmm.PoissonHMM(number, **options) if counts
                    else hmm.GaussianHMM(number, "diag", min_covar=0.05, **options)
                )  # fmt: skip
                try:
                    with np.errstate(invalid="ignore", divide="ignore"):
                        model.fit(samples, lengths)
                    criterion = float(model.bic(samples, lengths))
                except ValueError:
                    continue  # it came to a state that no sample is in, whose numbers are NaN
                lowest = min(lowest, criterion)
                if criterion < best[0]:
                    best = criterion, model
            if lowest > best[0]:
                break  # more states have begun to cost more than they explain
    finally:
        told.setLevel(before)
    return np.asarray(best[1].predict(samples, lengths))


def _means(samples: Float[np.ndarray, "T n"], states: Int[np.ndarray, " T"], counts: bool) -> Float[np.ndarray, "n s"]:
    means = np.stack([samples[states == state].mean(0) for state in np.unique(states)], 1)
    return np.log(means + 0.1) if counts else means


def _groups(means: Float[np.ndarray, "n s"], numbers: Any) -> Int[np.ndarray, " n"]:
    mixture: Any = require("sklearn.mixture", "probes")
    best: tuple[float, Any] = (np.inf, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in numbers:
            if number > max(1, len(means) // 2):
                break
            model = mixture.GaussianMixture(
                number, covariance_type="spherical", reg_covar=1e-2, n_init=3, random_state=0
            )
            criterion = float(model.fit(means).bic(means))
            if criterion < best[0]:
                best = criterion, model
    return np.unique(best[1].predict(means), return_inverse=True)[1]


def _figure(found: Biclusters, scored: Float[np.ndarray, "T n"], names: tuple[str, ...], dt: float) -> Figure:
    order = np.argsort(found.groups, kind="stable")
    figure = Figure(figsize=(9.6, min(2.4 + 0.11 * len(names), 7.0)), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[2, 0.8, 1.2])
    shown = scored[: int(12 / dt)]
    look: dict[str, Any] = {"aspect": "auto", "cmap": ACTIVITY_MAP, "vmin": -2, "vmax": 2, "interpolation": "nearest"}
    left.imshow(shown[:, order].T, extent=(0, len(shown) * dt, len(names) - 0.5, -0.5), **look)
    for change in np.flatnonzero(np.diff(found.states[: len(shown)])):
        left.axvline((change + 1) * dt, color="#24292f", linewidth=0.4)
    left.set(xlabel="time (s); lines where the state changes", title="activity (z-score)")
    image = middle.imshow(found.means[order], **look)
    states = range(found.means.shape[1])
    middle.set(xlabel="state", title="mean in each", xticks=states, xticklabels=[i + 1 for i in states], yticks=[])
    figure.colorbar(image, ax=middle, label="z-score")
    chance = right.imshow(found.together[np.ix_(order, order)], vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
    right.set(xlabel="neuron", title="in one group", yticks=[])
    figure.colorbar(chance, ax=right, label="share of resamples", shrink=0.8)
    for edge in np.flatnonzero(np.diff(found.groups[order])) + 0.5:
        left.axhline(edge, color="#24292f", linewidth=0.8)
        middle.axhline(edge, color="#24292f", linewidth=0.8)
    left.set_yticks(range(len(names)), [names[index] for index in order], fontsize=6 if len(names) < 60 else 3)
    open_axes(left)
    return figure
