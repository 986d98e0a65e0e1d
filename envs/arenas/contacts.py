"""Contacts of a body with posts in MuJoCo: what touches what, how hard, and the sensors of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from ...errors import InvalidArena
from .media import Drag, Medium, Resisted
from .posts import Stands, gaps

# Which geoms meet: links meet all that stands, what can be pushed meets that too, and links never meet links.
_LINK, _PUSHED = 1, 4
_STEPS, _RATIO = 2, 1.0  # a contact's time in physics steps, the least that MuJoCo takes, and its damping ratio
_SOLIMP_FLUID, _SOLIMP_DRAG = (0.9, 0.95, 0.001, 0.5, 2.0), (0.99, 0.999, 0.001, 0.5, 2.0)
# Contacts hold from a film around what stands, m: a link that comes at 0.15 m/s is up to 0.3 mm in a post when a
# step first sees it.
_FILM_FLUID, _FILM_DRAG = 2e-4, 5e-4
# MuJoCo computes contact forces from the mass alone, and then divides by mass and drag times the step: where drag is
# all, nothing stops a link. So links in drag weigh as much as makes their time of inertia 20 ms, which changes no gait.
_INERTIA_TIME = 0.02  # s
_STEP_IN_DRAG = 5e-4  # s
# Damping of a joint times the step over the inertia of its link: beyond it, muscles push links through posts.
_MOST_DAMPING = 12.0
_MOST_CONTRAST = 100.0  # of the drag of zones
_EVERYWHERE = [1e3, 1e3, 1e3]  # m: a sensor's box that holds a whole link, however long it is drawn
_GREY = [0.5, 0.5, 0.5, 1.0]
# Pairs of a link and a post that are looked at one by one: beyond as many, MuJoCo's search for near ones is faster.
_MOST_PAIRS = 240
# Pairs beyond one for each link, where `Nearby` chooses them; each costs 9 ns in each physics step.
_SPARE_SLOTS = 2
SLOT = "near_{}"
TOUCH = "touch_{}"  # the touch sensor of each link
POST, LATTICE = "post_{}", "lattice"
_SLIDES = ("{}_x", "{}_y")  # the joints of a post that can be pushed
PENETRATION = "penetration"


def add_stands(
    spec: mujoco.MjSpec, body: Resisted, stands: Stands, media: Sequence[Medium], solid: bool, visual: bool
) -> None:
    """Add posts and walls to a world with a body in it, and let them touch.

    Args:
        spec: the world.
        body: the body.
        stands: what stands around it.
        media: the medium, and those of zones.
        solid: let them touch.
        visual: add what is for rendering alone.

    Raises:
        InvalidArena: contacts cannot hold this body, or something stands where it starts.
    """
    if body.parts.plane != (0, 1):
        raise InvalidArena(f"posts stand in the plane of x and y, and {body.name} moves in another; turn its model")
    # Of several media the mean, by logarithm: in the thinnest, links are then at most ten times as heavy as need be.
    across = float(np.exp(np.mean([np.log(each.across) for each in media if isinstance(each, Drag)] or [-np.inf])))
    shells = _shells(spec, body) if solid else []
    if solid:
        _weigh(spec, body, across)
    model = spec.copy().compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    _check_start(body, stands, data.joint(body.parts.turn).xanchor[:2])
    height = float(data.site(body.parts.frames[0]).xpos[2])
    if solid:
        _check_damping(body, model)
    names = _add_geoms(spec, stands, height, across, visual)
    if not solid:
        return
    spec.option.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    solref = [_STEPS * spec.option.timestep, _RATIO]
    solimp, film = list(_SOLIMP_DRAG if across else _SOLIMP_FLUID), _FILM_DRAG if across else _FILM_FLUID
    pairs = [] if stands.mass.any() else [(shell, stand) for stand in names for shell in shells]
    # In a fluid, a swimmer's links get no further in a control step than their speed and their motors say, so that a
    # batch can choose what is near once for all physics steps of it.
    is_chosen = bool(pairs and body.parts.shells and not across)
    if is_chosen:
        # One body among what stands still is one island; to look for others takes 3 % of the time.
        spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ISLAND)
        pairs = pairs[: len(shells) + _SPARE_SLOTS]
    elif len(pairs) > _MOST_PAIRS:
        pairs = []
    for index, (shell, stand) in enumerate(pairs):
        name = SLOT.format(index) if is_chosen else f"{stand}_{shell}"
        spec.add_pair(name=name, geomname1=shell, geomname2=stand, condim=1, solref=solref, solimp=solimp, margin=film)
    if is_chosen or not pairs:
        for geom in spec.geoms:
            if geom.name in shells:
                geom.conaffinity |= _LINK
            elif geom.name in names:
                is_pushed = stands.mass[names.index(geom.name)] > 0
                geom.contype, geom.conaffinity = _LINK | _PUSHED, _PUSHED if is_pushed else 0
                # Otherwise a contact has the mean of this and of the link's own.
                geom.priority, geom.condim, geom.solref, geom.solimp, geom.margin = 1, 1, solref, solimp, film
    _add_sensors(spec, body)


def _add_geoms(spec: mujoco.MjSpec, stands: Stands, height: float, across: float, visual: bool) -> list[str]:
    """Add what stands, without contacts, and return the names of its geoms."""
    names, world = [], spec.worldbody
    lattice = world.add_body(name=LATTICE, pos=[0, 0, height], mocap=True) if stands.n_cell else None
    for index, ((x, y, heading), half, radius, mass) in enumerate(
        zip(stands.places, stands.half, stands.radius, stands.mass, strict=True)
    ):
        names.append(name := POST.format(index))
        host, pos = world, [x, y, height]
        if mass:
            host, pos = world.add_body(name=name, pos=pos), [0, 0, 0]
            for axis, label in zip(([1, 0, 0], [0, 1, 0]), _SLIDES, strict=True):
                joint = host.add_joint(name=label.format(name), type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
                # As a link as long as the post is wide, moved across.
                joint.damping[0] = across * 2 * radius
        elif index >= stands.n_own:
            assert lattice is not None
            host, pos = lattice, [x, y, 0]
        weight = mass and max(mass, _INERTIA_TIME * across * 2 * radius)
        common = {"contype": 0, "conaffinity": 0, "pos": pos, "rgba": _GREY}
        if half:
            quat = [math.cos(heading / 2), 0.0, 0.0, math.sin(heading / 2)]
            size = [half, radius, 2 * radius]
            host.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_BOX, size=size, quat=quat, mass=0, **common)
            continue
        # In the plane a sphere touches as a cylinder does.
        host.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[radius, 0, 0], mass=weight, **common)
        if visual:
            size = [radius, 0.5 * radius, 0]
            host.add_geom(type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=size, mass=0, **common)
    return names


def post_joints(model: mujoco.MjModel, index: int) -> list[Any]:
    """Return the joints along which a post was pushed from its place; none where it stands."""
    names = [label.format(POST.format(index)) for label in _SLIDES]
    kind = mujoco.mjtObj.mjOBJ_JOINT
    return [model.joint(name) for name in names if mujoco.mj_name2id(model, kind, name) >= 0]


def check_media(media: Sequence[Medium]) -> None:
    """Refuse media beside posts whose drag differs too much for one numerical mass.

    Raises:
        InvalidArena: the drag of two media differs by more than a factor of 100.
    """
    across = [each.across for each in media if isinstance(each, Drag)]
    if across and max(across) > _MOST_CONTRAST * min(across) * (1 + 1e-9):
        raise InvalidArena(
            f"drag goes from {min(across):g} to {max(across):g} N s/m^2 in zones with posts, whose contacts hold up to "
            f"{_MOST_CONTRAST:g} times; give media that are closer, or solid=false"
        )


def _shells(spec: mujoco.MjSpec, body: Resisted) -> list[str]:
    """Return the names of the geoms that are to touch what stands; the others of a swimmer touch nothing.

    Raises:
        InvalidArena: a user's body, of which none touches anything.
    """
    own = spec.body(body.parts.root_body).find_all("geom")
    if shells := list(body.parts.shells):
        for geom in own:
            geom.contype = geom.conaffinity = 0
        return shells
    touching = [geom for geom in own if geom.contype or geom.conaffinity]
    if not touching or spec.option.disableflags & mujoco.mjtDisableBit.mjDSBL_CONTACT:
        raise InvalidArena(f"no geom of {body.name} touches anything; give its links contype and conaffinity 1")
    for index, geom in enumerate(touching):
        geom.name = geom.name or f"shell_{index}"
    return [geom.name for geom in touching]


def _weigh(spec: mujoco.MjSpec, body: Resisted, across: float) -> None:
    """Give the links of a body in drag the mass that contacts need."""
    if not across:
        return
    spec.option.timestep = min(spec.option.timestep, _STEP_IN_DRAG)
    model = spec.copy().compile()
    for link, length in zip(body.parts.links, body.link_sizes[0], strict=True):
        factor = max(1.0, _INERTIA_TIME * across * length / float(model.body(link).mass[0]))
        part = spec.body(link)
        part.mass, part.inertia = factor * part.mass, [factor * value for value in part.inertia]
        for geom in part.geoms:
            geom.mass, geom.density = factor * geom.mass, factor * geom.density


def _check_damping(body: Resisted, model: mujoco.MjModel) -> None:
    lengths = body.link_sizes[0][1:]
    joints = [model.joint(name) for name in body.parts.joints]
    damping = np.array([float(joint.damping[0]) for joint in joints])
    masses = np.array([float(model.body(name).mass[0]) for name in body.parts.links[1:]])
    worst = float((damping * model.opt.timestep / (masses * lengths**2 / 3)).max())
    if worst > _MOST_DAMPING:
        raise InvalidArena(
            f"the joints of {body.name} are too stiff for posts in this medium, which they would go through: choose "
            f"one {worst / _MOST_DAMPING:.2g} times as thick, a plain swimmer, or solid=false"
        )


def _check_start(body: Resisted, stands: Stands, pivot: Float[np.ndarray, " 2"]) -> None:
    """Refuse what stands on the point around which start poses turn, m: the front end of a swimmer's head."""
    ends, radius = stands.pieces(np.zeros(3))
    head = np.broadcast_to(pivot, (1, 2, 2)), body.link_sizes[1][:1] / 2
    for index, gap in enumerate(gaps(*head, ends[: stands.n_own], radius[: stands.n_own])[0].tolist()):
        if gap < 0:
            x, y, _ = stands.places[index]
            raise InvalidArena(
                f"what stands at ({x:g}, {y:g}) m is in the place where the head of {body.name} starts, "
                f"({pivot[0]:g}, {pivot[1]:g}); move it {-gap:.2g} m or more"
            )


def _add_sensors(spec: mujoco.MjSpec, body: Resisted) -> None:
    kinds, site = mujoco.mjtSensor, mujoco.mjtObj.mjOBJ_SITE
    # As many samples as a control step has physics steps, so that nothing between two control steps is missed.
    samples = max(1, round(body.control_dt / spec.option.timestep))
    for index, link in enumerate(body.parts.links):
        name = TOUCH.format(index)
        spec.body(link).add_site(
            name=name, type=mujoco.mjtGeom.mjGEOM_BOX, size=_EVERYWHERE, rgba=[0.0, 0.0, 0.0, 0.0], group=5
        )
        spec.add_sensor(name=name, type=kinds.mjSENS_TOUCH, objtype=site, objname=name, nsample=samples)
    least = 1 << int(mujoco.mjtConDataField.mjCONDATA_DIST)
    sensor = spec.add_sensor(
        name=PENETRATION, type=kinds.mjSENS_CONTACT, objtype=mujoco.mjtObj.mjOBJ_XBODY, objname=body.parts.root_body,
        nsample=samples,
    )  # fmt: skip
    sensor.intprm = [least, 1, 1]
