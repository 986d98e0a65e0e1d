"""The gait: frequency, wave, speed, efficiency of an undulating body.

Definitions after Gray and Lissmann 1964 (undulation), Feeny and Feeny 2013 (complex modes; travelling
index), Triantafyllou et al. 1993 (Strouhal number).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from scipy import signal

from ...errors import InvalidRecording
from ...intervals import bootstrap_mean
from ..rollouts.recording import Recording
from .contract import ProbeResult, Subject, settled

_UNITS = {
    "frequency": "Hz",
    "joint_lag": "rad",
    "wavelength": "body lengths",
    "wave_speed": "body lengths/s",
    "travelling_index": "",
    "com_speed": "m/s",
    "tail_amplitude": "m",
    "strouhal": "",
    "cost_of_transport": "J/(kg m)",
}


def gait(subject: Subject) -> ProbeResult:
    """Measure the gait of every episode after its first fifth; report means over episodes.

    The wavelength is in body lengths, negative where the wave runs from tail to head. Speeds are of the
    centre of mass, net over the measured window.

    Raises:
        InvalidRecording: too short for a spectrum, not finite, or joints that do not move.
    """
    recording = subject.recording
    first = settled(recording)
    joints = np.asarray(recording.joint_pos[:, first:], float)
    _check(joints, recording.dt)
    episodes = [_measure(recording, episode, first) for episode in range(recording.n_episodes)]
    numbers: dict[str, float] = {}
    units: dict[str, str] = {}
    for name, unit in _UNITS.items():
        interval = bootstrap_mean([found[name] for found in episodes])
        numbers[name], units[name] = interval.mean, unit
        if recording.n_episodes > 1:
            numbers |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
            units |= {f"{name}_low": unit, f"{name}_high": unit}
    lengths = np.asarray(recording.meta["link_length"], float)
    arrays = {
        "curvature": joints[0] / joint_spacing(lengths),
        "place": _places(lengths),
        "phase": wave_phases(joints[0], recording.dt, episodes[0]["frequency"])[1],
    }
    return ProbeResult(numbers, units, arrays, _figure(arrays, recording.dt, numbers, first))


def _measure(recording: Recording, episode: int, first: int) -> dict[str, float]:
    dt, meta = recording.dt, recording.meta
    lengths = np.asarray(meta["link_length"], float)
    joints = np.asarray(recording.joint_pos[episode, first:], float)
    frequency = undulation_frequency(joints, dt)
    lag, phase = wave_phases(joints, dt, frequency)
    wavelength = wavelength_of(lengths, phase)
    com = np.asarray(recording.com_pos[episode, first:], float)
    seconds = dt * (len(com) - 1)
    speed = float(np.linalg.norm(com[-1] - com[0]) / seconds)
    amplitude = _tail_amplitude(recording, episode, first)
    torque = np.asarray(recording.torque[episode, first:], float)
    velocity = np.asarray(recording.joint_vel[episode, first:], float)
    power = float(np.abs(torque * velocity).sum(1).mean())
    return {
        "frequency": frequency,
        "joint_lag": lag,
        "wavelength": wavelength,
        "wave_speed": frequency * wavelength,
        "travelling_index": travelling_index(joints),
        "com_speed": speed,
        "tail_amplitude": amplitude,
        "strouhal": frequency * amplitude / max(speed, 1e-12),
        "cost_of_transport": power / (meta["mass"] * max(speed, 1e-12)),
    }


def undulation_frequency(joints: Float[np.ndarray, "T J"], dt: float) -> float:
    """Return the peak of the joints' summed spectrum, Hz; zero-padded and refined by a parabola."""
    size = 8 * 2 ** int(np.ceil(np.log2(len(joints))))
    power = signal.periodogram(joints, window="hann", nfft=size, axis=0)[1].sum(1)
    # Below one and a half cycles in the window a peak is drift, not undulation.
    lowest = int(np.ceil(1.5 * size / len(joints)))
    peak = lowest + int(np.argmax(power[lowest:-1]))
    a, b, c = np.log(power[peak - 1 : peak + 2] + 1e-300)
    curvature = a - 2 * b + c
    shift = 0.5 * (a - c) / curvature if curvature < 0 else 0.0
    if a > b:
        raise InvalidRecording(
            f"the body does not undulate: its spectrum has no peak above 1.5 cycles in {len(joints) * dt:.3g} s; "
            "record longer episodes, or a body that swims"
        )
    return float((peak + shift) / (size * dt))


def travelling_index(joints: Float[np.ndarray, "T J"]) -> float:
    """Return 1 for a travelling wave, 0 for a standing one.

    The shape of the first complex principal mode of the analytic signal is a circle in the complex plane
    when the wave travels and a line when it stands; the index is the ratio of its axes.
    """
    analytic = signal.hilbert(joints - joints.mean(0), axis=0)
    mode = np.linalg.svd(analytic, full_matrices=False)[2][0]
    shape = np.stack([mode.real, mode.imag])
    small, large = np.linalg.eigvalsh(shape @ shape.T)
    return float(np.sqrt(max(small, 0.0) / large))


