"""Bodies: planar chains of links with a motor at every joint, from 3 links to 100, or from XML.

The default body is dm_control's swimmer (Tassa et al. 2018, https://arxiv.org/abs/1801.00690), number
for number; variants change one thing about it.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import mujoco

from ...errors import InvalidBody, UnknownName
from ...registry import Registry
from .chain import add_sensors, check_chain, scale_spec

MIN_LINKS, MAX_LINKS = 3, 100


@dataclasses.dataclass(frozen=True)
class Body:
    """A swimming body; compiles to a `mujoco.MjModel`.

    Links are numbered from the head (0) to the tail; joint i sits between links i and i + 1.

    Attributes:
        name: how the command line and the tables call it.
        n_links: number of links; n_links - 1 joints.
        link_length: length of each link, m.
        link_mass: mass of the head's link, kg (the others follow the taper).
        gear: torque of a motor at full command, N m.
        joint_range: how far a joint bends either way, rad; None is dm_control's 2 pi / n_links.
        range_bias: shifts the joint range: joints bend to -(1 - bias) and +(1 + bias) of it.
        density: density of the fluid, kg/m^3.
        viscosity: dynamic viscosity of the fluid, Pa s.
        taper: mass and height of the links fall linearly to (1 - taper) of the head's at the tail.
        lesioned: joints whose motor is cut.
        control_dt: seconds per control step.
        xml: MuJoCo XML of a user's own chain; the shape fields above then only describe it.

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
    density: float = 3000.0
    viscosity: float = 0.0
    taper: float = 0.0
    lesioned: tuple[int, ...] = ()
    control_dt: float = 0.03
    xml: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lesioned", tuple(self.lesioned))
        if self.xml is None and not MIN_LINKS <= self.n_links <= MAX_LINKS:
            raise InvalidBody(f"{self.name}: n_links is {self.n_links}; give {MIN_LINKS} to {MAX_LINKS}")
        for field in ("link_length", "link_mass", "control_dt"):
            if not 0 < getattr(self, field) < math.inf:
                raise InvalidBody(f"{self.name}: {field} is {getattr(self, field)}; give a number above 0")
        for field in ("gear", "density", "viscosity"):
            if not 0 <= getattr(self, field) < math.inf:
                raise InvalidBody(f"{self.name}: {field} is {getattr(self, field)}; give 0 or more")
        if self.joint_range is not None and not 0 < self.joint_range <= math.pi:
            raise InvalidBody(f"{self.name}: joint_range is {self.joint_range} rad; give 0 to pi")
        for field in ("taper", "range_bias"):
            if not 0 <= getattr(self, field) < 1:
                raise InvalidBody(f"{self.name}: {field} is {getattr(self, field)}; give 0 to below 1")
        if bad := [joint for joint in self.lesioned if not 0 <= joint < self.n_joints]:
            raise InvalidBody(f"{self.name}: lesioned joint {bad[0]}; joints are 0 to {self.n_joints - 1}")

    @property
    def n_joints(self) -> int:
        """The number of joints, which is the number of motors."""
        return self.n_links - 1

    @classmethod
    def from_xml(cls, path: str | Path, control_dt: float = 0.03) -> Body:
        """Take a user's own body: a planar chain of hinges with a motor at each.

        The root body is the head, with two slides and a hinge about z; every other body has one hinge
        and at most one child. Control steps last `control_dt` seconds.

        Raises:
            InvalidBody: the file is missing, is no valid MuJoCo XML, or is no such chain.
        """
        path = Path(path)
        try:
            text = path.read_text()
        except OSError as error:
            raise InvalidBody(f"cannot read {path}: {error.strerror}") from error
        return cls.from_xml_text(path.stem, text, control_dt)

    @classmethod
    def from_xml_text(cls, name: str, text: str, control_dt: float = 0.03) -> Body:
        """Take a user's own body from a string of MuJoCo XML; see `from_xml`."""
        facts = check_chain(name, text)
        return cls(name=name, xml=text, control_dt=control_dt, **facts)

    def compile(self, visual: bool = False, **scales: float) -> mujoco.MjModel:
        """Build the MuJoCo model.

        Args:
            visual: add light, colours and a floor for rendering; the physics does not change.
            scales: factors on `link_mass`, `link_length`, `gear`, `density`, and the absolute
                `viscosity` (Pa s); what body randomisation draws.
        """
        spec = mujoco.MjSpec.from_string(self.xml) if self.xml else self._spec()
        if visual:
            _dress(spec)
        for joint in self.lesioned if self.xml else ():
            spec.actuators[joint].gear[0] = 0.0
        add_sensors(spec, standard=self.xml is None)
        if scales:
            scale_spec(spec, scales)
        return spec.compile()

    def to_json(self) -> dict[str, Any]:
        """Return every field, as JSON types."""
        return dataclasses.asdict(self)

    def _spec(self) -> mujoco.MjSpec:
        spec = mujoco.MjSpec()
        spec.compiler.degree = True
        spec.option.timestep = 0.002
        spec.option.density, spec.option.viscosity = self.density, self.viscosity
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
        half = self.link_length / 2
        parent = spec.worldbody.add_body(name="head", pos=[0, 0, 0.05])
        front = [0, -half, 0]
        for name, kind, axis in (
            ("rootx", mujoco.mjtJoint.mjJNT_SLIDE, [1, 0, 0]),
            ("rooty", mujoco.mjtJoint.mjJNT_SLIDE, [0, 1, 0]),
            ("rootz", mujoco.mjtJoint.mjJNT_HINGE, [0, 0, 1]),
        ):
            parent.add_joint(name=name, type=kind, axis=axis, pos=front)
        _add_head(parent, half)
        # dm_control writes the range in degrees; converting as its compiler does keeps every bit.
        limit = 360.0 / self.n_links if self.joint_range is None else math.degrees(self.joint_range)
        for link in range(self.n_links):
            self._add_link(parent, link, half)
            if link == self.n_links - 1:
                break
            parent = parent.add_body(name=f"segment_{link}", pos=[0, self.link_length, 0])
            parent.add_joint(
                name=f"joint_{link}",
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
                name=f"motor_{link}",
                target=f"joint_{link}",
                trntype=mujoco.mjtTrn.mjTRN_JOINT,
                ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
                ctrlrange=[-1, 1],
            )
            motor.gear[0] = 0.0 if link in self.lesioned else self.gear
        return spec

    def _add_link(self, body: mujoco.MjsBody, link: int, half: float) -> None:
        share = 1 - self.taper * link / (self.n_links - 1)
        body.add_geom(
            name=f"inertial_{link}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.001, half, 0.01 * share],
            mass=self.link_mass * share,
            rgba=[0, 0, 0, 0],
        )
        body.add_geom(
            name=f"visual_{link}",
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            size=[0.01 * share, 0, 0],
            fromto=[0, -half, 0, 0, half, 0],
            mass=0,
            rgba=[0.7, 0.5, 0.3, 1],
        )
        body.add_site(name=f"link_{link}", size=[0.01, 0, 0], rgba=[0, 0, 0, 0])


