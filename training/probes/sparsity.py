"""Sparse codes: how far the sets of active neurons of two moments overlap, and how often one is taken for another.

Ahmad and Hawkins 2016 (https://arxiv.org/abs/1601.00720). Counts are exact, for their terms span sixty decades.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from ...errors import InvalidOption, InvalidRecording
from ...options import Number, wrong_value
from .contract import ProbeResult, Subject
from .tools.conditions import phase_means

_BINS, _SHARE, _FEWEST = 12, 0.2, 10
_WHOLE = Number(0, is_whole=True)


def false_match(n: int, active: int, synapses: int, threshold: int) -> float:
    """Return the chance that a segment answers a random set of active cells that it does not know.

    Args:
        n: cells.
        active: how many of them are active.
        synapses: of the segment, to as many different cells.
        threshold: synapses with active cells that make it answer.

    Raises:
        InvalidOption: numbers below 0, or more active cells or synapses than cells.
    """
    _check(n, active=active, synapses=synapses, threshold=threshold)
    hits = sum(
        math.comb(synapses, hit) * math.comb(n - synapses, active - hit)
        for hit in range(threshold, min(synapses, active) + 1)
    )
    return float(Fraction(hits, math.comb(n, active)))


def miss(active: int, synapses: int, threshold: int, silent: int) -> float:
    """Return the chance that a segment misses a pattern that it knows, some of whose active cells are silent.

    Args:
        active: cells of the pattern.
        synapses: of the segment, to as many of these cells.
        threshold: synapses with active cells that make it answer.
        silent: cells of the pattern that are silent.

    Raises:
        InvalidOption: numbers below 0, or more synapses or silent cells than active ones.
    """
    _check(active, synapses=synapses, silent=silent, threshold=threshold)
    missed = sum(
        math.comb(synapses, lost) * math.comb(active - synapses, silent - lost)
        for lost in range(max(0, synapses - threshold + 1), min(synapses, silent) + 1)
    )
    return float(Fraction(missed, math.comb(active, silent)))


def union_fill(n: int, active: int, patterns: int) -> float:
    """Return the share of n cells that is active in any of so many random patterns.

    Raises:
        InvalidOption: numbers below 0, or more active cells than cells.
    """
    _check(n, active=active, patterns=patterns)
    return 1 - (1 - active / n) ** patterns


def sparsity(subject: Subject) -> ProbeResult:
    """Compare the sets of neurons that are most active in twelve phases of the gait.

    A phase's set are the fifth of the neurons whose activity there stands out most from their own mean, in standard
    deviations. Sets of neighbouring and of opposite phases are compared with what random sets share; and a segment with
    synapses to half of one phase's set, which answers to half of its synapses, is tried on the other phases.

    Raises:
        InvalidRecording: no undulation, or fewer than ten neurons that change.
    """
    means, _, names, constant = phase_means(subject.recording, _BINS)
    sets = active_sets(means.mean(0), _SHARE)
    n, active = len(names), int(sets[0].sum())
    if n < _FEWEST:
        raise InvalidRecording(f"{n} neurons change, and sets of a fifth of them need {_FEWEST} or more")
    overlap = sets.astype(int) @ sets.T.astype(int)
    synapses = max(1, active // 2)
    threshold = math.ceil(synapses / 2)
    apart = [(i, j) for i in range(_BINS) for j in range(_BINS) if 2 <= (i - j) % _BINS <= _BINS - 2]
    taken = [1 - miss(active, synapses, threshold, active - int(overlap[i, j])) for i, j in apart]
    numbers = {
        "active": float(active),
        "overlap_next": float(np.mean([overlap[i, (i + 1) % _BINS] for i in range(_BINS)]) / active),
        "overlap_opposite": float(np.mean([overlap[i, (i + _BINS // 2) % _BINS] for i in range(_BINS)]) / active),
        "overlap_chance": active / n,
        "false_match": float(np.mean(taken)),
        "false_match_chance": false_match(n, active, synapses, threshold),
        "constant": float(constant),
    }
    units = dict.fromkeys(numbers, "") | {"active": "neurons", "constant": "neurons"}
    arrays = {"overlap": overlap / active, "sets": sets, "neuron": np.array(names)}
    words = (
        f"Neighbouring phases share {100 * numbers['overlap_next']:.0f} % of their {active} most active neurons, "
        f"opposite ones {100 * numbers['overlap_opposite']:.0f} %, random sets "
        f"{100 * numbers['overlap_chance']:.0f} %.",
    )
    return ProbeResult(numbers, units, arrays, _figure(arrays["overlap"]), words)


def active_sets(states: Float[np.ndarray, "states n"], share: float) -> Bool[np.ndarray, "states n"]:
    """Return, for each state, the share of the neurons that stand out most from their own mean over states."""
    spread = states.std(0)
    z = (states - states.mean(0)) / np.where(spread > 0, spread, 1.0)
    count = max(1, round(share * states.shape[1]))
    chosen = np.argsort(-z, axis=1, kind="stable")[:, :count]
    found = np.zeros(states.shape, bool)
    np.put_along_axis(found, chosen, True, axis=1)
    return found


def _figure(overlap: Float[np.ndarray, "bins bins"]) -> Figure:
    figure = Figure(figsize=(4.2, 3.4), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(overlap, cmap="viridis", vmin=0, vmax=1, extent=(0, 360, 360, 0), interpolation="nearest")
    axes.set(xlabel="phase (degrees)", ylabel="phase (degrees)", xticks=[0, 180, 360], yticks=[0, 180, 360])
    figure.colorbar(image, ax=axes, label="shared active neurons")
    return figure


def _check(most: int, **counts: int) -> None:
    known = dict.fromkeys(counts, _WHOLE)
    if wrong := wrong_value({"n": most, **counts}, {"n": Number(1, is_whole=True), **known}):
        raise InvalidOption(wrong)
    for name, value in counts.items():
        if name not in ("threshold", "patterns") and value > most:
            raise InvalidOption(f"{name} is {value} of {most} cells; give {most} or less")