def wave_phases(joints: Float[np.ndarray, "T J"], dt: float, frequency: float) -> tuple[float, Float[np.ndarray, " J"]]:
    """Return the mean lag from one joint to the next and each joint's phase, rad, against the first's.

    Args:
        joints: joint angles, radians.
        dt: seconds per step.
        frequency: of the undulation, Hz, around which phases are taken.
    """
    nyquist = 0.5 / dt
    band = np.clip([0.6 * frequency / nyquist, 1.4 * frequency / nyquist], 1e-4, 0.999)
    sections = signal.butter(2, band, "bandpass", output="sos")
    filtered = signal.sosfiltfilt(sections, joints - joints.mean(0), axis=0)
    analytic = signal.hilbert(filtered, axis=0)
    edge = len(joints) // 10  # the filter and the Hilbert transform bend the ends
    analytic = analytic[edge : len(joints) - edge]
    steps = np.angle((analytic[:, 1:] * analytic[:, :-1].conj()).sum(0))
    phase = np.concatenate([[0.0], np.cumsum(steps)])
    return float(np.angle(np.exp(1j * steps).mean())) if len(steps) else 0.0, phase


def _places(lengths: Float[np.ndarray, " L"]) -> Float[np.ndarray, " J"]:
    """Return each joint's place along the body, 0 at the nose and 1 at the tail."""
    return np.cumsum(lengths)[:-1] / lengths.sum()


def wavelength_of(lengths: Float[np.ndarray, " L"], phase: Float[np.ndarray, " J"]) -> float:
    """Return the wavelength, body lengths, of a wave with these phases, rad, at the joints of links of lengths in m.

    It is negative where the wave runs from tail to head, and infinite where it stands or there is one joint alone.
    """
    if len(phase) < 2:
        return np.inf
    slope = np.polyfit(_places(lengths), phase, 1)[0]
    return float(-2 * np.pi / slope) if abs(slope) > 1e-9 else np.inf


def joint_spacing(lengths: Float[np.ndarray, " L"]) -> Float[np.ndarray, " J"]:
    """Return how far apart the middles of the two links of each joint are, m, of links of these lengths, m."""
    return (lengths[1:] + lengths[:-1]) / 2


def _tail_amplitude(recording: Recording, episode: int, first: int) -> float:
    """Return the tail's peak-to-peak sway across the direction of travel, m."""
    com = np.asarray(recording.com_pos[episode, first:], float)
    tail = np.asarray(recording.link_pos[episode, first:, -1], float)
    travel = com[-1] - com[0]
    norm = np.linalg.norm(travel)
    if norm < 1e-9:
        return 0.0
    across = (tail - com) @ np.array([-travel[1], travel[0]]) / norm
    # Quantiles, because one stray stroke would make a range of it.
    return float(np.quantile(across, 0.95) - np.quantile(across, 0.05))


def _check(joints: Float[np.ndarray, "E T J"], dt: float) -> None:
    n_steps = joints.shape[1]
    if n_steps < 64:
        raise InvalidRecording(
            f"gait needs 64 steps after the first fifth, the recording has {n_steps} ({n_steps * dt:.1f} s); "
            "record longer episodes"
        )
    if not np.isfinite(joints).all():
        episode, step, joint = np.argwhere(~np.isfinite(joints))[0]
        raise InvalidRecording(f"joint {joint} is not finite in episode {episode}, step {step}")
    if (still := np.ptp(joints, axis=1).max(1) < 1e-6).any():
        raise InvalidRecording(f"no joint moves in episode {int(np.argmax(still))}; there is no gait to measure")


def _figure(arrays: dict[str, np.ndarray], dt: float, numbers: dict[str, float], first: int) -> Figure:
    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.8, 1])
    curvature = arrays["curvature"][: int(8 / dt)]
    limit = float(np.quantile(np.abs(curvature), 0.98)) or 1.0
    start = first * dt
    extent = (start, start + len(curvature) * dt, len(arrays["place"]) - 0.5, -0.5)
    image = left.imshow(
        curvature.T,
        aspect="auto",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        extent=extent,
        interpolation="nearest",
    )
    left.set(xlabel="time (s)", ylabel="joint, head to tail", title="curvature")
    left.yaxis.get_major_locator().set_params(integer=True)
    figure.colorbar(image, ax=left, label="1/m")
    place, phase = arrays["place"], arrays["phase"]
    right.plot(place, phase, "o", color="#1f6feb", label="measured")
    if len(place) > 1:
        slope, offset = np.polyfit(place, phase, 1)
        right.plot(place, offset + slope * place, "-", color="#8b949e", label="fit")
    right.set(
        xlabel="place (0 nose, 1 tail)",
        ylabel="phase (rad)",
        title=f"{numbers['frequency']:.2f} Hz, {numbers['wavelength']:.2f} lengths",
    )
    right.legend(frameon=False)
    return figure