def _add_head(body: mujoco.MjsBody, half: float) -> None:
    """Add the massless head and nose; the nose is what reaches for a target."""
    scale = half / 0.05
    body.add_geom(
        name="head",
        type=mujoco.mjtGeom.mjGEOM_ELLIPSOID,
        size=[0.02, 0.04, 0.017],
        pos=[0, -0.022 * scale, 0],
        mass=0,
        rgba=[0.7, 0.5, 0.3, 1],
    )
    body.add_geom(
        name="nose",
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[0.004, 0, 0],
        pos=[0, -0.06 * scale, 0],
        mass=0,
        rgba=[0.7, 0.4, 0.2, 1],
    )


def _dress(spec: mujoco.MjSpec) -> None:
    """Add a lit, chequered floor that shows motion."""
    spec.visual.headlight.ambient = [0.5, 0.5, 0.5]
    spec.add_texture(
        name="floor_texture",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.10, 0.20, 0.30],
        rgb2=[0.14, 0.25, 0.36],
        width=300,
        height=300,
    )
    material = spec.add_material(name="floor_material", texrepeat=[2, 2], texuniform=True)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor_texture"
    if not any(geom.type == mujoco.mjtGeom.mjGEOM_PLANE for geom in spec.worldbody.geoms):
        spec.worldbody.add_geom(
            name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.1], material="floor_material"
        )


