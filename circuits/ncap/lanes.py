"""NCAP and NCAP+ over vectors: see `LaneStep`. Imports numba, so it is imported only where lanes run."""

from __future__ import annotations

import math
from typing import Any

import numba

from ...lane_functions import clip, exp, sincos, tanh
from ...vectors import floor, full, maximum, minimum, select

_compiled = numba.njit(error_model="numpy")


@_compiled
def _weight(weights: Any, first: int, index: int, is_shared: bool, sign: float) -> Any:
    """Return a synapse's effective weight: clipped to the sign +1 or -1; unchanged for a sign of 0."""
    weight = weights[first if is_shared else first + index]
    if sign > 0.0:
        weight = maximum(weight, 0.0)
    if sign < 0.0:
        weight = minimum(weight, 0.0)
    return weight


def ncap(numbers: Any, weights: Any, sensors: Any, memory: Any, motors: Any, room: Any) -> None:  # noqa: ARG001
    """Run one control step of `NCAP`; the equations are in its docstring.

    numbers: joints, period, steps of `dt_ref` in a control step, whether weights are shared, 1 where they keep their
    sign, the first rows of the weights prop, osc, ipsi and contra (-1 where there are none), and the index of the time
    among the sensors (-1 where the memory counts steps).
    """
    n_joints, period, step_length = int(numbers[0]), numbers[1], numbers[2]
    is_shared, sign = numbers[3] > 0.0, numbers[4]
    prop, osc, ipsi, contra = int(numbers[5]), int(numbers[6]), int(numbers[7]), int(numbers[8])
    at_time = int(numbers[9])
    clock = full(motors, 0.0)
    if osc >= 0:
        middle = ((sensors[at_time] if at_time >= 0 else memory[0]) + 0.5) * step_length
        if step_length != 1.0:
            middle = floor(middle) + 0.5
        left = math.floor(period / 2) - (middle - period * floor(middle / period))
        clock = select(left > 0.0, full(left, 1.0), select(left < 0.0, full(left, -1.0), 0.0))
        if at_time < 0:
            memory[0] = memory[0] + 1.0
    for i in range(n_joints):
        dorsal, ventral = full(clock, 0.0), full(clock, 0.0)
        if i == 0 and osc >= 0:
            dorsal = clip(clock, 0.0, 1.0) * _weight(weights, osc, 0, is_shared, sign)
            ventral = clip(-clock, 0.0, 1.0) * _weight(weights, osc, 1, is_shared, sign)
        if i > 0 and prop >= 0:
            stretch = sensors[i - 1]
            dorsal = clip(stretch, 0.0, 1.0) * _weight(weights, prop, i - 1, is_shared, sign)
            ventral = clip(-stretch, 0.0, 1.0) * _weight(weights, prop, n_joints + i - 2, is_shared, sign)
        dorsal, ventral = clip(dorsal, 0.0, 1.0), clip(ventral, 0.0, 1.0)
        muscle_d = _weight(weights, ipsi, i, is_shared, sign) * dorsal
        muscle_d = muscle_d + _weight(weights, contra, i, is_shared, -sign) * ventral
        muscle_v = _weight(weights, ipsi, n_joints + i, is_shared, sign) * ventral
        muscle_v = muscle_v + _weight(weights, contra, n_joints + i, is_shared, -sign) * dorsal
        motors[i] = clip(muscle_d, 0.0, 1.0) - clip(muscle_v, 0.0, 1.0)


def ncap_plus(numbers: Any, weights: Any, sensors: Any, memory: Any, motors: Any, room: Any) -> None:
    """Run one control step of `NCAPPlus`; the equations are in its docstring.

    numbers: joints, radians of the clock in a control step at tempo 0, units of spin and of drift, the index of the
    time among the sensors (-1 where the memory counts steps), the index of the first velocity, and the rows of the
    weights prop_1 to prop_3, own, rate, drift, spin, osc, tempo, sharpness and ipsi (-1 where one is fixed at 0).
    """
    n_joints, turn, per_spin, per_drift = int(numbers[0]), numbers[1], numbers[2], numbers[3]
    at_time, velocities = int(numbers[4]), int(numbers[5])
    # Weights that every joint uses, side by side.
    for i in range(8):
        at = int(numbers[6 + i])
        room[i] = weights[at] if at >= 0 else full(motors, 0.0)
    ipsi = weights[int(numbers[16])]
    time = sensors[at_time] if at_time >= 0 else memory[0]
    if at_time < 0:
        memory[0] = memory[0] + 1.0
    sine, _ = sincos((time + 0.5) * turn * exp(weights[int(numbers[14])]))
    clock = tanh(exp(weights[int(numbers[15])]) * sine)
    for i in range(n_joints):
        before, behind = velocities + 3 * i, velocities + 3 * i + 3
        drift = per_drift * (sensors[behind] + sensors[before]) / 2.0
        rate = per_spin * (sensors[behind + 2] - sensors[before + 2])
        spin = per_spin * (sensors[behind + 2] + sensors[before + 2]) / 2.0
        total = room[3] * clip(sensors[i], -1.0, 1.0) + room[4] * rate + room[5] * drift + room[6] * spin
        for k in range(min(i, 3)):
            total = total + room[k] * clip(sensors[i - 1 - k], -1.0, 1.0)
        if i == 0:
            total = total + room[7] * clock
        muscle_d = clip(ipsi * tanh(maximum(total, 0.0)), 0.0, 1.0)
        motors[i] = muscle_d - clip(ipsi * tanh(maximum(-total, 0.0)), 0.0, 1.0)
