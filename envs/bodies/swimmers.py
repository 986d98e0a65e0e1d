"""Swimmers: planar chains of 3 to 100 links with a motor at every joint.

The default body is dm_control's swimmer (Tassa et al. 2018, https://arxiv.org/abs/1801.00690), number
for number; variants change one thing about it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from ...errors import InvalidBody
from ...options import Instance, ListOf, Number, wrong_value
from ..arenas.media import WATER, Drag, Fluid
from .body import Body, Parts
from .sensors import add_sensors

MIN_LINKS, MAX_LINKS = 3, 100
_FIELDS = {
    "name": Instance(str, "text"),
    "n_links": Number(MIN_LINKS, MAX_LINKS, is_whole=True),
    "link_length": Number(0, above=True),
    "link_mass": Number(0, above=True),
    "gear": Number(0),
    "joint_range": Number(0, math.pi, above=True, also=(None,)),
    "range_bias": Number(0, 1),
    "habitat": Instance((Fluid, Drag), "a Fluid(density=..., viscosity=...) or a Drag(across=..., ratio=...)"),
    "taper": Number(0, 1),
    "lesioned": ListOf(Number(0, is_whole=True), "[2,3]"),
    "control_dt": Number(0, above=True),
}


@dataclasses.dataclass(frozen=True)
class Swimmer(Body):
    """A chain of equal links that swims in the plane.

    Links are numbered from the head (0) to the tail; joint i sits between links i and i + 1.

    Attributes:
        name: its name on the command line and in tables.
        n_links: number of links; n_links - 1 joints.
        link_length: length of each link, m.
        link_mass: mass of the head link, kg; that of the other links follows from `taper`.
        gear: torque of a motor at full command, N m.
        joint_range: largest joint angle to either side, rad; None is dm_control's 2 pi / n_links.
        range_bias: shifts the joint range to -(1 - bias) .. +(1 + bias) times `joint_range`.
        habitat: the body's own medium, used in an arena without one.
        taper: mass and height of the links decrease linearly, to (1 - taper) of the head's at the tail.
        lesioned: joints without a working motor.
        control_dt: seconds per control step.

    Raises:
        InvalidBody: a field is out of range.
    """

    name: str = "swimmer6"
    n_links: int = 6
    link_length: float = 0.1
    link_mass: float = 0.01
    gear: float = 5e-4
    joint_range: float | None = None
    range_bias: float = 0.0
    habitat: Fluid | Drag = WATER
    taper: float = 0.0
    lesioned: tuple[int, ...] = ()
    control_dt: float = 0.03

    def __post_init__(self) -> None:
        if isinstance(self.lesioned, list):
            object.__setattr__(self, "lesioned", tuple(self.lesioned))
        if wrong := wrong_value(vars(self), _FIELDS):
            raise InvalidBody(f"{self.name}: {wrong}")
        for field in ("taper", "range_bias"):
            if getattr(self, field) == 1:
                raise InvalidBody(f"{self.name}: {field} is 1; give a number from 0 to below 1")
        if bad := [joint for joint in self.lesioned if not 0 <= joint < self.n_joints]:
            raise InvalidBody(f"{self.name}: lesioned joint {bad[0]}; joints are 0 to {self.n_joints - 1}")

    @property
    def n_joints(self) -> int:
        """The number of joints, which is the number of motors."""
        return self.n_links - 1

    @property
    def parts(self) -> Parts:
        """The names of its parts."""
        joints = range(self.n_joints)
        return Parts(
            root_body="head",
            slides=("rootx", "rooty"),
            turn="rootz",
            joints=tuple(f"joint_{joint}" for joint in joints),
            links=("head", *(f"segment_{joint}" for joint in joints)),
            frames=tuple(f"link_{link}" for link in range(self.n_links)),
            nose="nose",
            motors=tuple(f"motor_{joint}" for joint in joints),
            shells=tuple(f"visual_{link}" for link in range(self.n_links)),
        )

    @property
    def link_sizes(self) -> Float[np.ndarray, "2 links"]:
        """Length and width of each link, m."""
        share = 1 - self.taper * np.arange(self.n_links) / (self.n_links - 1)
        return np.stack([np.full(self.n_links, self.link_length), 0.02 * share])

    def to_json(self) -> dict[str, Any]:
        """Return every field as JSON types, and `kind`."""
        return {"kind": "swimmer", **dataclasses.asdict(self)}

    def add_to(self, spec: mujoco.MjSpec, prefix: str = "") -> None:
        """Add the chain to a world; see `Body.add_to`."""
        spec.compiler.degree = True
        spec.option.timestep = 0.002
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
        half = self.link_length / 2
        parent = spec.worldbody.add_body(name=f"{prefix}head", pos=[0, 0, 0.05])
        front = [0, -half, 0]
        for name, kind, axis in (
            ("rootx", mujoco.mjtJoint.mjJNT_SLIDE, [1, 0, 0]),
            ("rooty", mujoco.mjtJoint.mjJNT_SLIDE, [0, 1, 0]),
            ("rootz", mujoco.mjtJoint.mjJNT_HINGE, [0, 0, 1]),
        ):
            parent.add_joint(name=f"{prefix}{name}", type=kind, axis=axis, pos=front)
        _add_head(parent, half, prefix)
        # dm_control writes the range in degrees; converting as its compiler does gives the same bits.
        limit = 360.0 / self.n_links if self.joint_range is None else math.degrees(self.joint_range)
        for link in range(self.n_links):
            self._add_link(parent, link, half, prefix)
            if link == self.n_links - 1:
                break
            parent = parent.add_body(name=f"{prefix}segment_{link}", pos=[0, self.link_length, 0])
            parent.add_joint(
                name=f"{prefix}joint_{link}",
                type=mujoco.mjtJoint.mjJNT_HINGE,
                axis=[0, 0, 1],
                pos=front,
                limited=mujoco.mjtLimited.mjLIMITED_TRUE,
                range=[-limit * (1 - self.range_bias), limit * (1 + self.range_bias)],
                solref_limit=[0.05, 1],
                solimp_limit=[0, 0.8, 0.1, 0.5, 2],
                armature=1e-6,
            )
            motor = spec.add_actuator(
                name=f"{prefix}motor_{link}",
                target=f"{prefix}joint_{link}",
                trntype=mujoco.mjtTrn.mjTRN_JOINT,
                ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
                ctrlrange=[-1, 1],
            )
            motor.gear[0] = 0.0 if link in self.lesioned else self.gear
        nose, head = (mujoco.mjtObj.mjOBJ_GEOM, f"{prefix}nose"), (mujoco.mjtObj.mjOBJ_XBODY, f"{prefix}head")
        add_sensors(spec, nose, head, self.parts.frames, prefix)

    def _add_link(self, body: mujoco.MjsBody, link: int, half: float, prefix: str) -> None:
        share = 1 - self.taper * link / (self.n_links - 1)
        body.add_geom(
            name=f"{prefix}inertial_{link}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.001, half, 0.01 * share],
            mass=self.link_mass * share,
            rgba=[0, 0, 0, 0],
        )
        body.add_geom(
            name=f"{prefix}visual_{link}",
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            size=[0.01 * share, 0, 0],
            fromto=[0, -half, 0, 0, half, 0],
            mass=0,
            rgba=[0.7, 0.5, 0.3, 1],
        )
        body.add_site(name=f"{prefix}link_{link}", size=[0.01, 0, 0], rgba=[0, 0, 0, 0])


def _add_head(body: mujoco.MjsBody, half: float, prefix: str) -> None:
    """Add the massless head and nose; the nose reaches for targets."""
    scale = half / 0.05
    body.add_geom(
        name=f"{prefix}head",
        type=mujoco.mjtGeom.mjGEOM_ELLIPSOID,
        size=[0.02, 0.04, 0.017],
        pos=[0, -0.022 * scale, 0],
        mass=0,
        rgba=[0.7, 0.5, 0.3, 1],
    )
    body.add_geom(
        name=f"{prefix}nose",
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[0.004, 0, 0],
        pos=[0, -0.06 * scale, 0],
        mass=0,
        rgba=[0.7, 0.4, 0.2, 1],
    )


def swimmer(n_links: int) -> Swimmer:
    """Return dm_control's swimmer with `n_links` links."""
    return Swimmer(name=f"swimmer{n_links}", n_links=n_links)


