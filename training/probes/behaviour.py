"""Behaviour in the numbers that are published of worms: gait, speed, reversals, turns, postures, chemotaxis.

Reversals and omega turns by the rules of Yemini et al. 2013 (Nature Methods 10:877), as Tierpsy's documentation has
them; postures after Stephens et al. 2008 (PLoS Comput Biol 4:e1000028); the index after Bargmann et al. 1993.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from ...drawing.figures import COLOURS, open_axes
from ...errors import InvalidRecording
from ...intervals import bootstrap_mean
from ..rollouts.recording import Recording
from .contract import ProbeResult, Subject, settled
from .gait import joint_spacing, undulation_frequency, wave_phases, wavelength_of

_UNITS = {
    "frequency": "Hz", "wavelength": "body lengths", "curvature": "1/body length", "amplitude": "body lengths",
    "speed": "body lengths/s", "backward": "of the time", "reversals": "1/min", "omega_turns": "1/min",
    "reorientations": "1/min", "posture_modes": "modes", "chemotaxis_index": "",
}  # fmt: skip
_BACK = 0.05  # body lengths/s, along the axis and backwards
_LEAST = 0.5  # s, that a reversal takes
_BREAK = 0.25  # s, by which it may be interrupted
_WINDOW = 0.5  # s, over which a velocity is taken
_OMEGA = np.radians(30)  # of the bend of a third, over a twelfth of the body
_EXPLAINED = 0.95  # of the variance of postures
_STEPS = 64  # after the first fifth


def behaviour(subject: Subject) -> ProbeResult:
    """Measure every episode; report means over episodes.

    Frequency, wavelength, curvature and amplitude are of what follows an episode's first fifth, all else of the whole
    of it. `curvature` is the joints' mean amplitude at the frequency, times the body's length. `amplitude` is half the
    width of the body across its own axis, the median over time. `speed` is of the centre of mass along the body's
    axis, forwards, over windows of 0.5 s. A reversal is 0.5 s or more backwards at 0.05 body lengths/s or more,
    interrupted by at most 0.25 s. An omega turn is a bend of 30 degrees or more over a twelfth of the body, the mean
    of a third, that passes from the first third of the body over the second to the last. Reorientations are both.
    `posture_modes` are how many shapes explain 95 % of the variance of midlines. `chemotaxis_index` is of tasks with a
    target that stands still: the share of episodes that end nearer to it than to the place opposite, less the share
    that do not.

    Raises:
        InvalidRecording: too short, not finite, or not of a chain of links.
    """
    recording = subject.recording
    _check(recording)
    episodes = [_measure(recording, episode) for episode in range(recording.n_episodes)]
    numbers: dict[str, float] = {}
    units: dict[str, str] = {}
    for name, unit in _UNITS.items():
        values = [found[name] for found in episodes if name in found]
        if len(values) < len(episodes):
            continue  # it does not undulate, or has no target
        interval = bootstrap_mean(values)
        numbers[name], units[name] = interval.mean, unit
        if len(episodes) > 1:
            numbers |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
            units |= {f"{name}_low": unit, f"{name}_high": unit}
    velocity = np.stack([_velocity(recording, episode) for episode in range(recording.n_episodes)])
    length = float(np.sum(recording.meta["link_length"]))
    com = np.asarray(recording.com_pos, float)
    arrays = {"velocity": velocity, "path": (com - com[:, :1]) / length}
    return ProbeResult(numbers, units, arrays, _figure(arrays, recording.dt))


def _measure(recording: Recording, episode: int) -> dict[str, float]:
    found = _gait(recording, episode)
    velocity, minutes = _velocity(recording, episode), recording.n_steps * recording.dt / 60
    back = held(velocity < -_BACK, recording.dt)
    reversals, turns = len(_runs(back)) / minutes, len(omega_turns(_bends(recording, episode), recording.dt)) / minutes
    found |= {
        "amplitude": _width(recording, episode) / 2,
        "speed": float(velocity.mean()),
        "backward": float(back.mean()),
        "reversals": reversals,
        "omega_turns": turns,
        "reorientations": reversals + turns,
        "posture_modes": float(posture_modes(np.asarray(recording.joint_pos[episode], float))),
    }
    target = np.asarray(recording.target_pos[episode], float)
    if target.shape[-1] == 2 and np.ptp(target, axis=0).max() < 1e-6:
        com = np.asarray(recording.com_pos[episode], float)
        near, far = (np.linalg.norm(com[-1] - place) for place in (target[0], 2 * com[0] - target[0]))
        found["chemotaxis_index"] = float(np.sign(far - near))
    return found


def _gait(recording: Recording, episode: int) -> dict[str, float]:
    """Return frequency, wavelength and curvature; nothing of a body that does not undulate."""
    first, dt = settled(recording), recording.dt
    joints = np.asarray(recording.joint_pos[episode, first:], float)
    if np.ptp(joints, axis=0).max() < 1e-6:
        return {}
    try:
        frequency = undulation_frequency(joints, dt)
    except InvalidRecording:
        return {}
    lengths = np.asarray(recording.meta["link_length"], float)
    bends = joints * lengths.sum() / joint_spacing(lengths)
    window = np.hanning(len(bends))[:, None]
    phase = np.exp(-2j * np.pi * frequency * dt * np.arange(len(bends)))
    curvature = np.abs(phase @ ((bends - bends.mean(0)) * window) * 2 / window.sum()).mean()
    found = {"frequency": frequency, "curvature": float(curvature)}
    if joints.shape[1] > 1:
        found["wavelength"] = wavelength_of(lengths, wave_phases(joints, dt, frequency)[1])
    return found


def _axis(recording: Recording, episode: int) -> Float[np.ndarray, "T 2"]:
    """Return the direction from tail to head."""
    links = np.asarray(recording.link_pos[episode], float)
    way = links[:, 0] - links[:, -1]
    return way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-12)


def _velocity(recording: Recording, episode: int) -> Float[np.ndarray, " T"]:
    """Return the centre of mass's velocity along the body's axis, body lengths/s, over windows around each step."""
    com, dt = np.asarray(recording.com_pos[episode], float), recording.dt
    half = min(max(round(_WINDOW / dt / 2), 1), (len(com) - 1) // 2)
    ends = np.clip(np.arange(len(com))[:, None] + (-half, half), 0, len(com) - 1)
    moved = com[ends[:, 1]] - com[ends[:, 0]]
    length = float(np.sum(recording.meta["link_length"]))
    return (moved * _axis(recording, episode)).sum(1) / (np.diff(ends, axis=1)[:, 0] * dt * length)


def held(flags: Bool[np.ndarray, " T"], dt: float) -> Bool[np.ndarray, " T"]:
    """Return where something holds for 0.5 s or more, with interruptions of up to 0.25 s counted in."""
    found = flags.copy()
    for begin, end in _runs(~flags):
        if begin > 0 and end < len(flags) and (end - begin) * dt <= _BREAK + 1e-9:
            found[begin:end] = True
    for begin, end in _runs(found):
        if (end - begin) * dt < _LEAST - 1e-9:
            found[begin:end] = False
    return found


def _runs(flags: Bool[np.ndarray, " T"]) -> list[tuple[int, int]]:
    """Return where each stretch of true steps begins and ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _bends(recording: Recording, episode: int) -> Float[np.ndarray, "T 3"]:
    """Return the mean bend of each third of the body over a twelfth of its length, radians, head to tail."""
    lengths = np.asarray(recording.meta["link_length"], float)
    twelfth = lengths.sum() / 12 / joint_spacing(lengths)
    bends = np.asarray(recording.joint_pos[episode], float) * twelfth
    # A body of few links has no joint in some third; the joint nearest to its middle stands for it.
    places = np.cumsum(lengths)[:-1] / lengths.sum()
    thirds = []
    for third in range(3):
        inside = (places >= third / 3 - 1e-9) & (places <= (third + 1) / 3 + 1e-9)
        columns = inside if inside.any() else [int(np.abs(places - (third + 0.5) / 3).argmin())]
        thirds.append(bends[:, columns].mean(1))
    return np.stack(thirds, 1)


