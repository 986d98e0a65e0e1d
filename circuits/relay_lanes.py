"""`Relay` over vectors: see `LaneStep`. Imports numba, so it is imported where lanes run."""

from __future__ import annotations

from typing import Any

from ..lane_functions import clip, exp
from ..vectors import below, full, maximum, select


def relay(numbers: Any, weights: Any, sensors: Any, memory: Any, motors: Any, room: Any) -> None:
    """Run one control step of `Relay`; the equations are in its docstring.

    numbers: joints, seconds of a control step, curvature at the joint limit, the least relative threshold, and whether
    velocities are sensed.

    The room holds each joint's stretch with its rate, and the sum of it over the joints from there to the tail, with
    the sum of what each counts.
    """
    n_joints, dt, limit, least = int(numbers[0]), numbers[1], numbers[2], numbers[3]
    theta, g_theta, w = exp(weights[0]), weights[1], weights[4]
    # What a joint counts less than its neighbour nearer to the unit.
    less_behind = exp(-1.0 / (n_joints * exp(weights[2])))
    less_before = exp(-1.0 / (n_joints * exp(weights[3])))
    ahead, is_sensed = exp(weights[5]), numbers[4] > 0.0
    sensing, contracting = 1.0 - exp(-dt / exp(weights[6])), 1.0 - exp(-dt / exp(weights[7]))
    g_m, gain = weights[8], weights[9]
    felt, muscle = below(memory, n_joints), below(memory, 2 * n_joints)
    last = below(memory, 3 * n_joints)
    has_felt = full(motors, 0.0) if is_sensed else memory[4 * n_joints] / dt
    stretch, behind, counted = room, below(room, n_joints), below(room, 2 * n_joints)
    total, count = full(motors, 0.0), full(motors, 0.0)
    for step in range(n_joints):
        i = n_joints - 1 - step
        rate = sensors[n_joints + i] if is_sensed else has_felt * (sensors[i] - last[i])
        stretch[i] = limit * (sensors[i] + ahead * rate)
        total, count = stretch[i] + less_behind * total, 1.0 + less_behind * count
        behind[i], counted[i] = total, count
    total, count = full(motors, 0.0), full(motors, 0.0)
    for i in range(n_joints):
        heard = behind[i] / counted[i]
        if i > 0:
            total, count = stretch[i - 1] + less_before * total, 1.0 + less_before * count
            heard = (1.0 - w) * heard - w * (total / count)
        place = i / max(n_joints - 1, 1)
        felt[i] = felt[i] + sensing * (heard - felt[i])
        on, threshold = memory[i], theta * maximum(1.0 + g_theta * place, least)
        on = select(on * felt[i] > threshold, 0.0 - on, on)
        memory[i] = on
        muscle[i] = muscle[i] + contracting * (on - muscle[i])
        motors[i] = clip(gain * (1.0 + g_m * place) * muscle[i], -1.0, 1.0)
        if not is_sensed:
            last[i] = sensors[i]
    if not is_sensed:
        memory[4 * n_joints] = full(motors, 1.0)
