"""The loop around the chain, compiled with it: commands, senses, tallies of episodes, and environments' outputs.

Blocks of W environments are loaded, advanced by `kernel` and written back. A circuit compiled to a step over vectors
may control them for whole episodes (`controller.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from ....lane_functions import clip, tanh
from ....vectors import any_of, as_rows, below, call_at, full, select
from .kernel import Rows, fill_media, integrate, read

# isort: off
from .rows import (
    COUNTED, DIVERGED, DT, END_SPEED, EPISODE, FACTOR, FIRST_VELOCITY, GEAR, KEPT, LAST_VELOCITY, LEAST, MOST, MOTOR,
    NET_SPEED, PAID, PARAMETERS, PRICE, RETURN, REWARD, ROWS, RUNS, SCALE, SENSE_HIGH, SENSE_LOW, SHIFT, TIME, TORQUE_0,
    TRUNCATED, TURN,
)  # fmt: skip
# isort: on

_compiled = numba.njit(error_model="numpy")
_LARGEST = 1e10  # beyond it MuJoCo calls a simulation unstable


@_compiled
def net_speed(x: float, y: float, seconds: float, rule: np.ndarray) -> float:
    """Return the speed of a displacement (x, y) over `seconds`, m/s."""
    return math.sqrt(x * x + y * y) / max(seconds, rule[DT])


@_compiled
def command_motors(
    n_links: int, z: Rows, t: Rows, motors: Rows, ctrl_range: np.ndarray, is_steered: bool, squash: bool
) -> None:
    """Turn commands into torques: those of the workspace, or a controller's."""
    for i in range(1, n_links):
        k, q = i * ROWS, i * PARAMETERS
        command = z[k + MOTOR]
        if is_steered:
            command = tanh(motors[i - 1]) if squash else motors[i - 1]
            # A circuit that has diverged to NaN commands 0.
            command = select(command == command, command, 0.0)
        command = clip(command, ctrl_range[i - 1, 0], ctrl_range[i - 1, 1])
        z[k + MOTOR] = t[q + GEAR] * command + t[q + TORQUE_0]


@_compiled
def sense(
    read: Rows, sensors: Rows, elapsed: float, rule: np.ndarray, columns: np.ndarray, bounds: np.ndarray,
    chosen: np.ndarray, senses: np.ndarray,
) -> None:  # fmt: skip
    """Write a controller's sensors from the readings."""
    for i in range(chosen.shape[0]):
        j = chosen[i]
        if columns[j] == KEPT:
            continue  # `sense_kept` has written it
        value = full(read, elapsed * rule[DT]) if columns[j] == TIME else read[columns[j]]
        value = (clip(value, bounds[0, j], bounds[1, j]) - senses[i, SHIFT]) * senses[i, FACTOR]
        sensors[i] = clip(value, senses[i, SENSE_LOW], senses[i, SENSE_HIGH]) * senses[i, SCALE]


@_compiled
def sense_kept(
    space: np.ndarray, row: int, lane: int, observation: np.ndarray, columns: np.ndarray, chosen: np.ndarray,
    senses: np.ndarray,
) -> None:  # fmt: skip
    """Write one environment's sensors that no reading changes, from its observation to the rows from `row` on."""
    for i in range(chosen.shape[0]):
        j = chosen[i]
        if columns[j] == KEPT:
            value = (observation[j] - senses[i, SHIFT]) * senses[i, FACTOR]
            value = max(min(value, senses[i, SENSE_HIGH]), senses[i, SENSE_LOW])
            space[row + i, lane] = value * senses[i, SCALE]


@_compiled
def tally(
    n_links: int, z: Rows, read: Rows, rule: np.ndarray, columns: np.ndarray, bounds: np.ndarray, tallies: Rows
) -> bool:  # fmt: skip
    """Add a control step to the tallies and end diverged episodes; return whether any diverged."""
    is_sound = full(z, 0.0) < 1.0
    for i in range(n_links + 2):
        for j in range(3):
            is_sound = is_sound & (abs(z[i * ROWS + j]) <= _LARGEST)
    for j in range(int(rule[FIRST_VELOCITY]), int(rule[LAST_VELOCITY])):
        value = read[columns[j]]
        is_sound = is_sound & (value >= bounds[0, j]) & (value <= bounds[1, j])
    runs = tallies[RUNS]
    earned = clip(read[int(rule[PAID])] / rule[PRICE], rule[LEAST], rule[MOST])
    tallies[RETURN] = tallies[RETURN] + select(is_sound & (runs > 0.5), earned, 0.0)
    tallies[COUNTED] = tallies[COUNTED] + runs
    tallies[RUNS] = select(is_sound, runs, 0.0)
    return any_of((runs > 0.5) & ~is_sound)