def omega_turns(bends: Float[np.ndarray, "T 3"], dt: float) -> list[int]:
    """Return the steps at which bends of 30 degrees or more, of one sign, have passed from head over middle to tail.

    Args:
        bends: mean bend of each third over a twelfth of the body, radians.
        dt: seconds per step.
    """
    turns = []
    for sign in (1, -1):
        deep = sign * bends >= _OMEGA
        heads, middles, tails = (_runs(deep[:, third]) for third in range(3))
        for first in heads:
            last: tuple[int, int] | None = first
            # The bend is handed on: each third begins while the one before it is bent, or soon after.
            for follows in (middles, tails):
                if last is not None:
                    begin, until = last[0], last[1] + round(_BREAK / dt)
                    last = next((run for run in follows if begin < run[0] <= until), None)
            if last is not None:
                turns.append(first[0])
    return sorted(turns)


def posture_modes(joints: Float[np.ndarray, "T J"]) -> int:
    """Return how many principal shapes explain 95 % of the variance of midlines; joint angles in radians.

    A midline is its links' angles to their mean, so that a body that only turns has one shape.
    """
    angles = np.concatenate([np.zeros((len(joints), 1)), np.cumsum(joints, 1)], 1)
    shapes = angles - angles.mean(1, keepdims=True)
    share = np.linalg.svd(shapes - shapes.mean(0), compute_uv=False) ** 2
    if not share.sum():
        return 0
    return int(np.searchsorted(np.cumsum(share) / share.sum(), _EXPLAINED - 1e-12)) + 1


