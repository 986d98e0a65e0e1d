"""Physics of planar chains, W environments at a time: the articulated-body algorithm in O(links), in vectors.

The equations are MuJoCo's: fluid forces on inertia boxes, soft joint limits, Euler, implicitfast, RK4. A link has the
world angle p of its axis t = (cos p, sin p), from its front end to the next joint; n is t turned left. Moments are
taken about a link's front end, in world axes. `rows.py` lists the rows.

Strict floating point in a fixed order of operations gives the same bits for every W, machine and place in a batch. Only
the functions that `advance_in` (advance.py) and `weigh_in` return are cached, in a folder named by their files' hash.

Source: Featherstone 2008, Rigid Body Dynamics Algorithms, ch. 7; MuJoCo's documentation, Computation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numba
import numpy as np

from ....lane_functions import clip, exp, sincos, tanh
from ....vectors import any_of, as_rows, full, minimum, select, sqrt

# isort: off
from .rows import (
    ACCEL, ARMATURE, BACK_X, BACK_Y, BEND, BIAS_TURN, BIAS_X, BIAS_Y, BODY_PARAMETERS, CENTRE, COS, DAMPING, DISC,
    DRAG_ACROSS, DRAG_ALONG, DRAG_TURN, EULER_DAMPED, FACING, HELD, HIGH, IMPEDANCE_0, IMPEDANCE_1, IMPLICITFAST,
    IMPLICIT_DAMPING, INERTIA, INVERSE_WEIGHT, IS_PUSHED, LENGTH, LINEAR_ACROSS, LINEAR_ALONG, LINEAR_TURN, LOG_ACROSS,
    LOG_RATIO, LOW, MASS, MOTOR, NOSE_ACROSS, NOSE_ALONG, ORIGIN_X, ORIGIN_Y, PARAMETERS, PER_EDGE, PER_WIDTH, PLACE,
    PLACE_0, PLACE_SUM, PUSHES, PUSH_TURN, PUSH_X, PUSH_Y, RAMP, REF_DAMPING, REF_STIFFNESS, REST, RK4, ROOT_ARMATURE,
    ROWS, SHAPE, SHARE, SIDE, SIN, SIZE, SPEED, SPEED_0, SPEED_SUM, SQUARE_ACROSS, SQUARE_ALONG, SQUARE_TURN, STEP,
    STIFF, STIFFNESS, TORQUE, TO_X, TO_Y, TURN, WANTED, ZONE_X, ZONE_Y,
)  # fmt: skip
# isort: on

# A type of `vectors`, which numba infers and type checkers cannot see; named here for readers.
Rows: TypeAlias = Any
_compiled = numba.njit(error_model="numpy")
# The active set converges in 1 or 2 sweeps, in 5 at 100 links; in a diverged lane it may never.
_MOST_SWEEPS = 12


@_compiled
def find_forces(n_links: int, z: Rows, t: Rows, is_implicit: bool, is_pushed: bool) -> bool:
    """Compute velocities, drag, centripetal terms and torques down the chain; return if any joint is past a limit."""
    zero = full(z, 0.0)
    vx, vy = z[n_links * ROWS + SPEED], z[(n_links + 1) * ROWS + SPEED]
    gx, gy, parent_angle, parent_rate = zero, zero, zero, zero
    is_past = zero > 1.0
    for i in range(n_links):
        k, q = i * ROWS, i * PARAMETERS
        angle, rate = z[k + PLACE], z[k + SPEED]
        s, c = sincos(angle)
        length, centre = t[q + LENGTH], t[q + CENTRE]
        centre_speed, end_speed = centre * rate, length * rate
        along = c * vx + s * vy
        across = c * vy - s * vx + centre_speed
        vx, vy = vx - end_speed * s, vy + end_speed * c
        drag_along = t[q + SQUARE_ALONG] * abs(along)
        drag_across = t[q + SQUARE_ACROSS] * abs(across)
        drag_turn = t[q + SQUARE_TURN] * abs(rate)
        if is_implicit:
            z[k + DRAG_ALONG] = t[q + LINEAR_ALONG] + 2.0 * drag_along
            z[k + DRAG_ACROSS] = t[q + LINEAR_ACROSS] + 2.0 * drag_across
            z[k + DRAG_TURN] = t[q + LINEAR_TURN] + 2.0 * drag_turn
        # The force to cancel: mass times acceleration at constant speeds, minus drag.
        mass = t[q + MASS]
        force_along = (drag_along + t[q + LINEAR_ALONG]) * along - mass * centre_speed * rate
        force_across = (drag_across + t[q + LINEAR_ACROSS]) * across
        bias_x = mass * gx + c * force_along - s * force_across
        bias_y = mass * gy + s * force_along + c * force_across
        bias_turn = (drag_turn + t[q + LINEAR_TURN]) * rate
        if is_pushed:
            bias_x, bias_y = bias_x - t[q + PUSH_X], bias_y - t[q + PUSH_Y]
            bias_turn = bias_turn - t[q + PUSH_TURN]
        z[k + COS], z[k + SIN], z[k + BIAS_X], z[k + BIAS_Y] = c, s, bias_x, bias_y
        z[k + BIAS_TURN] = bias_turn + centre * (c * bias_y - s * bias_x)
        end_accel = end_speed * rate
        gx, gy = gx - end_accel * c, gy - end_accel * s
        if i > 0:
            bend = angle - parent_angle
            is_past = is_past | (bend < t[q + LOW]) | (bend > t[q + HIGH])
            spring = t[q + STIFFNESS] * (bend - t[q + BEND])
            z[k + TORQUE] = z[k + MOTOR] - spring - t[q + DAMPING] * (rate - parent_rate)
            z[k + HELD] = 0.0
        parent_angle, parent_rate = angle, rate
    return any_of(is_past)


@_compiled
def fill_media(n_links: int, z: Rows, t: Rows, zones: np.ndarray, lengths: np.ndarray) -> None:
    """Set the linear drag of each link to that of the medium at its centre; see `rows.SHAPE`.

    zones [zones + 1, ...] begins with the medium between zones, whose drag across is exp(LOG_ACROSS) N s/m^2; lengths
    [links] are in m.
    """
    x, y = z[n_links * ROWS + PLACE], z[(n_links + 1) * ROWS + PLACE]
    for i in range(n_links):
        q = i * PARAMETERS
        s, c = sincos(z[i * ROWS + PLACE])
        centre, length = t[q + CENTRE], t[q + LENGTH]
        log_across, log_ratio = full(z, zones[0, LOG_ACROSS]), full(z, zones[0, LOG_RATIO])
        for k in range(1, zones.shape[0]):
            away_x, away_y = x + centre * c - zones[k, ZONE_X], y + centre * s - zones[k, ZONE_Y]
            inside = away_x * zones[k, TO_X] + away_y * zones[k, TO_Y]
            if zones[k, SHAPE] == DISC:
                inside = zones[k, SIZE] - sqrt(away_x * away_x + away_y * away_y)
            if zones[k, SHAPE] == RAMP:
                share = clip(inside / zones[k, SIZE], 0.0, 1.0)
            else:
                share = 0.5 + 0.5 * tanh(0.5 * inside * zones[k, PER_EDGE])
            log_across = log_across + share * (zones[k, LOG_ACROSS] - log_across)
            log_ratio = log_ratio + share * (zones[k, LOG_RATIO] - log_ratio)
        across = exp(log_across) * lengths[i]
        t[q + LINEAR_ACROSS] = across
        t[q + LINEAR_ALONG] = across * exp(-log_ratio)
        t[q + LINEAR_TURN] = across * (lengths[i] * lengths[i] / 12.0)
        x, y = x + length * c, y + length * s


@_compiled
def find_limits(n_links: int, z: Rows, t: Rows, constants: np.ndarray) -> None:
    """Compute stiffness and reference of each joint's limit; the first guess of the active limits is the last one."""
    for i in range(1, n_links):
        k, q = i * ROWS, i * PARAMETERS
        bend = z[k + PLACE] - z[k - ROWS + PLACE]
        low, high = t[q + LOW] - bend, bend - t[q + HIGH]
        side = select(low > 0.0, 1.0, select(high > 0.0, full(z, -1.0), 0.0))
        depth = select(low > 0.0, low, select(high > 0.0, high, 0.0))
        x = depth * constants[PER_WIDTH]
        x = minimum(x, 1.0)
        rest = 1.0 - x
        smooth = select(x < 0.5, 2.0 * x * x, 1.0 - 2.0 * rest * rest)
        impedance = constants[IMPEDANCE_0] + (constants[IMPEDANCE_1] - constants[IMPEDANCE_0]) * smooth
        rate = z[k + SPEED] - z[k - ROWS + SPEED]
        wanted = constants[REF_STIFFNESS] * impedance * depth - constants[REF_DAMPING] * side * rate
        z[k + SIDE], z[k + WANTED] = side, wanted
        z[k + STIFF] = side * side * impedance / ((1.0 - impedance) * t[q + INVERSE_WEIGHT])
        z[k + PUSHES] = select(side * (z[k + ACCEL] - z[k - ROWS + ACCEL]) < wanted, side * side, 0.0)


