"""What a user's spec needs before it is one body among others in a larger spec."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mujoco
import numpy as np

from ...errors import InvalidBody
from .flat_xml import one_line, quiet

# The elements of a spec that have names, and their fields that name others.
_KINDS: dict[str, tuple[str, ...]] = {
    "bodies": (),
    "joints": (),
    "geoms": ("material", "meshname", "hfieldname"),
    "sites": ("material",),
    "cameras": ("targetbody",),
    "lights": ("targetbody", "texture"),
    "meshes": ("material",),
    "materials": ("textures",),
    "textures": (),
    "hfields": (),
    "equalities": ("name1", "name2"),
    "excludes": ("bodyname1", "bodyname2"),
    "pairs": ("geomname1", "geomname2"),
    "actuators": ("target", "refsite", "slidersite"),
    "sensors": ("objname", "refname"),
    "numerics": (),
    "texts": (),
}


def strip(spec: mujoco.MjSpec) -> None:
    """Take away what is no part of a body, and what would fit one model only."""
    for item in [*spec.sensors, *spec.keys, *spec.tuples, *spec.skins]:
        spec.delete(item)
    for size in ("memory", "nstack", "njmax", "nconmax"):
        setattr(spec, size, -1)
    for size in public_fields(spec):
        if size.startswith("nuser_"):
            setattr(spec, size, -1)
    spec.nkey = spec.nuserdata = 0
    spec.stat.meaninertia = math.nan
    # Both change which bodies there are, and neither how they move; MuJoCo attaches no spec that discards.
    spec.compiler.discardvisual = spec.compiler.fusestatic = False


def give_names(spec: mujoco.MjSpec) -> None:
    """Name the bodies, joints and motors that have no name."""
    for kind, items in (("body", spec.bodies[1:]), ("joint", spec.joints), ("motor", spec.actuators)):
        taken = {item.name for item in items}
        for index, item in enumerate(items):
            if not item.name:
                item.name = free_name(f"{kind}_{index}", taken)


def compile_spec(name: str, spec: mujoco.MjSpec) -> mujoco.MjModel:
    """Compile without a word on the screen or in a log file.

    Raises:
        InvalidBody: MuJoCo cannot.
    """
    try:
        with quiet():
            return spec.compile()
    except (ValueError, RuntimeError, mujoco.FatalError) as error:
        raise InvalidBody(f"{name}: MuJoCo cannot compile the XML: {one_line(error)}") from error


def fix_masses(spec: mujoco.MjSpec, model: mujoco.MjModel) -> None:
    """Write the masses that settotalmass made, which otherwise would count other bodies in the spec."""
    for body in spec.bodies:
        index = model.body(body.name).id
        if model.body_mass[index] > 0:
            body.explicitinertial = True
            body.mass, body.inertia = model.body_mass[index], model.body_inertia[index]
            body.ipos, body.iquat = model.body_ipos[index], model.body_iquat[index]
            body.fullinertia = np.full(6, np.nan)
    spec.compiler.settotalmass = -1
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_FALSE


def copy_settings(spec: mujoco.MjSpec, child: mujoco.MjSpec) -> None:
    """Give the spec the options of the child, and what the child says of statistics and of the view."""
    for option in public_fields(child.option):
        setattr(spec.option, option, getattr(child.option, option))
    plain = mujoco.MjSpec()
    groups = [group for group in public_fields(child.visual) if group != "global"]
    for to, new, default in [
        (spec.stat, child.stat, plain.stat),
        *((getattr(spec.visual, each), getattr(child.visual, each), getattr(plain.visual, each)) for each in groups),
    ]:
        for field in public_fields(new):
            value = getattr(new, field)
            # MuJoCo warns of meaninertia, which has no effect any more.
            if field != "meaninertia" and not np.array_equal(value, getattr(default, field), equal_nan=True):
                setattr(to, field, value)


def attach_bare(spec: mujoco.MjSpec, child: mujoco.MjSpec) -> None:
    """Attach without a prefix, of which MuJoCo would warn, and write a log file, at every compilation."""
    items = [item for kind in _KINDS for item in getattr(spec, kind)]
    stand_in = free_name("bare/", {item.name[:5] for item in items})
    spec.attach(child, prefix=stand_in, frame=spec.worldbody.add_frame())
    for kind, references in _KINDS.items():
        for item in getattr(spec, kind):
            for field in ("name", *references):
                value = getattr(item, field)
                if isinstance(value, str):
                    if value.startswith(stand_in):
                        setattr(item, field, value.removeprefix(stand_in))
                else:
                    for index, each in enumerate(value):
                        if each.startswith(stand_in):
                            value[index] = each.removeprefix(stand_in)


def free_name(name: str, taken: set[str]) -> str:
    """Return the name, or the name with a number that is not taken, and take it."""
    found = next(
        each for each in itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2))) if each not in taken
    )
    taken.add(found)
    return found


def public_fields(item: Any) -> list[str]:
    """Return the names of the fields of one of MuJoCo's structures."""
    return [field for field in dir(item) if not field.startswith("_")]
