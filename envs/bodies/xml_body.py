"""Bodies from a user's MuJoCo XML: planar trees of hinges, each with a motor."""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from ...errors import InvalidBody
from ...options import Number, wrong_value
from ..arenas.media import Fluid
from .body import Body, Parts
from .flat_xml import flatten, one_line, parse, quiet, read_text
from .sensors import add_sensors
from .xml_frames import add_frames
from .xml_motors import command_of_action, find_motors
from .xml_spec import attach_bare, compile_spec, copy_settings, fix_masses, free_name, give_names, public_fields, strip

_HINGE, _SLIDE = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE
_ALIGNED = 1 - 1e-9


@dataclasses.dataclass(frozen=True)
class XmlBody(Body):
    """A body read from a user's MuJoCo XML.

    The XML must have one moving tree. Its root has two slide joints along axes of the world, then a hinge about the
    third axis. Every other body has no joint, or one limited hinge parallel to the root's, with one motor. Objects that
    do not move (floors, obstacles, mocap markers) may be anywhere.

    Whatever the signs of axes and gears, angles are reported counter-clockwise in the plane, and actions are in units
    of the motor's range (for a servo, the range of its set-points).

    Attributes:
        name: its name on the command line and in tables.
        xml: MuJoCo XML without references to other files; `from_file` and `from_text` insert the content of such files.
        control_dt: seconds per control step.

    Raises:
        InvalidBody: `control_dt` is not a number above 0; on first use, the XML is not a body as described above.
    """

    name: str
    xml: str
    control_dt: float = 0.03

    def __post_init__(self) -> None:
        if not isinstance(self.xml, str):
            raise InvalidBody(f"{self.name}: xml is {type(self.xml).__name__}; give the text of an XML file")
        if wrong := wrong_value(vars(self), {"control_dt": Number(0, above=True)}):
            raise InvalidBody(f"{self.name}: {wrong}")

    @classmethod
    def from_file(cls, path: str | Path, control_dt: float = 0.03) -> XmlBody:
        """Read a body from a file with any suffix, in the encoding that the XML declares.

        Raises:
            InvalidBody: the file or a file that it refers to cannot be read, or the XML is not a planar body.
        """
        try:
            path = Path(path).expanduser()
        except RuntimeError as error:
            raise InvalidBody(f"cannot read {path}: {one_line(error)}") from error
        return cls.from_text(path.stem, read_text(path), control_dt, path.parent)

    @classmethod
    def from_text(cls, name: str, text: str, control_dt: float = 0.03, folder: Path | None = None) -> XmlBody:
        """Make a body from a string of XML; files that it refers to are read from `folder`.

        Raises:
            InvalidBody: see `from_file`; or the XML refers to a file and no `folder` is given.
        """
        body = cls(name, text if folder is None else flatten(name, text, Path(folder)), control_dt)
        _ = body.parts
        return body

    @property
    def parts(self) -> Parts:
        """The names, signs and ranges of the body's parts."""
        return self._facts[0]

    @property
    def habitat(self) -> Fluid:
        """The fluid that the XML was written for."""
        return Fluid(*self._facts[1])

    def to_json(self) -> dict[str, Any]:
        """Return every field as JSON types, and `kind`."""
        return {"kind": "xml", **dataclasses.asdict(self)}

    @property
    def n_links(self) -> int:
        """The number of links."""
        return len(self.parts.links)

    @property
    def n_joints(self) -> int:
        """The number of joints, which is the number of motors."""
        return len(self.parts.joints)

    def add_to(self, spec: mujoco.MjSpec, prefix: str = "") -> None:
        """Add the body and its surroundings to a world, with the sensors that the senses need.

        The XML's simulation options replace those of the world. Its own sensors and keyframes are not copied.

        Raises:
            InvalidBody: the XML is not a planar body.
        """
        child, _, _ = _build(self.name, self.xml)
        copy_settings(spec, child)
        with quiet():
            # Paths of tendons cannot be renamed, so bodies with tendons keep MuJoCo's warning of an empty prefix.
            if prefix or child.tendons:
                spec.attach(child, prefix=prefix, frame=spec.worldbody.add_frame())
            else:
                attach_bare(spec, child)

    @functools.cached_property
    def _facts(self) -> tuple[Parts, tuple[float, float]]:
        _, parts, model = _build(self.name, self.xml)
        return parts, (float(model.opt.density), float(model.opt.viscosity))