@_compiled
def sweep(n_links: int, z: Rows, t: Rows, root_armature: float, with_limits: bool, h: float, kind: int) -> None:
    """Compute articulated inertias up the chain, then accelerations down it.

    `h` above 0 is an implicit step: the joints' damping times h, and in implicitfast the drag's derivative times h,
    join the inertia. A joint passes on its inertia times e / D; subtracting U U^T / D would cancel and lose digits.
    """
    zero = full(z, 0.0)
    xx, xy, yy, ex, ey, et = zero, zero, zero, zero, zero, zero
    bias_x, bias_y, bias_turn = zero, zero, zero
    for i in range(n_links - 1, -1, -1):
        k, q = i * ROWS, i * PARAMETERS
        c, s = z[k + COS], z[k + SIN]
        length, centre, mass = t[q + LENGTH], t[q + CENTRE], t[q + MASS]
        dx, dy = length * c, length * s
        bias_turn = bias_turn + (dx * bias_y - dy * bias_x) + z[k + BIAS_TURN]
        bias_x, bias_y = bias_x + z[k + BIAS_X], bias_y + z[k + BIAS_Y]
        hx = ex + (dx * xy - dy * xx)
        hy = ey + (dx * yy - dy * xy)
        turn = et + (dx * (ey + hy) - dy * (ex + hx)) + t[q + INERTIA]
        mass_across = mass
        own = t[q + ARMATURE]  # the coefficient of the joint's own acceleration
        torque = z[k + TORQUE]
        if with_limits:
            pushing = z[k + STIFF] * z[k + PUSHES]
            own = own + pushing
            torque = torque + pushing * z[k + SIDE] * z[k + WANTED]
        if h > 0.0:
            own = own + h * t[q + IMPLICIT_DAMPING]
            torque = torque + z[k + HELD]
            if kind == IMPLICITFAST:
                d, n = h * z[k + DRAG_ALONG], h * z[k + DRAG_ACROSS]
                mass_across = mass_across + n
                turn = turn + h * z[k + DRAG_TURN]
                xx, yy = xx + (d * c * c + n * s * s), yy + (d * s * s + n * c * c)
                xy = xy + (d - n) * (c * s)
        moment = mass_across * centre
        turn = turn + moment * centre
        hx, hy = hx - moment * s, hy + moment * c
        xx, yy = xx + mass, yy + mass
        if i == 0:
            xx, yy = xx + root_armature, yy + root_armature
        inverse = 1.0 / (turn + own)
        rest, share, back_x, back_y = (torque - bias_turn) * inverse, own * inverse, hx * inverse, hy * inverse
        z[k + SHARE], z[k + BACK_X], z[k + BACK_Y], z[k + REST] = share, back_x, back_y, rest
        xx, xy, yy = xx - hx * back_x, xy - hx * back_y, yy - hy * back_y
        bias_x, bias_y, bias_turn = bias_x + hx * rest, bias_y + hy * rest, torque - own * rest
        ex, ey, et = hx * share, hy * share, turn * share
    inverse = 1.0 / (xx * yy - xy * xy)
    ax, ay = (xy * bias_y - yy * bias_x) * inverse, (xy * bias_x - xx * bias_y) * inverse
    z[n_links * ROWS + ACCEL], z[(n_links + 1) * ROWS + ACCEL] = ax, ay
    accel = zero
    for i in range(n_links):
        k = i * ROWS
        accel = z[k + SHARE] * accel + (z[k + REST] - z[k + BACK_X] * ax - z[k + BACK_Y] * ay)
        z[k + ACCEL] = accel
        end_accel = t[i * PARAMETERS + LENGTH] * accel
        ax, ay = ax - end_accel * z[k + SIN], ay + end_accel * z[k + COS]