def _width(recording: Recording, episode: int) -> float:
    """Return how wide the body is across its axis, body lengths, the median over time after the first fifth."""
    first = settled(recording)
    links, axis = np.asarray(recording.link_pos[episode], float)[first:], _axis(recording, episode)[first:]
    across = np.einsum("tlx,tx->tl", links - links[:, :1], np.stack([-axis[:, 1], axis[:, 0]], 1))
    return float(np.median(np.ptp(across, axis=1)) / np.sum(recording.meta["link_length"]))


def _check(recording: Recording) -> None:
    if not recording.meta.get("is_chain", True):
        raise InvalidRecording(
            f"{recording.meta['name']} is not a chain of links; give a recording of a swimmer or a worm"
        )
    measured = recording.n_steps - settled(recording)
    if measured < _STEPS:
        raise InvalidRecording(
            f"behaviour needs {_STEPS} steps after the first fifth, the recording has {measured} "
            f"({measured * recording.dt:.1f} s); record longer episodes"
        )
    for name in ("joint_pos", "com_pos", "link_pos"):
        if not np.isfinite(np.asarray(getattr(recording, name), float)).all():
            raise InvalidRecording(f"{name} is not finite everywhere; the body flew apart")


def _figure(arrays: dict[str, np.ndarray], dt: float) -> Figure:
    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.8, 1])
    for index, (velocity, path) in enumerate(zip(arrays["velocity"], arrays["path"], strict=True)):
        colour = COLOURS[index % len(COLOURS)]
        left.plot(np.arange(len(velocity)) * dt, velocity, color=colour, linewidth=0.9)
        right.plot(path[:, 0], path[:, 1], color=colour, linewidth=0.9)
    left.axhline(-_BACK, color="#57606a", linewidth=0.8, linestyle="--")
    left.set(xlabel="time (s)", ylabel="body lengths/s", title="along the body's axis; below the line, backwards")
    right.plot(0, 0, "o", color="#57606a", markersize=4)
    right.set(xlabel="body lengths", title="paths")
    right.set_aspect("equal", adjustable="datalim")
    open_axes(left)
    open_axes(right)
    return figure