def _build(name: str, xml: str) -> tuple[mujoco.MjSpec, Parts, mujoco.MjModel]:
    """Return the spec with frames, nose and sensors, the body's parts, and the model compiled without these."""
    spec = parse(name, xml)
    strip(spec)
    give_names(spec)
    model = compile_spec(name, spec)
    _check_numbers(name, model)
    if spec.compiler.settotalmass > 0:
        fix_masses(spec, model)
    root, links = _tree(name, model)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    slides, turn, plane = _root_joints(name, model, data, root)
    joints = [int(model.body_jntadr[link]) for link in links[1:]]
    # Counter-clockwise means from the plane's first axis to its second; in the xz plane, that is a turn about -y.
    normal = np.cross(np.eye(3)[plane[0]], np.eye(3)[plane[1]])
    turns = [float(data.xaxis[joint] @ normal) for joint in [turn, *joints]]
    for joint, turned in zip(joints, turns[1:], strict=True):
        if abs(turned) < _ALIGNED:
            raise InvalidBody(
                f"{name}: hinge {model.joint(joint).name!r} turns about {_words(data.xaxis[joint])} and the root about "
                f"{_words(data.xaxis[turn])}; give every hinge the axis of the root's"
            )
        if not model.jnt_limited[joint]:
            raise InvalidBody(
                f"{name}: joint {model.joint(joint).name!r} has no limits; circuits sense angles relative to these; "
                'give each hinge a range, such as range="-60 60" limited="true"'
            )
    signs = [1 if turned > 0 else -1 for turned in turns]
    motors = find_motors(name, model, joints)
    commands = [command_of_action(name, model, motor, joint) for motor, joint in zip(motors, joints, strict=True)]
    parents = [_moving_parent(model, link) for link in links[1:]]
    is_chain = parents == links[:-1]
    taken = {site.name for site in spec.sites}
    frames = tuple(free_name(f"link_{index}", taken) for index in range(len(links)))
    nose = free_name("nose", taken)
    add_frames(spec, model, data, links, plane, is_chain, frames, nose)
    site = mujoco.mjtObj.mjOBJ_SITE
    add_sensors(spec, (site, nose), (site, frames[0]), frames)
    gravity = model.opt.gravity[list(plane)].any() and not model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_GRAVITY
    parts = Parts(
        root_body=model.body(root).name,
        slides=(model.joint(slides[0]).name, model.joint(slides[1]).name),
        turn=model.joint(turn).name,
        joints=tuple(model.joint(joint).name for joint in joints),
        links=tuple(model.body(link).name for link in links),
        frames=frames,
        nose=nose,
        motors=tuple(model.actuator(motor).name for motor in motors),
        plane=plane,
        turn_sign=signs[0],
        slide_signs=(_sign(data.xaxis[slides[0]][plane[0]]), _sign(data.xaxis[slides[1]][plane[1]])),
        joint_signs=tuple(signs[1:]),
        action_scale=tuple(sign * scale for sign, (_, scale) in zip(signs[1:], commands, strict=True)),
        action_offset=tuple(offset for offset, _ in commands),
        is_chain=is_chain,
        is_upright=bool(gravity),
    )
    return spec, parts, model


