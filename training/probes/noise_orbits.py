"""Noise-driven orbits: how a recurrent circuit moves around its resting state when its input is noisy.

After networks that emulate hidden Markov models: their noise-sustained orbits keep a discrete output until
noise kicks them into the next one.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from ...agents import replay
from ...circuits import Circuit
from ...drawing.figures import COLOURS, open_axes
from ...errors import CircuitMismatch, InvalidRecording
from .contract import ProbeResult, Subject
from .tools.sequences import hidden_columns, sensor_sequences

_SEQUENCES, _STEPS = 32, 64  # of the recording, for the sensors' mean and spread
_ROLLOUTS, _SETTLE, _MEASURED = 32, 400, 400  # in steps
_BITS = 63  # of an integer, without its sign


def noise_orbits(subject: Subject) -> ProbeResult:
    """Run a recurrent circuit, without its body, from constant and from noisy input, and compare the orbits.

    The constant input is the sensors' mean over the recording; the noise is white, with each sensor's own
    standard deviation. The resting state x* is the interneurons' mean without noise over 400 steps, after
    400 steps to settle; the 32 noisy rollouts are measured over the same steps. The discrete output
    state is which of the motors are positive.

    Raises:
        InvalidRecording: there is only a recording, its episodes are shorter than 64 steps or not finite, or
            the sensors are constant, so that there is no noise to add.
        CircuitMismatch: the circuit is not recurrent, or its state grows without bound.
    """
    agent = subject.run.agent()
    circuit, dt = agent.circuit, subject.recording.dt
    if not circuit.is_recurrent:
        raise CircuitMismatch(
            f"{type(circuit).__name__} has no recurrent units, so it has no orbits; "
            "probe a run of a recurrent circuit, such as gru"
        )
    sensors = sensor_sequences(agent, subject.recording, _SEQUENCES, _STEPS).flatten(0, 1)
    mean, spread = sensors.mean(0), sensors.std(0)
    if not (spread > 0).any():
        raise InvalidRecording("every sensor is constant over the recording, so there is no noise to add")
    rng = torch.Generator().manual_seed(0)
    constant = mean.expand(_SETTLE + _MEASURED, 1, -1)
    noise = torch.randn(_SETTLE + _MEASURED, _ROLLOUTS, len(mean), generator=rng) * spread
    quiet, quiet_states = _rollouts(circuit, constant)
    noisy, noisy_states = _rollouts(circuit, mean + noise)
    centre = quiet.mean((0, 1))
    orbits = {"quiet": measure_orbits(quiet, centre, dt), "noisy": measure_orbits(noisy, centre, dt)}
    stays = {"quiet": measure_stays(quiet_states, dt), "noisy": measure_stays(noisy_states, dt)}
    numbers: dict[str, float] = {}
    units: dict[str, str] = {}
    for kind in orbits:
        for found, unit_of in ((orbits[kind], _ORBIT_UNITS), (stays[kind], _STAY_UNITS)):
            numbers |= {f"{name}_{kind}": float(getattr(found, name)) for name in unit_of}
            units |= {f"{name}_{kind}": unit for name, unit in unit_of.items()}
    plane = orbits["noisy"].plane
    arrays = {
        "noisy": (noisy - centre) @ plane,
        "quiet": (quiet - centre) @ plane,
        "states": noisy_states,
        "plane": plane,
    }
    return ProbeResult(numbers, units, arrays, _figure(arrays, dt), (_sentence(numbers),))


@dataclasses.dataclass(frozen=True)
class Orbits:
    """How trajectories move.

    Attributes:
        spread: mean squared distance from the centre, in squared units of activity.
        rotation: mean angular speed in the principal plane, rad/s, 0 or more: in many dimensions, a plane has
            no side that makes a rotation clockwise.
        in_plane: share of the variance that lies in that plane.
        plane: its two directions.
    """

    spread: float
    rotation: float
    in_plane: float
    plane: Float[np.ndarray, "N 2"]


@dataclasses.dataclass(frozen=True)
class Stays:
    """How long a discrete output stays the same.

    Attributes:
        residency: mean time in a state from one transition to the next, s; where there are fewer than two
            in every rollout, the rollouts' length.
        transition_rate: transitions per second.
        states: number of different states visited.
    """

    residency: float
    transition_rate: float
    states: int


def measure_orbits(trajectories: Float[np.ndarray, "R T N"], centre: Float[np.ndarray, " N"], dt: float) -> Orbits:
    """Return how far trajectories stray from a centre, and how fast they turn.

    Rotation is measured about the trajectories' own mean, because noise may shift it from the centre. It is the
    angle of sum conj(z_t) z_t+1 over dt, with z the position in the plane of the first two principal components,
    each scaled to unit variance so that an ellipse counts as a circle.

    Raises:
        InvalidRecording: fewer than two steps or two dimensions, or values that are not finite.
    """
    trajectories = np.asarray(trajectories, float)
    if trajectories.shape[1] < 2 or trajectories.shape[2] < 2:
        raise InvalidRecording(
            f"orbits of {trajectories.shape[1]} steps in {trajectories.shape[2]} dimensions have no rotation; "
            "give 2 or more of both"
        )
    if not np.isfinite(trajectories).all():
        rollout, step, unit = np.argwhere(~np.isfinite(trajectories))[0]
        raise InvalidRecording(f"unit {unit} is not finite in rollout {rollout}, step {step}")
    spread = float(((trajectories - centre) ** 2).sum(2).mean())
    away = trajectories - trajectories.mean((0, 1))
    variance, directions = np.linalg.eigh(np.tensordot(away, away, ((0, 1), (0, 1))) / away[..., 0].size)
    plane, scale = directions[:, :-3:-1], np.sqrt(variance[:-3:-1].clip(min=0))
    # A line has no rotation, and at a fixed point only the last digit of single precision moves.
    if scale[1] <= 1e-6 * scale[0] or scale[0] <= 1e-5 * np.abs(trajectories).max():
        return Orbits(spread, 0.0, 1.0, plane)
    place = away @ (plane / scale)
    z = place[..., 0] + 1j * place[..., 1]
    turn = np.angle((z[:, :-1].conj() * z[:, 1:]).sum())
    return Orbits(spread, float(abs(turn)) / dt, float(variance[:-3:-1].sum() / variance.sum()), plane)


def measure_stays(states: Int[np.ndarray, "R T"], dt: float) -> Stays:
    """Return how long discrete states last and how often they change, without visits cut off by a rollout's ends."""
    changed = states[:, 1:] != states[:, :-1]
    lengths = [np.diff(np.flatnonzero(row)) for row in changed]
    complete = np.concatenate(lengths) if lengths else np.empty(0)
    residency = complete.mean() if len(complete) else states.shape[1]
    return Stays(float(residency * dt), float(changed.mean() / dt), len(np.unique(states)))


