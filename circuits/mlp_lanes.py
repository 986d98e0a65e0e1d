"""The multilayer perceptron over vectors: see `LaneStep`. Imports numba, so it is imported only where lanes run."""

from __future__ import annotations

from typing import Any

import numba

from ..lane_functions import tanh
from ..vectors import below

_compiled = numba.njit(error_model="numpy")


@_compiled
def _layer(weights: Any, at: int, heard: Any, n_in: int, said: Any, n_out: int, is_hidden: bool) -> None:
    """Write a layer's outputs; its weights are in rows from `at` on, followed by its biases.

    Four outputs at a time: a single running sum waits for its own last addition and leaves most of a core idle.
    """
    biases = at + n_out * n_in
    for first in range(0, n_out, 4):
        # The last four start early enough to fit, so they may overlap the four before; both write the same values.
        i = max(min(first, n_out - 4), 0)
        j, k, l = min(i + 1, n_out - 1), min(i + 2, n_out - 1), min(i + 3, n_out - 1)  # noqa: E741
        a, b, c, d = weights[biases + i], weights[biases + j], weights[biases + k], weights[biases + l]
        for s in range(n_in):
            value = heard[s]
            a = a + weights[at + i * n_in + s] * value
            b = b + weights[at + j * n_in + s] * value
            c = c + weights[at + k * n_in + s] * value
            d = d + weights[at + l * n_in + s] * value
        if is_hidden:
            a, b, c, d = tanh(a), tanh(b), tanh(c), tanh(d)
        said[i], said[j], said[k], said[l] = a, b, c, d


def mlp(numbers: Any, weights: Any, sensors: Any, memory: Any, motors: Any, room: Any) -> None:  # noqa: ARG001
    """Run one control step of `MLP`.

    numbers: number of layers, then the size of the input and of each layer.
    """
    n_layers, widest = int(numbers[0]), 0
    for i in range(n_layers + 1):
        widest = max(widest, int(numbers[1 + i]))
    heard, at = sensors, 0
    for i in range(n_layers):
        n_in, n_out = int(numbers[1 + i]), int(numbers[2 + i])
        is_hidden = i < n_layers - 1
        said = below(room, i % 2 * widest) if is_hidden else motors
        _layer(weights, at, heard, n_in, said, n_out, is_hidden)
        heard, at = said, at + n_out * (n_in + 1)