@_compiled
def update_pushes(n_links: int, z: Rows) -> bool:
    """Find which limits push under these accelerations; return whether that differs from the sweep's assumption."""
    is_changed = full(z, 0.0) > 1.0
    for i in range(1, n_links):
        k = i * ROWS
        side, was = z[k + SIDE], z[k + PUSHES]
        pushes = select(side * (z[k + ACCEL] - z[k - ROWS + ACCEL]) < z[k + WANTED], side * side, 0.0)
        is_changed = is_changed | (pushes > was) | (pushes < was)
        z[k + PUSHES] = pushes
    return any_of(is_changed)


@_compiled
def hold_limits(n_links: int, z: Rows) -> None:
    """Fix each limit's force at its value in the last sweep."""
    for i in range(1, n_links):
        k = i * ROWS
        missing = z[k + SIDE] * z[k + WANTED] - (z[k + ACCEL] - z[k - ROWS + ACCEL])
        z[k + HELD] = z[k + STIFF] * z[k + PUSHES] * missing


@_compiled
def accelerate(n_links: int, z: Rows, t: Rows, constants: np.ndarray, kind: int) -> None:
    """Compute all accelerations from positions, speeds and motors.

    Sweep until the active limits converge. MuJoCo computes their forces with M; an implicit step then moves with
    M + h D under these forces, which takes one more sweep.
    """
    is_past = find_forces(n_links, z, t, kind == IMPLICITFAST, constants[IS_PUSHED] > 0.0)
    is_implicit = kind in (EULER_DAMPED, IMPLICITFAST)
    root = constants[ROOT_ARMATURE]
    if is_past:
        find_limits(n_links, z, t, constants)
    # A lane that has converged computes the same bits again while other lanes of the block continue.
    left = _MOST_SWEEPS if is_past else 0
    # `left > 0` instead of True and False: numba would compile the sweep once for each of those.
    while left > 0:
        sweep(n_links, z, t, root, left > 0, 0.0, kind)
        left = left - 1 if update_pushes(n_links, z) else 0
    if is_past and is_implicit:
        hold_limits(n_links, z)
    if is_implicit or not is_past:
        sweep(n_links, z, t, root, left > 0, constants[STEP] if is_implicit else 0.0, kind)


