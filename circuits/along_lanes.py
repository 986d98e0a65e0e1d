"""`Along` over vectors: see `LaneStep`. Imports numba, so it is imported where lanes run."""

from __future__ import annotations

from typing import Any

from ..lane_functions import clip, tanh
from ..vectors import below


def along(numbers: Any, weights: Any, sensors: Any, memory: Any, motors: Any, room: Any) -> None:  # noqa: ARG001
    """Run one control step of `Along` with one level; the equations are in its docstring.

    numbers: joints, channels, layers, and the units of speed and of spin and the limit of both.

    The room holds each unit before its tanh, and after it.
    """
    n_joints, channels, n_layers = int(numbers[0]), int(numbers[1]), int(numbers[2])
    speed, spin, limit = 1.0 / numbers[3], 1.0 / numbers[4], numbers[5]
    total, units = room, below(room, n_joints * channels)
    # Weights in the order of the parameters: input, its bias, output and its bias, and then the layers.
    bias = 7 * channels
    output = bias + channels
    first = output + channels + 1
    for i in range(n_joints):
        link = n_joints + 3 * i
        for c in range(channels):
            value = weights[bias + c] + weights[7 * c] * sensors[i]
            for k in range(6):
                scale = spin if k % 3 == 2 else speed
                value = value + weights[7 * c + 1 + k] * clip(sensors[link + k] * scale, -limit, limit)
            total[i * channels + c] = value
    for layer in range(n_layers + 1):
        for u in range(n_joints * channels):
            units[u] = tanh(total[u])
        if layer == n_layers:
            break
        at = first + layer * (3 * channels + 1) * channels
        for i in range(n_joints):
            for c in range(channels):
                row = at + c * 3 * channels
                value = total[i * channels + c] + weights[at + 3 * channels * channels + c]
                for step in range(3):
                    j = i + step - 1
                    if 0 <= j < n_joints:
                        for d in range(channels):
                            value = value + weights[row + step * channels + d] * units[j * channels + d]
                total[i * channels + c] = value
    for i in range(n_joints):
        motor = weights[output + channels]
        for c in range(channels):
            motor = motor + weights[output + c] * units[i * channels + c]
        motors[i] = motor
