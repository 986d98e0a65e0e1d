"""Neuron labels: a sentence for each neuron that says when it is active, tested on held-out time.

After Hernandez et al. 2022 and Mu and Andreas 2020 (https://arxiv.org/abs/2006.14032), on bodies.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool
from matplotlib.figure import Figure

from ...drawing.figures import COLOURS, open_axes
from .contract import ProbeResult, Subject, living
from .tools.predicates import Phrase, Predicate, best_phrase, body_predicates, normalised_pmi

_TOP = 0.2  # share of its steps that count as a neuron's event
_STEPS = 4000  # per half; more steps do not change a score's second digit
_SHIFTS = 40
_TRANSIENT = 0.1


@dataclasses.dataclass(frozen=True)
class Label:
    """The phrase found for one neuron, and its scores.

    Attributes:
        phrase: the phrase, None if none is supported.
        score: normalised pointwise mutual information on held-out time.
        null, null_95: mean and 95 % quantile of the score when each episode's activity is shifted in time.
        overlap: number of held-out steps where neuron and phrase are both true, divided by that where either is.
        support: share of the held-out steps where both are true.
    """

    phrase: Phrase | None
    score: float = 0.0
    null: float = 0.0
    null_95: float = 0.0
    overlap: float = 0.0
    support: float = 0.0

    @property
    def is_told(self) -> bool:
        """Whether the phrase scores better than for 95 % of the shifted activities."""
        return self.phrase is not None and self.score > self.null_95

    def sentence(self, name: str) -> str:
        """Say it."""
        if self.phrase is None or not self.is_told:
            return f"{name}: nothing that was tried tells its activity better than chance."
        return (
            f"{name} is active when {self.phrase.text} (score {self.score:.2f} on held-out time, "
            f"{self.null:.2f} by chance; overlap {self.overlap:.2f})."
        )


def neuron_labels(subject: Subject) -> ProbeResult:
    """Describe when every neuron is active: the steps with the top fifth of its activity.

    Phrases are searched for in the first half of each episode (without its first tenth, in which the gait settles) and
    scored in the second half, on about 4,000 steps each at most. No neuron is explained by itself: motors and muscles
    not by motor commands, the oscillator not by the oscillator.

    Raises:
        InvalidRecording: fewer than 100 steps, values that are not finite, or no neuron that changes.
    """
    recording = subject.recording
    activity, names, constant = living(recording, 100)
    predicates = body_predicates(recording)
    seek, test = _halves(activity.shape[:2])
    roles = {neuron.name: neuron.role for neuron in subject.wiring.neurons}
    labels = [
        label(_may_say(predicates, name, roles.get(name)), activity[:, :, index], seek, test)
        for index, name in enumerate(names)
    ]
    told = [each for each in labels if each.is_told]
    numbers = {
        "told": float(len(told)), "untold": float(len(labels) - len(told)), "constant": float(constant),
        "median_score": float(np.median([each.score for each in labels])),
        "median_null": float(np.median([each.null for each in labels])),
        "median_overlap": float(np.median([each.overlap for each in labels])),
        "longest_phrase": float(max((len(each.phrase.literals) for each in told if each.phrase), default=0)),
    }  # fmt: skip
    units = {name: "neurons" if name in ("told", "untold", "constant") else "" for name in numbers}
    units["longest_phrase"] = "predicates"
    words = tuple(each.sentence(name) for name, each in zip(names, labels, strict=True))
    arrays = {
        "neuron": np.array(names), "phrase": np.array([each.phrase.text if each.phrase else "" for each in labels]),
        "score": np.array([each.score for each in labels]), "null": np.array([each.null for each in labels]),
        "null_95": np.array([each.null_95 for each in labels]),
        "overlap": np.array([each.overlap for each in labels]),
        "support": np.array([each.support for each in labels]),
    }  # fmt: skip
    return ProbeResult(numbers, units, arrays, _figure(arrays), words)


def label(
    predicates: list[Predicate], series: np.ndarray, seek: Bool[np.ndarray, "E T"], test: Bool[np.ndarray, "E T"]
) -> Label:
    """Find a phrase for one neuron's activity [E, T] in the steps `seek`, and score it in the steps `test`."""
    event = top_event(series)
    if not predicates or not event[seek].any() or not event[test].any():
        return Label(None)
    phrase = best_phrase(predicates, event[seek], seek)
    if phrase is None:
        return Label(None)
    holds, happens = phrase.holds(predicates)[test], event[test]
    both = float((holds & happens).mean())
    score = float(normalised_pmi(np.array(both), float(happens.mean()), np.array(holds.mean())))
    # Each episode by itself: a rhythm shifted by whole periods would be itself again, but not in all of them.
    rng = np.random.default_rng(0)
    each, told = (mask.reshape(len(series), -1) for mask in (happens, holds))
    places = np.arange(each.shape[1])
    shifted = np.array([
        (told & np.take_along_axis(each, shift, 1)).mean()
        for shift in (places + rng.integers(len(places), size=(_SHIFTS, len(each), 1))) % len(places)
    ])  # fmt: skip
    null = normalised_pmi(shifted, float(happens.mean()), np.full(_SHIFTS, holds.mean()))
    overlap = both / max(float((holds | happens).mean()), 1e-12)
    return Label(phrase, score, float(null.mean()), float(np.quantile(null, 0.95)), overlap, both)


def top_event(series: np.ndarray) -> Bool[np.ndarray, "E T"]:
    """Return where a neuron is among the top fifth of its own values, and above its lowest."""
    return np.asarray((series >= np.quantile(series, 1 - _TOP)) & (series > series.min()))


def _halves(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps to search in and those to test on, about 4,000 of each at most."""
    episodes, steps = shape[:2]
    first, middle = int(_TRANSIENT * steps), int((1 + _TRANSIENT) / 2 * steps)
    every = max(1, -(-episodes * (steps - middle) // _STEPS))  # of the later half, which may have a step more
    seek, test = np.zeros((episodes, steps), bool), np.zeros((episodes, steps), bool)
    seek[:, first:middle:every] = test[:, middle::every] = True
    return seek, test


def _may_say(predicates: list[Predicate], name: str, role: str | None) -> list[Predicate]:
    banned = {1} if role == "oscillator" or name.startswith("osc_") else set()
    banned |= {2} if role in ("motor", "muscle") else set()
    return [each for each in predicates if each.rank not in banned]


def _figure(arrays: dict[str, np.ndarray]) -> Figure:
    order = np.argsort(-arrays["score"])[:40]
    figure = Figure(figsize=(9.4, 0.19 * len(order) + 1.0), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(order))
    axes.barh(places, arrays["score"][order], 0.72, color=COLOURS[0], label="held-out time")
    axes.plot(arrays["null_95"][order], places, "|", color="#24292f", markersize=6, label="95 % of shifted activity")
    for place, index in zip(places, order, strict=True):
        text = str(arrays["phrase"][index])
        axes.text(1.03, float(place), text if len(text) < 90 else f"{text[:88]}...", va="center", fontsize=6.5)
    axes.set_yticks(places, arrays["neuron"][order], fontsize=6.5)
    axes.set(xlim=(0, 1), ylim=(len(order) - 0.4, -0.6), xlabel="normalised mutual information of neuron and phrase")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    open_axes(axes)
    return figure