def _check_numbers(name: str, model: mujoco.MjModel) -> None:
    step = float(model.opt.timestep)
    if not 0 < step < math.inf:
        raise InvalidBody(f'{name}: timestep is {step:g} s; give <option timestep="0.002"/> or another above 0')
    # Fields that a user writes (gears, masses) are checked before the constants that MuJoCo derives from them.
    fields = sorted(public_fields(model), key=lambda field: field not in ("actuator_gear", "geom_size", "body_mass"))
    for holder, names in ((model.opt, public_fields(model.opt)), (model, fields)):
        for field in names:
            value = getattr(holder, field)
            if isinstance(value, (float, np.ndarray)) and not np.isfinite(value).all():
                raise InvalidBody(f"{name}: {field} is not finite in the compiled XML; give finite numbers")


def _tree(name: str, model: mujoco.MjModel) -> tuple[int, list[int]]:
    """Return the root and every moving body, in MuJoCo's order (depth first)."""
    moving = [int(body) for body in np.flatnonzero(model.body_jntnum)]
    roots = [body for body in moving if _moving_parent(model, body) == 0]
    if len(roots) != 1:
        raise InvalidBody(f"{name}: {len(roots)} moving bodies in the world; give one, the root of a tree of hinges")
    for body in moving[1:]:
        kinds = _kinds(model, body)
        if kinds != [_HINGE]:
            words = ", ".join(kind.name[6:].lower() for kind in kinds)
            raise InvalidBody(
                f"{name}: body {model.body(body).name!r} has {len(kinds)} joints ({words}); give one hinge, or none"
            )
    if len(moving) < 2:
        raise InvalidBody(
            f"{name}: the body has no joints but the root's; give at least two links with a hinge between"
        )
    return roots[0], moving


def _root_joints(
    name: str, model: mujoco.MjModel, data: mujoco.MjData, root: int
) -> tuple[tuple[int, int], int, tuple[int, int]]:
    """Return the slides along the plane's axes, the hinge, and the plane."""
    kinds = _kinds(model, root)
    right = "give two slides along axes of the world, then a hinge about the third"
    words = ", ".join(kind.name[6:].lower() for kind in kinds)
    if (len(kinds), kinds.count(_SLIDE), kinds.count(_HINGE)) != (3, 2, 1):
        raise InvalidBody(f"{name}: the joints of the root {model.body(root).name!r} are {words}; {right}")
    if kinds[-1] != _HINGE:
        raise InvalidBody(
            f"{name}: the joints of the root are {words}, and a slide behind a hinge turns with it; {right}"
        )
    first = int(model.body_jntadr[root])
    axes = []
    for joint in range(first, first + 3):
        axis = int(np.argmax(np.abs(data.xaxis[joint])))
        if abs(data.xaxis[joint][axis]) < _ALIGNED:
            label, found = model.joint(joint).name, _words(data.xaxis[joint])
            raise InvalidBody(f"{name}: root joint {label!r} has the axis {found} in the world; {right}")
        axes.append(axis)
    if len(set(axes)) != 3:
        found = ", ".join("xyz"[axis] for axis in axes)
        raise InvalidBody(f"{name}: the root's axes are {found} in the world; {right}")
    one, two = sorted([(axes[0], first), (axes[1], first + 1)])
    return (one[1], two[1]), first + 2, (one[0], two[0])


def _moving_parent(model: mujoco.MjModel, body: int) -> int:
    parent = int(model.body_parentid[body])
    while parent and not model.body_jntnum[parent]:
        parent = int(model.body_parentid[parent])
    return parent


def _kinds(model: mujoco.MjModel, body: int) -> list[mujoco.mjtJoint]:
    first = int(model.body_jntadr[body])
    return [mujoco.mjtJoint(int(kind)) for kind in model.jnt_type[first : first + int(model.body_jntnum[body])]]


def _sign(value: float) -> int:
    return 1 if value > 0 else -1


def _words(axis: np.ndarray) -> str:
    return " ".join(f"{value + 0.0:.3g}" for value in axis)
