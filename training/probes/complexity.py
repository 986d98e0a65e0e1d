"""Complexity: how irregular each neuron's activity is."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from ...drawing.figures import COLOURS, open_axes
from ...errors import InvalidRecording
from ...intervals import bootstrap_mean
from ..rollouts.recording import Recording
from .contract import ProbeResult, Subject, living

_EPISODES = 4
_BITS = 3000  # of spikes: more take seconds for each neuron
_SHUFFLES = 3


def complexity(subject: Subject) -> ProbeResult:
    """Measure every neuron's Lempel-Ziv complexity, binarised at its median, relative to that of its shuffles.

    1 means as irregular as chance; activity that repeats itself is near 0. The first four episodes are used, with
    three shuffles of each. Of neurons that fire it is that of their spikes, of the first 3,000 substeps: shuffles have
    the same rate.

    Raises:
        InvalidRecording: fewer than 100 steps, values that are not finite, or no neuron that changes.
    """
    trains, names, constant = _trains(subject.recording)
    rng = np.random.default_rng(0)
    values = np.array([[normalised_complexity(bits, rng) for bits in episode] for episode in trains])
    neurons = values.mean(0)
    interval = bootstrap_mean(values.mean(1))
    most, least = int(neurons.argmax()), int(neurons.argmin())
    numbers = {
        "mean": interval.mean, "mean_low": interval.low, "mean_high": interval.high,
        "least": float(neurons[least]), "most": float(neurons[most]), "constant": float(constant),
    }  # fmt: skip
    units = {name: "neurons" if name == "constant" else "of chance" for name in numbers}
    words = (f"{names[least]} repeats itself most, {names[most]} least.",)
    arrays = {"neuron": np.array(names), "complexity": values}
    return ProbeResult(numbers, units, arrays, _figure(names, values), words)


def _trains(recording: Recording) -> tuple[list[list[Bool[np.ndarray, " bits"]]], tuple[str, ...], int]:
    """Return the bits of each neuron that changes, in each episode, the neurons' names, and how many never change."""
    activity, names, constant = living(recording, 100)
    firing = {name: column for column, name in enumerate(recording.firing)}
    fired = np.asarray(recording.spikes[:_EPISODES]) > 0
    fired = fired.reshape(len(fired), fired.shape[1] * fired.shape[2], fired.shape[3])[:, :_BITS]
    # A neuron that never fires, or in every substep, has a trace all the same, which decays or rises.
    kept = [
        (column, name) for column, name in enumerate(names)
        if name not in firing or len(np.unique(fired[..., firing[name]])) > 1
    ]  # fmt: skip
    if not kept:
        raise InvalidRecording("no neuron fires in some substeps and not in others; there is nothing to measure")
    trains = [
        [fired[episode, :, firing[name]] if name in firing else binarise(series[:, column]) for column, name in kept]
        for episode, series in enumerate(activity[:_EPISODES])
    ]
    return trains, tuple(name for _, name in kept), constant + len(names) - len(kept)


def binarise(series: Float[np.ndarray, " T"]) -> Bool[np.ndarray, " T"]:
    """Return where a series is above its median, or above its lower value if the median is its highest."""
    above = series > np.median(series)
    return above if above.any() else series >= np.median(series)


def normalised_complexity(bits: Bool[np.ndarray, " T"], rng: np.random.Generator) -> float:
    """Return the Lempel-Ziv complexity of bits divided by the mean over their shuffles; 0 where all are the same."""
    if bits.all() or not bits.any():
        return 0.0  # its shuffles are itself, which would make it as irregular as chance
    shuffled = [lempel_ziv(rng.permutation(bits)) for _ in range(_SHUFFLES)]
    return lempel_ziv(bits) / float(np.mean(shuffled))


def lempel_ziv(bits: Bool[np.ndarray, " T"]) -> int:
    """Return the number of phrases of the exhaustive history (Lempel and Ziv 1976).

    A phrase starts where the last one ended, and grows as long as it can be copied from the symbols before its
    own last one.
    """
    text = np.asarray(bits, bool).astype(np.uint8).tobytes()
    phrases, start, length = 0, 0, 1
    while start + length <= len(text):
        if text[start : start + length] in text[: start + length - 1]:
            length += 1
        else:
            phrases, start, length = phrases + 1, start + length, 1
    return phrases + (length > 1)


def _figure(names: tuple[str, ...], values: Float[np.ndarray, "E n"]) -> Figure:
    mean = values.mean(0)
    order = np.argsort(mean)[-60:] if len(mean) > 60 else np.argsort(mean)
    figure = Figure(figsize=(max(5.0, 0.19 * len(order) + 1.2), 3.2), layout="constrained")
    axes = figure.subplots()
    for episode in values[:, order]:
        axes.plot(episode, "o", markersize=2.5, color=COLOURS[1])
    axes.plot(mean[order], "o", markersize=4.5, color=COLOURS[0], label="mean over episodes")
    axes.axhline(1, color="#57606a", linewidth=0.8, linestyle="--", label="shuffled")
    axes.set_xticks(range(len(order)), [names[index] for index in order], rotation=90, fontsize=7)
    axes.set(ylabel="Lempel-Ziv complexity / chance", ylim=(0, None))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 1.16), ncols=2)
    open_axes(axes)
    return figure