def swimmer(n_links: int) -> Body:
    """Return dm_control's swimmer with `n_links` links."""
    return Body(name=f"swimmer{n_links}", n_links=n_links)


# Each variant changes one thing, by a factor large enough to matter to a controller.
VARIANTS: Mapping[str, tuple[str, Callable[[Body], dict[str, Any]]]] = {
    "heavy": ("links of twice the mass", lambda body: {"link_mass": 2 * body.link_mass}),
    "light": ("links of half the mass", lambda body: {"link_mass": 0.5 * body.link_mass}),
    "long": ("links half as long again", lambda body: {"link_length": 1.5 * body.link_length}),
    "eel": ("mass and height taper to 30 % at the tail", lambda _: {"taper": 0.7}),
    "strong": ("motors of twice the torque", lambda body: {"gear": 2 * body.gear}),
    "weak": ("motors of half the torque", lambda body: {"gear": 0.5 * body.gear}),
    "thick": ("a viscous fluid, 0.1 Pa s", lambda _: {"viscosity": 0.1}),
    "thin": ("a fluid of half the density", lambda body: {"density": 0.5 * body.density}),
    "lesioned": ("the motor of the middle joint cut", lambda body: {"lesioned": (body.n_joints // 2,)}),
    "asymmetric": ("joints bend further to one side", lambda _: {"range_bias": 0.3}),
}

_LISTED_SIZES = (3, 4, 6, 8, 10, 12, 15, 20, 24)
_registered: Registry[Callable[[], Body]] = Registry("nervecord.bodies")


def register_body(name: str, make: Callable[[], Body]) -> None:
    """Add a body under `name`, for every command and environment to find."""
    _registered[name] = make


def body_names() -> Iterator[str]:
    """Name the bodies worth listing; `swimmerN` goes to 100 and every variant takes any N."""
    yield from (f"swimmer{n}" for n in _LISTED_SIZES)
    yield from (f"swimmer6-{variant}" for variant in VARIANTS)
    yield from _registered


def make_body(body: str | Body) -> Body:
    """Return the body of that name: `swimmerN`, `swimmerN-VARIANT`, a registered one, or an XML file.

    Raises:
        UnknownName: no such body.
        InvalidBody: a number of links that no swimmer has, or XML that is no chain of hinges.
    """
    if isinstance(body, Body):
        return body
    if body in _registered:
        return _registered[body]()
    if body.endswith(".xml"):
        return Body.from_xml(body)
    if match := re.fullmatch(r"swimmer(\d+)(?:-(\w+))?", body):
        base, variant = swimmer(int(match[1])), match[2]
        if variant is None:
            return base
        if variant in VARIANTS:
            return dataclasses.replace(base, name=body, **VARIANTS[variant][1](base))
    raise UnknownName("body", body, body_names())


def _gymnasium_swimmer() -> Body:
    # Importing gymnasium.envs.mujoco needs its rendering extras; the XML alone does not.
    xml = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "swimmer.xml"
    return Body.from_xml_text("gymnasium-swimmer", xml.read_text(), control_dt=0.04)


register_body("gymnasium-swimmer", _gymnasium_swimmer)
