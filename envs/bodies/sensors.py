"""The sensors that every body needs, in the order in which physics reads them."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco

Target = tuple[mujoco.mjtObj, str]


def add_sensors(spec: mujoco.MjSpec, nose: Target, head: Target, frames: Sequence[str], prefix: str = "") -> None:
    """Add the nose's position, the head's x and y axis, then velocity and angular velocity of every link.

    Velocities are in the frame of each link's site, whose -y axis points towards the head.

    Args:
        spec: the world.
        nose: kind and full name of the object at the nose.
        head: kind and full name of the object with the head's axes.
        frames: sites of the links, without the prefix.
        prefix: prefix of the sensors' and the sites' names.
    """
    kinds = mujoco.mjtSensor
    spec.add_sensor(name=f"{prefix}nose_pos", type=kinds.mjSENS_FRAMEPOS, objtype=nose[0], objname=nose[1])
    spec.add_sensor(name=f"{prefix}head_x", type=kinds.mjSENS_FRAMEXAXIS, objtype=head[0], objname=head[1])
    spec.add_sensor(name=f"{prefix}head_y", type=kinds.mjSENS_FRAMEYAXIS, objtype=head[0], objname=head[1])
    for index, frame in enumerate(frames):
        site = {"objtype": mujoco.mjtObj.mjOBJ_SITE, "objname": f"{prefix}{frame}"}
        spec.add_sensor(name=f"{prefix}velocity_{index}", type=kinds.mjSENS_VELOCIMETER, **site)
        spec.add_sensor(name=f"{prefix}gyro_{index}", type=kinds.mjSENS_GYRO, **site)