@_compiled
def show(
    env: int, readings: np.ndarray, is_stepped: bool, diverged: np.ndarray, rule: np.ndarray, columns: np.ndarray,
    bounds: np.ndarray, elapsed: np.ndarray, com_start: np.ndarray, observation: np.ndarray, numbers: np.ndarray,
    flags: np.ndarray,
) -> None:  # fmt: skip
    """Write one environment's outputs: see `Face`. A diverging step keeps the last observation and a reward of 0."""
    is_lost = diverged[env]
    seconds = elapsed[env] * rule[DT]
    for j in range(int(rule[FIRST_VELOCITY]), int(rule[LAST_VELOCITY])):
        value = readings[env, columns[j]]
        # A velocity out of bounds or NaN: the integration has diverged.
        is_lost = is_lost or not bounds[0, j] <= value <= bounds[1, j]
    if not (is_stepped and is_lost):
        for j in range(columns.shape[0]):
            if columns[j] == KEPT:
                continue
            value = seconds if columns[j] == TIME else readings[env, columns[j]]
            value = bounds[0, j] if value < bounds[0, j] else value
            observation[env, j] = bounds[1, j] if value > bounds[1, j] else value
    if not is_stepped:
        return
    earned = readings[env, int(rule[PAID])] / rule[PRICE]
    earned = rule[LEAST] if earned < rule[LEAST] else earned
    earned = rule[MOST] if earned > rule[MOST] else earned
    com = readings.shape[1] - 8  # see `rows.reading_slices`
    x, y = readings[env, com] - com_start[env, 0], readings[env, com + 1] - com_start[env, 1]
    speed = net_speed(x, y, seconds, rule)
    numbers[REWARD, env] = 0.0 if is_lost else earned
    numbers[NET_SPEED, env] = 0.0 if is_lost and not speed < math.inf else speed
    flags[DIVERGED, env] = is_lost
    flags[TRUNCATED, env] = elapsed[env] >= rule[EPISODE] and not is_lost


