"""Spikes: when neurons fire, how often, and what that costs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
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
    transmit values and not spikes.

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
    numbers = {
        "rate": rate.mean, "rate_low": rate.low, "rate_high": rate.high, "most": float(each[most]),
        "silent": float((share == 0).sum()), "saturated": float((share > _SATURATED).sum()),
        "operations": work.mean, "operations_low": work.low, "operations_high": work.high,
        "operations_of_rates": float(heard.sum()),
    }  # fmt: skip
    units = {
        name: "neurons" if name in ("silent", "saturated")
        else "a control step" if name.startswith("operations") else "spikes/s"
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
    column = {name: index for index, name in enumerate(firing)}
    heard = np.zeros(len(firing))
    for synapse in wiring.synapses:
        if synapse.pre in column and synapse.post in column:
            heard[column[synapse.pre]] += 1
    return heard


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