@_compiled
def integrate(n_links: int, z: Rows, t: Rows, constants: np.ndarray, kind: int) -> None:
    """Take a physics step: speeds change by h times accelerations, then positions by h times the new speeds.

    RK4 makes the classical four evaluations, each with limits; angles are linear in the joints.
    """
    h = constants[STEP]
    for stage in range(4 if kind == RK4 else 1):
        accelerate(n_links, z, t, constants, kind)
        ahead = 0.5 * h if stage < 2 else h
        weight = h / 6 if stage == 0 or stage == 3 else h / 3
        for i in range(n_links + 2):
            k = i * ROWS
            place, speed, accel = z[k + PLACE], z[k + SPEED], z[k + ACCEL]
            if kind != RK4:
                speed = speed + h * accel
                z[k + SPEED], z[k + PLACE] = speed, place + h * speed
                continue
            if stage == 0:
                z[k + PLACE_0], z[k + SPEED_0], z[k + PLACE_SUM], z[k + SPEED_SUM] = place, speed, place, speed
            z[k + PLACE_SUM] = z[k + PLACE_SUM] + weight * speed
            z[k + SPEED_SUM] = z[k + SPEED_SUM] + weight * accel
            if stage < 3:
                z[k + PLACE], z[k + SPEED] = z[k + PLACE_0] + ahead * speed, z[k + SPEED_0] + ahead * accel
            else:
                z[k + PLACE], z[k + SPEED] = z[k + PLACE_SUM], z[k + SPEED_SUM]


