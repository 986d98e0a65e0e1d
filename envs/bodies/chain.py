"""Planar chains of hinges as MuJoCo specs: checked, given sensors, and scaled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from ...errors import InvalidBody

_HINGE, _SLIDE = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE
SCALES = ("link_mass", "link_length", "gear", "density", "viscosity")


def check_chain(name: str, xml: str) -> dict[str, Any]:
    """Return what a `Body` says of a user's chain (number of links, lengths, masses, gear, fluid).

    Raises:
        InvalidBody: the XML does not compile or is no planar chain of hinges with a motor at each.
    """
    if not xml.strip():
        raise InvalidBody(f"{name}: the XML is empty; give a chain of hinges")
    try:
        spec = mujoco.MjSpec.from_string(xml)
        model = spec.compile()
    except ValueError as error:
        raise InvalidBody(f"{name}: MuJoCo cannot compile the XML: {' '.join(str(error).split())}") from error
    links = _links(spec, name)
    hinges = [link.joints[0].name for link in links[1:]]
    if [motor.target for motor in spec.actuators] != hinges:
        raise InvalidBody(
            f"{name}: motors act on {[motor.target for motor in spec.actuators]}; "
            f"give one motor per hinge, head to tail: {hinges}"
        )
    if free := [hinge for hinge, is_limited in zip(hinges, model.jnt_limited[3:], strict=True) if not is_limited]:
        raise InvalidBody(
            f"{name}: joint {free[0]!r} has no limit, which is the unit of what circuits sense; "
            'give each hinge a range, such as range="-60 60" limited="true"'
        )
    # The head's own hinge turns the whole body, so the chain's joints start behind the three of the root.
    anchors, centres = model.jnt_pos[3:, :2], model.body_ipos[1:, :2]
    lengths = 2 * np.linalg.norm(anchors - centres[1:], axis=1)
    return {
        "n_links": len(links),
        "link_length": float(lengths.mean()),
        "link_mass": float(model.body_mass[1]),
        "gear": float(model.actuator_gear[:, 0].mean()),
        "density": float(model.opt.density),
        "viscosity": float(model.opt.viscosity),
    }


def add_sensors(spec: mujoco.MjSpec, standard: bool) -> None:
    """Give every body the same sensors, in the order that tasks read them.

    Nose position, x and y axis of the head, then velocity and angular velocity of every link, each in
    the link's frame, whose -y axis points to the head. `standard` bodies are built with their frames so;
    a user's links get sites that are.
    """
    for sensor in list(spec.sensors):
        spec.delete(sensor)
    if standard:
        nose, head = (mujoco.mjtObj.mjOBJ_GEOM, "nose"), (mujoco.mjtObj.mjOBJ_XBODY, "head")
        n_links = len(_links(spec, "body"))
    else:
        n_links = _add_sites(spec)
        nose, head = (mujoco.mjtObj.mjOBJ_SITE, "nose"), (mujoco.mjtObj.mjOBJ_SITE, "link_0")
    sensor_types = mujoco.mjtSensor
    spec.add_sensor(name="nose_pos", type=sensor_types.mjSENS_FRAMEPOS, objtype=nose[0], objname=nose[1])
    spec.add_sensor(name="head_x", type=sensor_types.mjSENS_FRAMEXAXIS, objtype=head[0], objname=head[1])
    spec.add_sensor(name="head_y", type=sensor_types.mjSENS_FRAMEYAXIS, objtype=head[0], objname=head[1])
    for link in range(n_links):
        site = {"objtype": mujoco.mjtObj.mjOBJ_SITE, "objname": f"link_{link}"}
        spec.add_sensor(name=f"velocity_{link}", type=sensor_types.mjSENS_VELOCIMETER, **site)
        spec.add_sensor(name=f"gyro_{link}", type=sensor_types.mjSENS_GYRO, **site)


def scale_spec(spec: mujoco.MjSpec, scales: Mapping[str, float]) -> None:
    """Change a chain's spec by factors; compiling it afterwards recomputes every derived constant.

    Lengths scale the links and what hangs on them, at the mass that the geoms state (or, where a geom
    states a density, at that density). `viscosity` is absolute, in Pa s, since the swimmer's own is 0.
    """
    length, mass = scales.get("link_length", 1.0), scales.get("link_mass", 1.0)
    for body in spec.bodies[1:]:
        if body.parent.name != "world":
            body.pos = body.pos * length
        for item in [*body.joints, *body.sites]:
            item.pos = item.pos * length
        for geom in body.geoms:
            _scale_geom(geom, length, mass)
    for motor in spec.actuators:
        motor.gear[0] *= scales.get("gear", 1.0)
    spec.option.density *= scales.get("density", 1.0)
    spec.option.viscosity = scales.get("viscosity", spec.option.viscosity)


def _scale_geom(geom: mujoco.MjsGeom, length: float, mass: float) -> None:
    geom.pos = geom.pos * length
    size = np.array(geom.size)
    if not math.isnan(geom.fromto[0]):
        geom.fromto = geom.fromto * length
    elif geom.type in (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER):
        size[1] *= length
    elif geom.type in (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_ELLIPSOID):
        size[np.argmax(size)] *= length
    geom.size = size
    if math.isnan(geom.mass):
        geom.density *= mass
    else:
        geom.mass *= mass


def _links(spec: mujoco.MjSpec, name: str) -> list[mujoco.MjsBody]:
    """Return the bodies of the chain from head to tail, or say why it is none."""
    roots = [body for body in spec.worldbody.bodies if body.joints]
    if len(roots) != 1:
        raise InvalidBody(f"{name}: {len(roots)} moving bodies in the world; a chain has one, its head")
    root = [joint.type for joint in roots[0].joints]
    if root != [_SLIDE, _SLIDE, _HINGE]:
        raise InvalidBody(
            f"{name}: the head's joints are {[str(kind)[12:] for kind in root]}; "
            "give a slide along x, a slide along y and a hinge about z, in this order"
        )
    links = [roots[0]]
    while children := list(links[-1].bodies):
        if len(children) > 1:
            raise InvalidBody(f"{name}: body {links[-1].name!r} has {len(children)} children; a chain has one each")
        joints = children[0].joints
        if len(joints) != 1 or joints[0].type != _HINGE:
            raise InvalidBody(
                f"{name}: body {children[0].name!r} has {len(joints)} joints "
                f"({', '.join(str(joint.type)[12:] for joint in joints) or 'none'}); give one hinge"
            )
        links.append(children[0])
    if len(links) < 2:
        raise InvalidBody(f"{name}: the chain has no joints; give at least two links")
    return links


def _add_sites(spec: mujoco.MjSpec) -> int:
    """Add a site at each link's centre, its -y axis towards the head, and one at the nose."""
    model = spec.compile()
    links = _links(spec, "body")
    for index, link in enumerate(links):
        centre = model.body_ipos[model.body(link.name).id]
        if index == 0:
            neck = links[1]
            forward = centre - (neck.pos + neck.joints[0].pos)
        else:
            forward = link.joints[0].pos - centre
        angle = math.atan2(forward[1], forward[0]) + math.pi / 2
        quat = [math.cos(angle / 2), 0, 0, math.sin(angle / 2)]
        link.add_site(name=f"link_{index}", pos=centre, quat=quat)
        if index == 0:
            link.add_site(name="nose", pos=centre + forward)
    return len(links)
