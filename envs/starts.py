"""Start poses among posts: the body is bent, turned and straightened until it touches nothing."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from ..errors import InvalidArena
from .arenas.posts import Stands, gaps
from .bodies.body import Body, reference_model

_TRIES = 600  # the second half of them straight, which fits between rows of posts


def find_room(
    body: Body,
    stands: Stands,
    rng: np.random.Generator,
    heading: float,
    joint_pos: Float[np.ndarray, " joints"],
    stretch: float = 1.0,
) -> tuple[float, Float[np.ndarray, " joints"], Float[np.ndarray, " 3"]]:
    """Return heading and joint angles, rad, at which a body at the origin touches nothing, and where a lattice lies.

    The first pose tried is the one given. Further ones have another heading and another place of the lattice, and are
    ever straighter. The links are `stretch` times as long as the body's own.

    Raises:
        InvalidArena: none was found.
    """
    model = reference_model(body)
    data, parts = mujoco.MjData(model), body.parts
    joints = [int(model.joint(name).qposadr[0]) for name in parts.joints]
    turn = int(model.joint(parts.turn).qposadr[0])
    frames = [model.site(name).id for name in parts.frames]
    lengths, widths = body.link_sizes
    mujoco.mj_kinematics(model, data)
    # Lengths scale about the place of the root's body at joint angles 0.
    origin = data.xpos[model.body(parts.root_body).id, :2].copy()
    signs = np.array(parts.joint_signs or (1,) * len(joints), float)
    for attempt in range(_TRIES):
        lattice = stands.placed(rng) if stands.n_cell else np.zeros(3)
        bend = max(0.0, 1 - 2 * attempt / _TRIES) * joint_pos
        data.qpos[turn], data.qpos[joints] = parts.turn_sign * heading, signs * bend
        mujoco.mj_kinematics(model, data)
        forward = -data.site_xmat[frames].reshape(-1, 3, 3)[:, :2, 1] * (stretch * lengths[:, None]) / 2
        centre = origin + stretch * (data.site_xpos[frames, :2] - origin)
        links = np.stack([centre - forward, centre + forward], 1), widths / 2
        lattice = stands.near(lattice, centre.mean(0))
        if (gaps(*links, *stands.pieces(lattice)) > 0).all():
            return heading, bend, lattice
        heading = rng.uniform(-np.pi, np.pi)
    raise InvalidArena(
        f"{body.name} found no room for a start in {_TRIES} poses: the posts leave gaps narrower than it is, or stand "
        "around the origin; widen the gaps, or move them away"
    )
