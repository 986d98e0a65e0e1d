"""Frames, a nose and sensors for the links of a user's body."""

from __future__ import annotations

import math

import mujoco
import numpy as np


def add_frames(
    spec: mujoco.MjSpec,
    model: mujoco.MjModel,
    data: mujoco.MjData,
    links: list[int],
    plane: tuple[int, int],
    is_chain: bool,
    frames: tuple[str, ...],
    nose: str,
) -> None:
    """Add a site at each link's centre of mass, its -y axis forward and z off the plane, and one at the nose.

    A link's forward direction is towards the joint that carries it. The root's is away from its neck in a chain, and
    along the plane's first axis in a tree.
    """
    axes = np.eye(3)[list(plane)]
    normal = np.cross(*axes)
    to_plane = np.empty(4)
    mujoco.mju_mat2Quat(to_plane, np.column_stack([*axes, normal]).ravel())
    for index, (link, frame) in enumerate(zip(links, frames, strict=True)):
        rotation = data.xmat[link].reshape(3, 3)
        centre = _centre(model, data, link)
        if index == 0 and not is_chain:
            forward = rotation.T @ axes[0]
        elif index == 0:
            neck = links[1]
            into = rotation.T @ data.xmat[neck].reshape(3, 3)
            forward = centre - (_place(model, data, neck, link) + into @ model.jnt_pos[model.body_jntadr[neck]])
        else:
            forward = model.jnt_pos[model.body_jntadr[link]] - centre
        first, second = axes @ rotation @ forward
        angle = (math.atan2(second, first) if math.hypot(first, second) > 1e-12 else 0.0) + math.pi / 2
        turned, quat, back = np.array([math.cos(angle / 2), 0, 0, math.sin(angle / 2)]), np.empty(4), np.empty(4)
        mujoco.mju_negQuat(back, data.xquat[link])
        mujoco.mju_mulQuat(quat, to_plane, turned)
        mujoco.mju_mulQuat(quat, back, quat.copy())
        body = spec.body(model.body(link).name)
        body.add_site(name=frame, pos=centre, quat=quat)
        if index == 0:
            reach = forward if is_chain else forward * _reach(model, data, link, axes[0])
            body.add_site(name=nose, pos=centre + reach)


def _centre(model: mujoco.MjModel, data: mujoco.MjData, link: int) -> np.ndarray:
    """Return the centre of mass of a link and the bodies welded to it, in the link's frame."""
    bodies = _welded(model, link)
    if len(bodies) == 1:
        return model.body_ipos[link]
    centre = np.zeros(3)
    for body in bodies:
        place = data.xpos[body] + data.xmat[body].reshape(3, 3) @ model.body_ipos[body]
        centre += model.body_mass[body] * (place - data.xpos[link])
    return data.xmat[link].reshape(3, 3).T @ centre / model.body_mass[bodies].sum()


def _place(model: mujoco.MjModel, data: mujoco.MjData, body: int, link: int) -> np.ndarray:
    """Return the position of a body in the frame of `link`."""
    if model.body_parentid[body] == link:
        return model.body_pos[body]
    return data.xmat[link].reshape(3, 3).T @ (data.xpos[body] - data.xpos[link])


def _reach(model: mujoco.MjModel, data: mujoco.MjData, link: int, forward: np.ndarray) -> float:
    """Return how far the geoms of a link reach forward of its centre, m."""
    centre = data.xpos[link] + data.xmat[link].reshape(3, 3) @ _centre(model, data, link)
    reach = 0.0
    for geom in np.flatnonzero(np.isin(model.geom_bodyid, _welded(model, link))):
        place, turn = np.empty(3), np.empty(4)
        body = model.geom_bodyid[geom]
        mujoco.mju_rotVecQuat(place, model.geom_pos[geom], data.xquat[body])
        mujoco.mju_mulQuat(turn, data.xquat[body], model.geom_quat[geom])
        matrix = np.empty(9)
        mujoco.mju_quat2Mat(matrix, turn)
        local = matrix.reshape(3, 3).T @ forward
        middle, half = model.geom_aabb[geom][:3], model.geom_aabb[geom][3:]
        reach = max(reach, float((data.xpos[body] + place - centre) @ forward + local @ middle + np.abs(local) @ half))
    return reach


def _welded(model: mujoco.MjModel, link: int) -> np.ndarray:
    """Return the link and every body welded to it."""
    return np.flatnonzero(model.body_weldid == link)