@_compiled
def read(n_links: int, z: Rows, t: Rows, out: Rows, turn: float) -> None:
    """Compute the readings, in the order of `rows.reading_slices`."""
    body = n_links * PARAMETERS
    x, y = z[n_links * ROWS + PLACE], z[(n_links + 1) * ROWS + PLACE]
    vx, vy = z[n_links * ROWS + SPEED], z[(n_links + 1) * ROWS + SPEED]
    qvel, link, rest = n_links + 2, 2 * (n_links + 2), 2 * (n_links + 2) + 3 * n_links
    out[0], out[1] = x - t[body + ORIGIN_X], y - t[body + ORIGIN_Y]
    out[qvel], out[qvel + 1] = vx, vy
    mass, mass_x, mass_y = full(z, 0.0), full(z, 0.0), full(z, 0.0)
    for i in range(n_links):
        k, q = i * ROWS, i * PARAMETERS
        angle, rate, facing = z[k + PLACE], z[k + SPEED], t[q + FACING]
        s, c = sincos(angle)
        centre, length = t[q + CENTRE], t[q + LENGTH]
        if i == 0:
            out[2], out[qvel + 2] = angle - turn, rate
            along, across = t[body + NOSE_ALONG], t[body + NOSE_ACROSS]
            out[rest + 2], out[rest + 3] = x + along * c - across * s, y + along * s + across * c
            # The y axis points to the tail; x is y turned right.
            out[rest + 4], out[rest + 5] = facing * s, -(facing * c)
            out[rest + 6], out[rest + 7] = facing * c, facing * s
        else:
            out[2 + i] = angle - z[k - ROWS + PLACE] - t[q + BEND]
            out[qvel + 2 + i] = rate - z[k - ROWS + SPEED]
        out[link + 3 * i] = facing * (s * vx - c * vy - centre * rate)
        out[link + 3 * i + 1] = facing * (c * vx + s * vy)
        out[link + 3 * i + 2] = rate
        mass = mass + t[q + MASS]
        mass_x, mass_y = mass_x + t[q + MASS] * (x + centre * c), mass_y + t[q + MASS] * (y + centre * s)
        x, y = x + length * c, y + length * s
        vx, vy = vx - length * rate * s, vy + length * rate * c
    out[rest], out[rest + 1] = mass_x / mass, mass_y / mass


def weigh_in(width: int) -> Callable[..., Any]:
    """Return the uncompiled function that computes inverse weights in blocks of `width`."""

    def weigh(parameters: Any, constants: Any, space: Any) -> None:
        """Write each hinge's acceleration under a unit torque at angles 0 into parameters [blocks, numbers, width].

        space [rows, width] is the workspace, zeros.
        """
        n_links = (parameters.shape[1] - BODY_PARAMETERS) // PARAMETERS
        z = as_rows(space, width)
        for block in range(parameters.shape[0]):
            t = as_rows(parameters[block], width)
            angle = full(z, constants[TURN])
            for i in range(n_links):
                k = i * ROWS
                if i > 0:
                    angle = angle + t[i * PARAMETERS + BEND]
                z[k + SIN], z[k + COS] = sincos(angle)
            for i in range(1, n_links):
                k = i * ROWS
                z[k + TORQUE] = 1.0
                sweep(n_links, z, t, constants[ROOT_ARMATURE], False, 0.0, RK4)
                z[k + TORQUE] = 0.0
                t[i * PARAMETERS + INVERSE_WEIGHT] = z[k + ACCEL] - z[k - ROWS + ACCEL]

    return weigh


WEIGH = "void(float64[:, :, ::1], float64[::1], float64[:, ::1])"
