"""One acceleration of a planar chain by a dense solve in long double: the truth that the sweep of lanes is held to.

Written from Lagrange's equations in the coordinates (p_0 ... p_(N-1), x, y): world angles of the links and the place of
the head's front. Nothing here is O(N), and nothing is shared with the kernel but the names of a link's parameters.
"""

import numpy as np
from nervecord.envs.physics.lanes import rows

LONG = np.longdouble


def accelerations(chain, parameters, place, speed, commands):
    """Return accelerations [links + 2] of one environment, and how many limits push."""
    links = chain.links(parameters).astype(LONG)
    constants = chain.constants.astype(LONG)
    place, speed = place.astype(LONG), speed.astype(LONG)
    n, h = chain.n_links, constants[rows.STEP]
    angle, rate = place[:n], speed[:n]
    mass_matrix, force = np.zeros((n + 2, n + 2), LONG), np.zeros(n + 2, LONG)
    drag_matrix = np.zeros((n + 2, n + 2), LONG)
    tangent, normal = (np.stack(axis, -1) for axis in ((np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))))
    for i, link in enumerate(links):
        arms = np.where(np.arange(n) < i, links[:, rows.LENGTH], 0)
        arms[i] = link[rows.CENTRE]
        jacobian = np.concatenate([arms[:, None] * normal, np.eye(2, dtype=LONG)])  # of the link's centre, [n + 2, 2]
        spin = np.zeros(n + 2, LONG)
        spin[i] = 1
        drift = -(arms * rate**2) @ tangent
        mass_matrix += link[rows.MASS] * jacobian @ jacobian.T + link[rows.INERTIA] * np.outer(spin, spin)
        force -= link[rows.MASS] * jacobian @ drift
        for axis, square, linear in (
            (jacobian @ tangent[i], rows.SQUARE_ALONG, rows.LINEAR_ALONG),
            (jacobian @ normal[i], rows.SQUARE_ACROSS, rows.LINEAR_ACROSS),
            (spin, rows.SQUARE_TURN, rows.LINEAR_TURN),
        ):
            along = axis @ speed
            force -= axis * (link[square] * abs(along) + link[linear]) * along
            drag_matrix += (2 * link[square] * abs(along) + link[linear]) * np.outer(axis, axis)
    hinges = np.zeros((n, n + 2), LONG)  # from coordinates to the angle of each joint; the root's own first
    hinges[range(n), range(n)] = 1
    hinges[range(1, n), range(n - 1)] = -1
    joints = links[1:]
    mass_matrix += hinges.T @ np.diag(links[:, rows.ARMATURE]) @ hinges
    mass_matrix[(n, n + 1), (n, n + 1)] += constants[rows.ROOT_ARMATURE]
    bend, bend_rate = (hinges @ place)[1:], (hinges @ speed)[1:]
    torque = joints[:, rows.GEAR] * commands + joints[:, rows.TORQUE_0]
    torque -= joints[:, rows.STIFFNESS] * (bend - joints[:, rows.BEND]) + joints[:, rows.DAMPING] * bend_rate
    force += hinges[1:].T @ torque

    low, high = joints[:, rows.LOW] - bend, bend - joints[:, rows.HIGH]
    side = np.where(low > 0, 1, np.where(high > 0, -1, 0))
    depth = np.maximum(np.maximum(low, high), 0)
    x = np.minimum(depth * constants[rows.PER_WIDTH], 1)
    smooth = np.where(x < 0.5, 2 * x * x, 1 - 2 * (1 - x) ** 2)
    impedance = constants[rows.IMPEDANCE_0] + (constants[rows.IMPEDANCE_1] - constants[rows.IMPEDANCE_0]) * smooth
    stiffness = abs(side) * impedance / ((1 - impedance) * joints[:, rows.INVERSE_WEIGHT])
    wanted = constants[rows.REF_STIFFNESS] * impedance * depth - constants[rows.REF_DAMPING] * side * bend_rate
    pushes = side != 0
    for _ in range(50):
        held = np.diag(stiffness * pushes)
        accel = solve(mass_matrix + hinges[1:].T @ held @ hinges[1:], force + hinges[1:].T @ (held @ (side * wanted)))
        now = (side != 0) & (side * (hinges[1:] @ accel) < wanted)
        if (now == pushes).all():
            break
        pushes = now
    else:
        raise AssertionError("no active set")
    if chain.kind in (rows.EULER_DAMPED, rows.IMPLICITFAST):
        push = stiffness * pushes * (side * wanted - hinges[1:] @ accel)
        matrix = mass_matrix + h * hinges.T @ np.diag(links[:, rows.IMPLICIT_DAMPING]) @ hinges
        if chain.kind == rows.IMPLICITFAST:
            matrix = matrix + h * drag_matrix
        accel = solve(matrix, force + hinges[1:].T @ push)
    return accel, int(pushes.sum())


def solve(matrix, right):
    """Solve by Cholesky's factors in long double, which numpy's own routines do not take."""
    factor, right = matrix.copy(), right.copy()
    n = len(right)
    for k in range(n):
        factor[k, k] = np.sqrt(factor[k, k])
        factor[k + 1 :, k] /= factor[k, k]
        factor[k + 1 :, k + 1 :] -= np.outer(factor[k + 1 :, k], factor[k + 1 :, k])
        right[k] /= factor[k, k]
        right[k + 1 :] -= factor[k + 1 :, k] * right[k]
    for k in reversed(range(n)):
        right[k] = (right[k] - factor[k + 1 :, k] @ right[k + 1 :]) / factor[k, k]
    return right
