"""Spikes: when neurons fire, how often, and what that costs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.figure import Figure

from ...circuits import Wiring
from ...drawing.figures import COLOURS, open_axes
from ...errors import InvalidRecording
from ...intervals import bootstrap_mean
from .contract import ProbeResult, Subject

_SHOWN = 6.0  # s of the raster
_SATURATED = 0.95  # of substeps with a spike


def spikes(subject: Subject) -> ProbeResult:
    """Draw the raster of the first episode, and count spikes, silent and saturated neurons and synaptic operations.

    A synaptic operation is one spike arriving at one synapse. Synapses of sensors and onto motors are left out: they
    transmit values and not spikes. `branching` is `branching_factor`, in windows of four substeps.

    Raises:
        InvalidRecording: no neurons of the circuit fire, or the recording has no steps.
    """
    recording = subject.recording
    if not recording.firing:
        raise InvalidRecording("none of the circuit's neurons fire; record a circuit such as spiking, with substeps")
    raster = np.asarray(recording.spikes, np.uint8)
    counts = raster.sum(2, dtype=float)
    per_second = counts.mean(1) / recording.dt
    each, share = per_second.mean(0), counts.mean((0, 1)) / raster.shape[2]
    heard = fan_out(subject.wiring, recording.firing)
    rate, work = bootstrap_mean(per_second.mean(1)), bootstrap_mean((counts @ heard).mean(1))
    most = int(each.argmax())
    trains = raster.reshape(len(raster), -1, raster.shape[-1])
    branching = bootstrap_mean([branching_factor(train, _heard(subject.wiring, recording.firing)) for train in trains])
    numbers = {
        "rate": rate.mean, "rate_low": rate.low, "rate_high": rate.high, "most": float(each[most]),
        "silent": float((share == 0).sum()), "saturated": float((share > _SATURATED).sum()),
        "operations": work.mean, "operations_low": work.low, "operations_high": work.high,
        "operations_of_rates": float(heard.sum()),
        "branching": branching.mean, "branching_low": branching.low, "branching_high": branching.high,
    }  # fmt: skip
    units = {
        name: "neurons" if name in ("silent", "saturated")
        else "a control step" if name.startswith("operations")
        else "" if name.startswith("branching") else "spikes/s"
        for name in numbers
    }  # fmt: skip
    words = (
        f"{recording.firing[most]} fires most, {each[most]:.0f} spikes/s; the mean is {rate.mean:.0f} spikes/s.",
        f"{work.mean:,.0f} synaptic operations a control step, where rates would take {heard.sum():,.0f} "
        "multiplications.",
    )
    arrays = {"neuron": np.array(recording.firing), "spikes_per_second": per_second}
    shown = raster[0, : int(recording.lengths[0])][: round(_SHOWN / recording.dt)]
    return ProbeResult(numbers, units, arrays, _figure(shown, each, recording.dt), words)


def fan_out(wiring: Wiring, firing: tuple[str, ...]) -> Float[np.ndarray, " firing"]:
    """Return on how many synapses between neurons that fire each one's spikes arrive."""
    return _heard(wiring, firing).sum(0, dtype=float)


def _heard(wiring: Wiring, firing: tuple[str, ...]) -> Bool[np.ndarray, "post pre"]:
    """Return which of the neurons that fire hears which."""
    column = {name: index for index, name in enumerate(firing)}
    heard = np.zeros((len(firing), len(firing)), bool)
    for synapse in wiring.synapses:
        if synapse.pre in column and synapse.post in column:
            heard[column[synapse.post], column[synapse.pre]] = True
    return heard


def branching_factor(
    raster: UInt8[np.ndarray, "time firing"], heard: Bool[np.ndarray, "post pre"], window: int = 4, cut: int = 25
) -> float:
    """Return how many spikes of its targets follow a neuron's spike, for each spike of its sources that preceded it.

    For each spike: its targets' spikes in the next `window` times, over its sources' in the last as many, at least 1;
    the mean over a neuron's spikes, then over neurons that fire. At 1 activity neither dies nor grows.

    Args:
        raster: 0 or 1 of each neuron at each time.
        heard: which neuron (post) hears which (pre).
        window: number of times.
        cut: number of times left out at both ends.
    """
    fired = np.asarray(raster, float)
    total = np.concatenate((np.zeros((1, fired.shape[1])), fired.cumsum(0)))
    times = np.arange(max(cut, window), len(fired) - max(cut, window + 1))
    after, before = total[times + window + 1] - total[times + 1], total[times] - total[times - window]
    ratio = (after @ heard) / np.maximum(before @ heard.T, 1)
    own = fired[times]
    lively = own.sum(0) > 0
    if not lively.any():
        return float("nan")
    return float(((ratio * own).sum(0)[lively] / own.sum(0)[lively]).mean())


def _figure(raster: UInt8[np.ndarray, "time substeps firing"], each: Float[np.ndarray, " firing"], dt: float) -> Figure:
    steps, substeps, n = raster.shape
    figure = Figure(figsize=(8.0, float(np.clip(0.06 * n + 1.2, 2.4, 6.0))), layout="constrained")
    axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(6, 1))
    time = (np.arange(steps * substeps) + 0.5) * dt / substeps
    at, neuron = np.nonzero(raster.reshape(steps * substeps, n))
    axes.plot(time[at], neuron, "|", color="#24292f", markersize=float(np.clip(220 / n, 1.5, 8)), markeredgewidth=0.7)
    axes.set(xlabel="time (s)", ylabel="neuron", xlim=(0, max(steps, 1) * dt), ylim=(n - 0.5, -0.5))
    beside.barh(np.arange(n), each, 0.8, color=COLOURS[0])
    beside.set_xlabel("spikes/s")
    for part in (axes, beside):
        open_axes(part)
    return figure
