"""Timescales: the decay time of each neuron's autocorrelation, beside its trained time constant."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from scipy.optimize import curve_fit

from ...circuits import CTRNN
from ...drawing.figures import COLOURS, open_axes
from .contract import ProbeResult, Subject, living

_LAGS = 30  # control steps
_LONGEST = 500.0  # control steps; a fit at this bound is not a timescale
_POOR = 0.5  # share of explained variance below which one decay does not describe a neuron


@dataclasses.dataclass(frozen=True)
class Decay:
    """How an autocorrelation decays.

    Attributes:
        tau: the timescale, in samples: of a single exponential, or of the slower of two.
        fast: the timescale of the faster of two exponentials; NaN where one is enough.
        explained: share of the autocorrelation's variance over the lags that the fit explains.
    """

    tau: float
    fast: float
    explained: float


def timescales(subject: Subject) -> ProbeResult:
    """Fit the decay of every neuron's autocorrelation over lags of 0 to 30 control steps.

    A neuron that oscillates has no single decay; those whose fit explains less than half are counted in
    `poor_fits` and left out of the quantiles. The circuit's time constants, if any, are reported beside the fits.

    Raises:
        InvalidRecording: fewer than 120 steps, values that are not finite, or no neuron that changes.
    """
    activity, names, constant = living(subject.recording, 4 * _LAGS)
    curves = autocorrelation(activity, _LAGS)
    fits = [fit_decay(curve) for curve in curves]
    tau = np.array([fit.tau for fit in fits])
    good = np.array([fit.explained >= _POOR for fit in fits])
    dt = subject.recording.dt
    numbers = {
        "fitted": float(good.sum()), "poor_fits": float((~good).sum()), "constant": float(constant),
        "two_timescales": float(sum(np.isfinite(fit.fast) for fit in fits)),
    }  # fmt: skip
    units = dict.fromkeys(numbers, "neurons")
    for name, share in (("fastest", 0.0), ("median", 0.5), ("slowest", 1.0)):
        numbers[f"{name}_tau"] = float(np.quantile(tau[good], share)) * dt if good.any() else np.nan
        units[f"{name}_tau"] = "s"
    trained = _trained(subject, names)
    both = good & np.isfinite(trained)
    if both.any():
        numbers |= {"median_trained_tau": float(np.median(trained[both])) * dt,
                    "network_over_trained": float(np.median(tau[both] / trained[both]))}  # fmt: skip
        units |= {"median_trained_tau": "s", "network_over_trained": ""}
    arrays = {
        "neuron": np.array(names), "tau": tau * dt, "trained_tau": trained * dt, "autocorrelation": curves,
        "explained": np.array([fit.explained for fit in fits]), "lag": np.arange(_LAGS + 1) * dt,
    }  # fmt: skip
    return ProbeResult(numbers, units, arrays, _figure(arrays, good))


def autocorrelation(activity: Float[np.ndarray, "E T N"], lags: int) -> Float[np.ndarray, "N lags+1"]:
    """Return each neuron's autocorrelation at lags 0 to `lags`, the mean over episodes.

    Computed by a zero-padded Fourier transform. Each lag is divided by its number of pairs, and the bias from
    subtracting the episode's own mean is corrected to first order (Marriott and Pope 1954).
    """
    n_steps = activity.shape[1]
    centred = activity - activity.mean(1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * n_steps, axis=1)
    sums = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, : lags + 1]
    covariance = (sums / (n_steps - np.arange(lags + 1))[None, :, None]).mean(0)
    rough = covariance / covariance[0]
    # The variance of the mean of T correlated samples is their summed covariance over T; every lag is too low by that.
    lost = (1 + 2 * np.clip(rough[1:], 0, None).sum(0)) / n_steps
    return np.asarray(((rough + lost) / (1 + lost)).T)


def fit_decay(curve: Float[np.ndarray, " lags"]) -> Decay:
    """Fit one exponential to an autocorrelation, or two where they are clearly better.

    Two are better only if the slower one's weight is above 0.1 and its timescale is not at the bound, Akaike's
    criterion improves by more than 10, and the squared residual is at most half.
    """
    lag = np.arange(len(curve))
    bounds = (0.05, _LONGEST)
    (tau,), _ = curve_fit(_one, lag, curve, p0=[3.0], bounds=([bounds[0]], [bounds[1]]))
    residual = float(((_one(lag, tau) - curve) ** 2).sum())
    explained = 1 - residual / max(float(((curve - curve.mean()) ** 2).sum()), 1e-12)
    single = Decay(float(tau), np.nan, explained)
    start, limits = [0.5, 2 * min(tau, 200.0), max(0.5 * tau, bounds[0])], ([0, *bounds[:1] * 2], [1, *bounds[1:] * 2])
    try:
        (weight, slow, fast), _ = curve_fit(_two, lag, curve, p0=start, bounds=limits)
    except RuntimeError:
        return single
    if fast > slow:
        weight, slow, fast = 1 - weight, fast, slow
    both = float(((_two(lag, weight, slow, fast) - curve) ** 2).sum())
    gain = len(lag) * np.log(max(residual, 1e-15) / max(both, 1e-15)) - 2 * 2
    if weight > 0.1 and slow < 0.99 * _LONGEST and gain > 10 and both < residual / 2:
        total = max(float(((curve - curve.mean()) ** 2).sum()), 1e-12)
        return Decay(float(slow), float(fast), 1 - both / total)
    return single


def _one(lag: np.ndarray, tau: float) -> np.ndarray:
    return np.asarray(np.exp(-lag / tau))


def _two(lag: np.ndarray, weight: float, slow: float, fast: float) -> np.ndarray:
    return weight * _one(lag, slow) + (1 - weight) * _one(lag, fast)


def _trained(subject: Subject, names: tuple[str, ...]) -> Float[np.ndarray, " n"]:
    """Return the time constant of each named neuron, in control steps; NaN for neurons without one."""
    circuit = subject.source.agent().circuit if subject.source is not None else None
    tau = getattr(circuit, "tau", None)
    if circuit is None or tau is None:
        return np.full(len(names), np.nan)
    per_step = circuit.substeps if isinstance(circuit, CTRNN) else 1
    values = iter((tau.detach().numpy() / per_step).tolist())
    of = {neuron.name: next(values, np.nan) for neuron in circuit.neurons if neuron.role == "inter"}
    return np.array([of.get(name, np.nan) for name in names])


def _figure(arrays: dict[str, np.ndarray], good: np.ndarray) -> Figure:
    figure = Figure(figsize=(8.6, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for curve, fits in zip(arrays["autocorrelation"], good, strict=True):
        left.plot(arrays["lag"], curve, color=COLOURS[0] if fits else COLOURS[1], alpha=0.35, linewidth=0.9)
    left.axhline(0, color="#57606a", linewidth=0.6)
    left.set(xlabel="lag (s)", ylabel="autocorrelation", title="every neuron; grey: no single decay")
    order = np.argsort(arrays["tau"][good])
    right.plot(arrays["tau"][good][order], "o", markersize=3, color=COLOURS[0], label="measured")
    trained = arrays["trained_tau"][good][order]
    if np.isfinite(trained).any():
        right.plot(trained, "o", markersize=3, color=COLOURS[2], label="trained time constant")
    right.set(xlabel="neuron, sorted", ylabel="timescale (s)")
    if good.any():
        shown = np.concatenate([arrays["tau"][good], trained[np.isfinite(trained)]])
        if shown.max() > 5 * shown.min():
            right.set_yscale("log")
        else:
            right.set_ylim(bottom=0)
        right.legend(frameon=False)
    else:
        right.text(0.5, 0.5, "no neuron decays by an exponential", ha="center", va="center", transform=right.transAxes)
    for axes in (left, right):
        open_axes(axes)
    return figure
