"""`CPG` over vectors: see `LaneStep`. Imports numba, so it is imported where lanes run."""

from __future__ import annotations

import math
from typing import Any

from ..lane_functions import clip, exp, sincos
from ..vectors import below, full


def cpg(numbers: Any, weights: Any, sensors: Any, memory: Any, motors: Any, room: Any) -> None:
    """Run one control step of `CPG`; the equations are in its docstring.

    numbers: joints, seconds of a control step, frequency at tempo 0, coupling at 0, steps of Euler's method, and
    whether there is feedback.

    The room holds the pull of each joint on the one behind, which pulls back as much.
    """
    n_joints, n_steps, has_feedback = int(numbers[0]), int(numbers[4]), numbers[5] > 0.0
    seconds = numbers[1] / numbers[4]
    turn = 2 * math.pi * numbers[2] * exp(weights[0])
    strength = numbers[3] * exp(weights[1])
    sin_lag, cos_lag = sincos(weights[2] * (-2 * math.pi / n_joints))
    pull = room
    for _ in range(n_steps):
        for i in range(1, n_joints):
            ahead, own = below(memory, 2 * i - 2), below(memory, 2 * i)
            sine = ahead[1] * own[0] - ahead[0] * own[1]
            cosine = ahead[0] * own[0] + ahead[1] * own[1]
            pull[i] = strength * (sine * cos_lag + cosine * sin_lag)
        for i in range(n_joints):
            own = below(memory, 2 * i)
            rate = full(motors, 0.0) + turn
            if i > 0:
                rate = rate + pull[i]
            if i < n_joints - 1:
                rate = rate - pull[i + 1]
            if has_feedback:
                rate = rate + numbers[3] * weights[4] * sensors[i] * own[0]
            sine, cosine = sincos(seconds * rate)
            cos = own[0] * cosine - own[1] * sine
            own[1] = own[1] * cosine + own[0] * sine
            own[0] = cos
    for i in range(n_joints):
        own = below(memory, 2 * i)
        # Rounding would change the length of 1 in the course of an episode.
        length = 1.5 - 0.5 * (own[0] * own[0] + own[1] * own[1])
        own[0], own[1] = own[0] * length, own[1] * length
        motors[i] = clip(weights[3] * own[1], -1.0, 1.0)