def advance_in(width: int) -> Callable[..., Any]:
    """Return the uncompiled function that advances environments in blocks of `width`.

    A variable of a closure is part of numba's key to its cache; a constant of the module is not.
    """

    def advance(
        first: int, last: int, space: Any, ids: Any, state: Any, ctrl: Any, ctrl_range: Any, parameters: Any,
        constants: Any, kind: int, n_substeps: int, n_steps: int, zones: Any, lengths: Any, readings: Any,
        diverged: Any, rule: Any, columns: Any, bounds: Any, elapsed: Any, com_start: Any, observation: Any,
        numbers: Any, flags: Any, address: int, told: Any, weights: Any, memory: Any, chosen: Any, senses: Any,
        squash: int, tallies: Any,
    ) -> None:  # fmt: skip
        """Advance the blocks from `first` up to and without `last` of the environments `ids`, and write their outputs.

        Take one control step under `ctrl` or, if `address` is not 0, `n_steps` under the controller there.

        space [rows, width] is the workspace, state [envs, links + 2, 3], ctrl [envs, joints], ctrl_range
        [joints, 2], parameters [blocks of ids or 1, numbers, width], zones and lengths as in `fill_media` (empty
        without zones; with them, parameters are written, a block for each), readings [envs, numbers], diverged [envs],
        then as in `Face` (empty without a face), and as in `Controller`; rows of other environments do not change.
        """
        n_links = state.shape[1] - 2
        n_out, n_rows = readings.shape[1], (n_links + 2) * ROWS
        z = as_rows(space, width)
        read_rows = below(z, n_rows)
        sensors = below(z, n_rows + n_out)
        motors = below(sensors, chosen.shape[0])
        room = below(motors, n_links - 1)
        for block in range(first, last):
            t = parameters[block if parameters.shape[0] > 1 else 0]
            rows_t = as_rows(t, width)
            for lane in range(width):
                # The last environment pads the last block.
                number = block * width + lane
                env = ids[number if number < ids.shape[0] else ids.shape[0] - 1]
                for i in range(n_links + 2):
                    for j in range(3):
                        space[i * ROWS + j, lane] = state[env, i, j]
                if address == 0:
                    for i in range(1, n_links):
                        space[i * ROWS + MOTOR, lane] = ctrl[env, i - 1]
                else:
                    sense_kept(space, n_rows + n_out, lane, observation[env], columns, chosen, senses)
            n_before = elapsed[ids[block * width]] if address != 0 else 0
            for step in range(n_steps + 1):
                if step > 0:
                    command_motors(n_links, z, rows_t, motors, ctrl_range, address != 0, squash != 0)
                    if zones.shape[0] > 0:
                        fill_media(n_links, z, rows_t, zones, lengths)
                    for _ in range(n_substeps):
                        integrate(n_links, z, rows_t, constants, kind)
                if address != 0 or step == n_steps:
                    read(n_links, z, rows_t, read_rows, constants[TURN])
                if address == 0:
                    continue
                counts = tallies[block]
                if step > 0:
                    any_lost = tally(n_links, z, read_rows, rule, columns, bounds, as_rows(counts, width))
                    if any_lost or step == n_steps:
                        any_runs = False
                        for lane in range(width):
                            number = block * width + lane
                            is_over = counts[RUNS, lane] < 0.5
                            any_runs = any_runs or not is_over
                            if number < ids.shape[0] and counts[COUNTED, lane] == n_before + step:
                                env = ids[number]
                                x = space[n_rows + n_out - 8, lane] - com_start[env, 0]
                                y = space[n_rows + n_out - 7, lane] - com_start[env, 1]
                                speed = net_speed(x, y, (n_before + step) * rule[DT], rule)
                                counts[END_SPEED, lane] = 0.0 if is_over and not speed < math.inf else speed
                        if not any_runs:
                            break
                if step < n_steps:
                    sense(read_rows, sensors, float(n_before + step), rule, columns, bounds, chosen, senses)
                    call_at(
                        address, told, as_rows(weights[block if weights.shape[0] > 1 else 0], width), sensors,
                        as_rows(memory[block], width), motors, room,
                    )  # fmt: skip
            for lane in range(width):
                number = block * width + lane
                if number >= ids.shape[0]:
                    break
                env = ids[number]
                is_sound = True
                for i in range(n_links + 2):
                    for j in range(3):
                        value = space[i * ROWS + j, lane]
                        state[env, i, j] = value
                        is_sound = is_sound and abs(value) <= _LARGEST
                for j in range(n_out):
                    readings[env, j] = space[n_rows + j, lane]
                # A diverged environment stays so until its reset.
                diverged[env] = not is_sound or (n_substeps > 0 and diverged[env])
                if address != 0:
                    elapsed[env] = n_before + n_steps
                    diverged[env] = diverged[env] or tallies[block, RUNS, lane] < 0.5
                if columns.shape[0] > 0:
                    show(
                        env, readings, n_substeps > 0, diverged, rule, columns, bounds, elapsed, com_start,
                        observation, numbers, flags,
                    )  # fmt: skip

    return advance


ADVANCE = (
    "void(int64, int64, float64[:, ::1], int64[::1], float64[:, :, ::1], float64[:, ::1], float64[:, ::1], "
    "float64[:, :, ::1], float64[::1], int64, int64, int64, float64[:, ::1], float64[::1], float64[:, ::1], "
    "boolean[::1], float64[::1], int64[::1], float64[:, ::1], int64[::1], float64[:, ::1], float32[:, ::1], "
    "float32[:, ::1], boolean[:, ::1], int64, float64[::1], float64[:, :, ::1], float64[:, :, ::1], int64[::1], "
    "float64[:, ::1], int64, float64[:, :, ::1])"
)