# Each variant changes one thing, by a factor large enough to matter to a controller.
VARIANTS: Mapping[str, tuple[str, Callable[[Swimmer], dict[str, Any]]]] = {
    "heavy": ("links of twice the mass", lambda body: {"link_mass": 2 * body.link_mass}),
    "light": ("links of half the mass", lambda body: {"link_mass": 0.5 * body.link_mass}),
    "long": ("links half as long again", lambda body: {"link_length": 1.5 * body.link_length}),
    "eel": ("mass and height taper to 30 % at the tail", lambda _: {"taper": 0.7}),
    "strong": ("motors of twice the torque", lambda body: {"gear": 2 * body.gear}),
    "weak": ("motors of half the torque", lambda body: {"gear": 0.5 * body.gear}),
    "thick": ("a viscous fluid, 0.1 Pa s", lambda _: {"habitat": dataclasses.replace(WATER, viscosity=0.1)}),
    "thin": (
        "a fluid of half the density",
        lambda _: {"habitat": dataclasses.replace(WATER, density=0.5 * WATER.density)},
    ),
    "lesioned": ("the motor of the middle joint cut", lambda body: {"lesioned": (body.n_joints // 2,)}),
    "asymmetric": ("joints bend further to one side", lambda _: {"range_bias": 0.3}),
}
