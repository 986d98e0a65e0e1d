"""Bodies with other parameters, the long way round: a spec that is changed by hand and compiled."""

import mujoco
import numpy as np


def stretched(body, draw):
    """Compile a body with factors on its parameters, and viscosity in Pa s."""
    spec = mujoco.MjSpec()
    body.add_to(spec)
    spec.option.density, spec.option.viscosity = body.habitat.density, body.habitat.viscosity
    length, mass = draw.get("link_length", 1.0), draw.get("link_mass", 1.0)
    for link in spec.bodies[1:]:
        if link.parent.name != "world":
            link.pos = link.pos * length
        for item in [*link.joints, *link.sites]:
            item.pos = item.pos * length
        for geom in link.geoms:
            geom.pos, size = geom.pos * length, np.array(geom.size)
            if not np.isnan(geom.fromto[0]):
                geom.fromto = geom.fromto * length
            elif geom.type in (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER):
                size[1] *= length
            elif geom.type in (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_ELLIPSOID):
                size[np.argmax(size)] *= length
            geom.size = size
            if np.isnan(geom.mass):
                geom.density *= mass
            else:
                geom.mass *= mass
    for motor in spec.actuators:
        motor.gear[0] *= draw.get("gear", 1.0)
    spec.option.density *= draw.get("density", 1.0)
    spec.option.viscosity = draw.get("viscosity", spec.option.viscosity)
    return spec.compile()
