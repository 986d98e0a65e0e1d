"""Transitions: which neurons kick a circuit's output from one discrete state into the next.

A kick neuron leaves its usual range before the output changes, and moves the motors that decide the output.
Silencing or driving it then changes how often the output changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

from ...agents import replay
from ...circuits import Circuit, Pins, State, check_pins
from ...drawing.figures import COLOURS, open_axes
from ...errors import InvalidRecording
from .contract import ProbeResult, Subject
from .tools.sequences import hidden_columns, sensor_sequences

# From the motors to the output's discrete state: one column per motor, 1 where it is on.
Code = Callable[[Float[Tensor, "*batch motors"]], Float[Tensor, "*batch motors"]]

_EPISODES, _STEPS = 8, 400
_LEAD = 3  # steps before a transition that count as before it
_EVENTS = 1000  # transitions that the slopes are averaged over
_FEWEST = 3  # least number of transitions of a kind for a meaningful mean
_DRIVE = 2.0  # standard deviations
_SHOWN = 6


def transitions(subject: Subject) -> ProbeResult:
    """Find the neurons that kick the agent's output from state to state.

    The circuit runs again on the sensors of the first 400 steps of up to 8 episodes, open loop: the body does not
    respond to silenced or driven neurons. The output's discrete state is which of the motors are positive; each
    change of a sign is a transition. See `find_kicks` for the score and `pinned_rates` for its confirmation.

    Raises:
        InvalidRecording: there is only a recording, its episodes are shorter than 8 steps or not finite, no
            motor changes sign, or every neuron is constant.
        CircuitMismatch: the circuit's neurons cannot be reached.
    """
    agent, recording = subject.run.agent(), subject.recording
    circuit, dt = agent.circuit, recording.dt
    steps = max(8, min(_STEPS, recording.n_steps))
    sensors = sensor_sequences(agent, recording, _EPISODES, steps, from_start=True)
    kicks = find_kicks(circuit, sensors)
    rates = pinned_rates(circuit, sensors, kicks) / dt
    names = [circuit.neurons[column].name for column in kicks.columns]
    order = np.argsort(-kicks.score)
    first = order[0]
    intact, silenced, driven = rates[0], rates[1 : len(names) + 1], rates[len(names) + 1 :]
    change = np.abs(silenced - intact) + np.abs(driven - intact)
    varies = len(names) > 2 and np.ptp(change) > 0 and np.ptp(kicks.score) > 0
    numbers = {
        "transitions": kicks.n_transitions,
        "transition_rate": intact,
        "first_score": kicks.score[first],
        "first_z": kicks.z[first],
        "first_slope": kicks.slope[first],
        "rate_without_first": silenced[first],
        "rate_driving_first": driven[first],
        "agreement": stats.spearmanr(kicks.score, change).statistic if varies else 0.0,
        "constant_neurons": kicks.n_constant,
    }
    units = dict.fromkeys(numbers, "1/s") | {
        "transitions": "transitions",
        "first_score": "motor",
        "first_z": "",
        "first_slope": "motor/activity",
        "agreement": "",
        "constant_neurons": "neurons",
    }
    arrays = {
        "neuron": np.array(names),
        "score": kicks.score,
        "z": kicks.z,
        "slope": kicks.slope,
        "rate_silenced": silenced,
        "rate_driven": driven,
    }
    words = tuple(
        f"{names[index]} leaves its range by {kicks.z[index]:.1f} standard deviations before the output changes; "
        f"{intact:.2g} transitions a second become {silenced[index]:.2g} without it and {driven[index]:.2g} driven."
        for index in order[:_SHOWN]
    )
    figure = _figure(names, kicks, silenced, driven, intact, order)
    return ProbeResult({name: float(value) for name, value in numbers.items()}, units, arrays, figure, words)


@dataclasses.dataclass(frozen=True)
class Kicks:
    """How each varying unit of a circuit is related to transitions of the output.

    Attributes:
        columns: the units' columns of activity.
        score: z x slope, mean over the kinds of transition, weighted by how often each occurs.
        z: distance of the unit's mean before a transition, at the step where it is largest, from its mean in the
            same state of the output, in standard deviations there; mean over kinds.
        slope: |d gap / d activity|, mean over transitions and kinds.
        spread: standard deviation of the unit.
        n_transitions: number of transitions.
        n_constant: number of units left out because they never vary.
    """

    columns: list[int]
    score: Float[np.ndarray, " units"]
    z: Float[np.ndarray, " units"]
    slope: Float[np.ndarray, " units"]
    spread: Float[np.ndarray, " units"]
    n_transitions: int
    n_constant: int


def positive(motors: Float[Tensor, "*batch motors"]) -> Float[Tensor, "*batch motors"]:
    """Return 1 for every motor that is positive: the output state of a swimmer."""
    return (motors > 0).float()


def largest(motors: Float[Tensor, "*batch motors"]) -> Float[Tensor, "*batch motors"]:
    """Return 1 for the largest motor: the symbol that a circuit with one logit per symbol would emit."""
    return torch.nn.functional.one_hot(motors.argmax(-1), motors.shape[-1]).float()


def find_kicks(circuit: Circuit, sensors: Float[Tensor, "time batch sensors"], code: Code = positive) -> Kicks:
    """Score every unit of a circuit by z x |d gap / d activity| over the three steps before transitions.

    The gap decides the transition: it is the sum of the motors that turn on minus those that turn off (the
    difference of two logits, where the output is the largest). Its slope is the derivative by a shift of the unit
    in these steps and in the transition's own, through the circuit's dynamics, so it includes direct and indirect
    paths to the motors. Kinds of transition are the columns of the code, with on and off separate; z
    compares with the steps in which that column has its value from before the transition. Kinds of fewer than three
    transitions are left out.

    Raises:
        CircuitMismatch: the circuit's neurons cannot be reached.
        InvalidRecording: the output hardly changes, or every unit is constant.
    """
    check_pins(circuit)
    activity, motors, states = _run(circuit, sensors)
    hidden = hidden_columns(circuit)
    spread = activity.std((0, 1))
    # Single precision: a constant unit may differ in its last digit.
    varies = spread > 1e-5 * np.abs(activity).max((0, 1))
    columns = [column for column in hidden if varies[column]]
    if not columns:
        raise InvalidRecording("every neuron is constant over the recording, so none can be a kick")
    codes = code(motors).numpy()
    change = np.diff(codes, axis=0)
    when, row = np.nonzero(change[_LEAD - 1 :].any(-1))
    when += _LEAD  # the first step of the new state
    if len(when) < _FEWEST:
        raise _too_few(len(when), sensors)
    slopes, own = _slopes(circuit, sensors, states, when, row, torch.as_tensor(change[when - 1, row]))
    values = activity[..., columns]
    before = np.stack([values[when - lag, row] for lag in range(1, _LEAD + 1)])
    kinds = []
    for column in range(codes.shape[-1]):
        for direction in (1, -1):
            events = change[when - 1, row, column] == direction
            sampled = events[own]
            if events.sum() < _FEWEST or not sampled.any():
                continue
            usual = values[codes[..., column] == (direction == -1)]
            deviation = np.maximum(usual.std(0), 1e-5 * spread[columns])
            # The step with the largest distance, because a kick may last for only one step.
            z = np.abs(before[:, events].mean(1) - usual.mean(0)).max(0) / deviation
            kinds.append((events.sum(), z, slopes[sampled][:, columns].mean(0)))
    if not kinds:
        raise _too_few(len(when), sensors)
    weight = np.array([count for count, _, _ in kinds], float)
    weight /= weight.sum()
    z, slope = np.array([z for _, z, _ in kinds]), np.array([slope for _, _, slope in kinds])
    score = weight @ (z * slope)
    return Kicks(columns, score, weight @ z, weight @ slope, spread[columns], len(when), len(hidden) - len(columns))


@torch.no_grad()
def pinned_rates(
    circuit: Circuit, sensors: Float[Tensor, "time batch sensors"], kicks: Kicks, code: Code = positive
) -> Float[np.ndarray, " 1+2*units"]:
    """Return transitions per step: intact, then with each unit silenced, then with each unit driven.

    Silenced units are fixed at 0; driven ones are shifted by two of their standard deviations.
    """
    n, batch = len(kicks.columns), sensors.shape[1]
    scale, shift = torch.ones(1 + 2 * n, len(circuit.neurons)), torch.zeros(1 + 2 * n, len(circuit.neurons))
    each = torch.arange(n)
    scale[1 + each, kicks.columns] = 0.0
    shift[1 + n + each, kicks.columns] = _DRIVE * torch.as_tensor(kicks.spread, dtype=shift.dtype)
    pins = Pins(scale.repeat_interleave(batch, 0), shift.repeat_interleave(batch, 0))
    state, rows = circuit.initial_state((1 + 2 * n) * batch), []
    for sensed in sensors.repeat(1, 1 + 2 * n, 1):
        motor, state = circuit(sensed, state, pins)
        rows.append(motor)
    motors = torch.stack(rows)
    codes = code(motors)
    changed = (codes[1:] != codes[:-1]).any(-1).double().mean(0)
    return changed.reshape(1 + 2 * n, batch).mean(1).numpy()


@torch.no_grad()
def _run(
    circuit: Circuit, sensors: Float[Tensor, "time batch sensors"]
) -> tuple[Float[np.ndarray, "time batch neurons"], Float[Tensor, "time batch motors"], list[State]]:
    """Return the neurons, the motors, and the states before every step."""
    steps = list(replay(circuit, sensors))
    activity, motors = (torch.stack([getattr(step, name) for step in steps]) for name in ("activity", "motor"))
    return activity.double().numpy(), motors, [step.before for step in steps]


def _slopes(
    circuit: Circuit,
    sensors: Float[Tensor, "time batch sensors"],
    states: list[State],
    when: Int[np.ndarray, " events"],
    row: Int[np.ndarray, " events"],
    change: Float[Tensor, "events motors"],
) -> tuple[Float[np.ndarray, "sampled neurons"], Int[np.ndarray, " sampled"]]:
    """Return |d gap / d shift| for a sample of the transitions, and the indices of these."""
    sample = np.unique(np.linspace(0, len(when) - 1, min(len(when), _EVENTS)).astype(int))
    when, row = when[sample], row[sample]
    state = {
        key: torch.stack([states[step - _LEAD][key][b] for step, b in zip(when, row, strict=True)]) for key in states[0]
    }
    shift = torch.zeros(len(when), len(circuit.neurons), requires_grad=True)
    pins = Pins(torch.ones_like(shift), shift)
    for lag in range(_LEAD, -1, -1):
        motors, state = circuit(sensors[when - lag, row], state, pins)
    gap = (motors * change[sample]).sum()
    (slope,) = torch.autograd.grad(gap, shift, allow_unused=True, materialize_grads=True)
    return slope.abs().double().numpy(), sample


def _too_few(count: int, sensors: Float[Tensor, "time batch sensors"]) -> InvalidRecording:
    return InvalidRecording(
        f"the output changes {count} times in {sensors.shape[1]} sequences of {len(sensors)} steps, too rarely to "
        f"average; record an agent whose motors change sign {_FEWEST} times or more"
    )


def _figure(
    names: list[str],
    kicks: Kicks,
    silenced: Float[np.ndarray, " units"],
    driven: Float[np.ndarray, " units"],
    intact: float,
    order: Int[np.ndarray, " units"],
) -> Figure:
    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = order[:_SHOWN]
    left.plot(kicks.z, kicks.slope, ".", color=COLOURS[1])
    left.plot(kicks.z[shown], kicks.slope[shown], "o", color=COLOURS[0])
    for number, index in enumerate(shown, 1):
        left.annotate(str(number), (kicks.z[index], kicks.slope[index]), (4, 3), textcoords="offset points", fontsize=8)
    left.set(xlabel="deviation before transitions (sd)", ylabel="|d gap / d activity| (motor per activity)")
    places = np.arange(len(shown))
    right.bar(places - 0.2, silenced[shown], 0.38, color=COLOURS[0], label="silenced")
    right.bar(places + 0.2, driven[shown], 0.38, color=COLOURS[2], label="driven")
    right.axhline(intact, color=COLOURS[4], linestyle="--", linewidth=1, label="left alone")
    labels = [f"{number} {names[index]}" for number, index in enumerate(shown, 1)]
    right.set_xticks(places, labels, rotation=40, ha="right", fontsize=8)
    right.set(ylabel="transitions per second")
    right.legend(frameon=False, ncols=3, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    for axes in (left, right):
        open_axes(axes)
    return figure