def output_states(motors: Float[np.ndarray, "*batch motors"]) -> Int[np.ndarray, "*batch"]:
    """Return which motors are positive, as one number: the discrete state of a swimmer's output.

    Motor i is bit i; states of more motors than an integer has bits are numbered from 0 instead.
    """
    on = motors > 0
    if on.shape[-1] < _BITS:
        return on @ (1 << np.arange(on.shape[-1]))
    numbers = np.unique(on.reshape(-1, on.shape[-1]), axis=0, return_inverse=True)[1]
    return numbers.reshape(on.shape[:-1])


_ORBIT_UNITS = {"spread": "activity^2", "rotation": "rad/s", "in_plane": ""}
_STAY_UNITS = {"residency": "s", "transition_rate": "1/s", "states": "states"}


@torch.no_grad()
def _rollouts(
    circuit: Circuit, sensors: Float[Tensor, "time batch sensors"]
) -> tuple[Float[np.ndarray, "batch measured units"], Int[np.ndarray, "batch measured"]]:
    """Return the units and the output states after the steps in which the circuit settles."""
    columns = hidden_columns(circuit)
    settled = list(itertools.islice(replay(circuit, sensors), _SETTLE, None))
    values = torch.stack([step.activity[:, columns] for step in settled], 1)
    if not values.isfinite().all() or values.abs().max() > 1e6:
        raise CircuitMismatch(
            f"the units of this {type(circuit).__name__} grow without bound under constant or noisy input, "
            "so there is no resting state to orbit"
        )
    return values.double().numpy(), output_states(torch.stack([step.motor for step in settled], 1).numpy())


def _sentence(numbers: dict[str, float]) -> str:
    resting = "rests" if numbers["spread_quiet"] < 1e-3 * numbers["spread_noisy"] else "moves by itself"
    return (
        f"Without noise the circuit {resting}; with noise it strays {np.sqrt(numbers['spread_noisy']):.2g} (root mean "
        f"square), turns at {numbers['rotation_noisy']:.2g} rad/s and changes its output "
        f"{numbers['transition_rate_noisy']:.2g} times a second, {numbers['transition_rate_quiet']:.2g} without."
    )


def _figure(arrays: dict[str, np.ndarray], dt: float) -> Figure:
    figure = Figure(figsize=(7.6, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.5])
    for index, orbit in enumerate(arrays["noisy"][:3]):
        label = "with noise" if index == 0 else None
        left.plot(*orbit.T, color=COLOURS[0], alpha=0.35, linewidth=0.7, label=label)
    left.plot(*arrays["quiet"][0].T, color=COLOURS[4], marker=".", linewidth=1.5, label="without")
    left.set(xlabel="component 1 from rest (activity)", ylabel="component 2 from rest (activity)")
    left.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    # Patterns are numbered by frequency; the numbers have no other meaning.
    seen, counts = np.unique(arrays["states"], return_counts=True)
    place = np.empty(len(seen), int)
    place[np.argsort(-counts)] = np.arange(len(seen))
    time = np.arange(arrays["states"].shape[1]) * dt
    first = place[np.searchsorted(seen, arrays["states"][0])]
    right.step(time, first + 1, color=COLOURS[0], linewidth=0.9, where="post")
    right.set(xlabel="time (s)", ylabel="output state, commonest first", title="one noisy rollout")
    right.yaxis.get_major_locator().set_params(integer=True)
    for axes in (left, right):
        open_axes(axes)
    return figure
