"""Row numbers of the workspace, of a body's parameters, of the constants and of the readings.

The kernel works on W environments at once: each of their numbers is a row of W lanes. Outside the kernel, an
environment's numbers are side by side. These are literals, because numba compiles them in; an edit here renames the
folder of compiled code.
"""

from __future__ import annotations

# --- the workspace: rows of each link, then of the front's x and y, coordinates like a link's angle ---
# The state: world angle of the link (or position of the front), its rate, its acceleration.
PLACE, SPEED, ACCEL = range(3)
# Cosine, sine, and the force to cancel: moment about the link's front end, then along x and y.
COS, SIN, BIAS_TURN, BIAS_X, BIAS_Y = range(3, 8)
# From the sweep up for the sweep down: factors of the parent's and of the front's acceleration, and a constant term.
SHARE, BACK_X, BACK_Y, REST = range(8, 12)
# The joint's limit: stiffness, reference acceleration, which side (+1 low, -1 high, 0 inside), whether it pushes.
STIFF, WANTED, SIDE, PUSHES = range(12, 16)
# Torque of the motor, of motor with spring and damping, and of the limit where it is fixed.
MOTOR, TORQUE, HELD = range(16, 19)
# Derivatives of drag along, across and in rotation.
DRAG_ALONG, DRAG_ACROSS, DRAG_TURN = range(19, 22)
# RK4: position and speed at the start of the step, and their sums.
PLACE_0, SPEED_0, PLACE_SUM, SPEED_SUM = range(22, 26)
ROWS = 26

# --- parameters of each link and of the joint at its front ---
# From front end to the next joint, to the centre of mass, m; mass, kg; moment of inertia about the centre, kg m^2.
LENGTH, CENTRE, MASS, INERTIA = range(4)
# Drag along, across and in rotation: times speed squared, then times speed.
SQUARE_ALONG, SQUARE_ACROSS, SQUARE_TURN, LINEAR_ALONG, LINEAR_ACROSS, LINEAR_TURN = range(4, 10)
# Armature, kg m^2; limits between links, rad; a limit's inverse inertia, 1/(kg m^2); torque at full command, N m.
ARMATURE, LOW, HIGH, INVERSE_WEIGHT, GEAR = range(10, 15)
# Spring, N m/rad; angle between links where the joint's own is 0, rad; damping, N m s/rad; its implicit part; a torque
# that always acts, N m; +1 where the y axis of the readings' frame is along the link, -1 where against it.
STIFFNESS, BEND, DAMPING, IMPLICIT_DAMPING, TORQUE_0, FACING = range(15, 21)
# An external force on its centre, along the world's x and y, N, and a moment, N m.
PUSH_X, PUSH_Y, PUSH_TURN = range(21, 24)
PARAMETERS = 24
# For the whole body, after its links, m: the nose from the front, along and across the head; the front at angles 0.
NOSE_ALONG, NOSE_ACROSS, ORIGIN_X, ORIGIN_Y = range(4)
BODY_PARAMETERS = 4

# --- constants, the same in every environment ---
# Physics step, s; the head's world angle at heading 0, rad; armature of the root's slides, kg.
STEP, TURN, ROOT_ARMATURE = range(3)
# Limits: damping 1/s and stiffness 1/s^2 of the reference; impedance at the limit and at full width; 1 / width, 1/rad.
REF_DAMPING, REF_STIFFNESS, IMPEDANCE_0, IMPEDANCE_1, PER_WIDTH = range(3, 8)
# 1 where there may be external forces, else 0.
IS_PUSHED = 8
CONSTANTS = 9

# --- the rule of reward and episode end; see `Face` ---
# Control step, s; episode, control steps; the reward: number of its reading, the reading's value for a reward of 1,
# least and most reward; first and last column of the velocities in an observation.
DT, EPISODE, PAID, PRICE, LEAST, MOST, FIRST_VELOCITY, LAST_VELOCITY = range(8)
RULE = 8
# What a column of an observation shows that is no reading: the time since the reset, s, or what is written there.
TIME, KEPT = -1, -2
# Rows of `Face.numbers` and of `Face.flags`.
REWARD, NET_SPEED = range(2)
DIVERGED, TRUNCATED = range(2)

# --- a controller's sensors and tallies; see `Controller` ---
# A sensor is the value minus the shift, times the factor, clipped to bounds, times the scale.
SHIFT, FACTOR, SENSE_LOW, SENSE_HIGH, SCALE = range(5)
SENSE = 5
# 1 while the episode runs, else 0; its rewards so far; its control steps so far; net speed at its end, m/s.
RUNS, RETURN, COUNTED, END_SPEED = range(4)
TALLY = 4

# --- a medium of zones; the first row is the medium between them; see `Zone` ---
# Shape, in the order of `zones.SHAPES`; place, m; direction; radius or length, m; 1 / edge, 1/m; logarithms of drag
# across, of N s/m^2, and of the ratio.
SHAPE, ZONE_X, ZONE_Y, TO_X, TO_Y, SIZE, PER_EDGE, LOG_ACROSS, LOG_RATIO = range(9)
ZONE = 9
HALF_PLANE, DISC, RAMP = range(3)

# --- integrators ---
EULER, EULER_DAMPED, IMPLICITFAST, RK4 = range(4)


def n_readings(n_links: int) -> int:
    """Return the number of readings of each environment; see `reading_slices`."""
    return 2 * (n_links + 2) + 3 * n_links + 8


def reading_slices(n_links: int) -> dict[str, slice]:
    """Return the slice of each reading in a row of readings."""
    sizes = {
        "qpos": n_links + 2,
        "qvel": n_links + 2,
        "link_velocity": 3 * n_links,
        "com": 2,
        "nose_pos": 2,
        "head_x": 2,
        "head_y": 2,
    }
    places, end = {}, 0
    for name, size in sizes.items():
        places[name] = slice(end, end + size)
        end += size
    return places
