"""`Body`, the base of all bodies: named parts, added to a MuJoCo world."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from ...errors import InvalidBody
from ..arenas.arena import Arena
from ..arenas.media import Medium


@dataclasses.dataclass(frozen=True)
class Parts:
    """The names of a body's parts in a compiled model, and how their signs and units map to ours.

    A body moves in a plane: two slides and a hinge carry its root, and every other link hangs on one hinge.

    Attributes:
        root_body: the first body of the moving tree.
        slides: root joints along the first and the second axis of the plane.
        turn: the root's hinge.
        joints: hinges in the order of links, head to tail for a chain.
        links: bodies, the root first.
        frames: a site at each link's centre of mass; its -y axis points towards the head, its z axis is the
            plane's normal.
        nose: the geom or site that reaches for a target.
        motors: actuators, one for each joint, in the order of `joints`.
        plane: the plane's first and second axis, as world axes.
        turn_sign: +1 where a positive angle of the root's hinge turns from the plane's first axis to its second.
        slide_signs: for each slide, +1 where it runs along its axis, else -1.
        joint_signs: for each joint, +1 or -1: its reported angle is this times MuJoCo's. Empty where all are 1.
        action_scale: factor from an action to the actuator's control; an action of +1 drives the reported angle up
            with the motor's full range. Empty where all are 1.
        action_offset: added to the scaled action. Empty where all are 0.
        is_chain: whether each link has one child at most.
        is_upright: whether gravity acts in the plane, so that episodes start near the reference pose.
        shells: geoms that touch an arena's posts, one for each link. Empty where those do that touch anything at all.
    """

    root_body: str
    slides: tuple[str, str]
    turn: str
    joints: tuple[str, ...]
    links: tuple[str, ...]
    frames: tuple[str, ...]
    nose: str
    motors: tuple[str, ...]
    plane: tuple[int, int] = (0, 1)
    turn_sign: int = 1
    slide_signs: tuple[int, int] = (1, 1)
    joint_signs: tuple[int, ...] = ()
    action_scale: tuple[float, ...] = ()
    action_offset: tuple[float, ...] = ()
    is_chain: bool = True
    is_upright: bool = False
    shells: tuple[str, ...] = ()


class Body(ABC):
    """A planar body of links on hinges, with a motor at every joint; instances are immutable.

    Links are numbered from the head (0); joint i carries link i + 1.

    Attributes:
        name: its name on the command line and in tables.
        control_dt: seconds per control step.
    """

    name: str
    control_dt: float

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG004
        """Refuse `Body` itself: only its subclasses have instances."""
        if cls is Body:
            raise InvalidBody(
                "Body is the base of all bodies; make a Swimmer(name=..., n_links=..., habitat=Fluid(density=..., "
                "viscosity=...)) or XmlBody.from_file(path)"
            )
        return super().__new__(cls)

    @property
    @abstractmethod
    def parts(self) -> Parts:
        """The names of the body's parts."""

    @property
    @abstractmethod
    def habitat(self) -> Medium:
        """The body's own medium, used in an arena without one."""

    @abstractmethod
    def add_to(self, spec: mujoco.MjSpec, prefix: str = "") -> None:
        """Add links, joints, motors, frames and sensors to a world, with a prefix before each name.

        Also set the integrator, time step and contact options that the body needs. The sensors must be the first of
        the model, in this order: `nose_pos`, the head's axes `head_x` and `head_y`, then `velocity_i` and `gyro_i` of
        every frame.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return every field as JSON types, and `kind`."""

    @property
    def n_joints(self) -> int:
        """The number of joints, which is the number of motors."""
        return len(self.parts.joints)

    @property
    def n_links(self) -> int:
        """The number of links."""
        return len(self.parts.links)

    @property
    def link_sizes(self) -> Float[np.ndarray, "2 links"]:
        """Length and width of each link, m, from the model's joints and geoms."""
        return _link_sizes(self)

    def compile(self, visual: bool = False, arena: Arena | None = None) -> mujoco.MjModel:
        """Build the MuJoCo model of the body alone in an arena.

        Args:
            visual: add light, colours and a floor for rendering; the physics does not change.
            arena: the surroundings; by default open space in the body's own medium.
        """
        spec = mujoco.MjSpec()
        self.add_to(spec)
        (arena or Arena()).add_to(spec, self, visual)
        return spec.compile()


@functools.lru_cache(maxsize=256)
def reference_model(body: Body) -> mujoco.MjModel:
    """Return the compiled model of a body in its own medium; shared, so read it only."""
    return body.compile()


def conventions(body: Body, model: mujoco.MjModel) -> tuple[Any, ...]:
    """Return what is read and commanded alike in all environments: signs, scales, and the places of parts."""
    parts, ones = body.parts, (1,) * body.n_joints
    joints = (model.joint(name).id for name in (*parts.slides, parts.turn, *parts.joints))
    motors, links = (model.actuator(name).id for name in parts.motors), (model.body(name).id for name in parts.links)
    return (
        parts.plane, parts.is_chain, parts.is_upright, parts.turn_sign, parts.slide_signs, parts.joint_signs or ones,
        parts.action_scale or ones, parts.action_offset or (0,) * body.n_joints, *joints, *motors, *links,
    )  # fmt: skip


def joint_range(body: Body) -> Float[np.ndarray, "joints 2"]:
    """Return the lowest and the highest angle of each joint, rad, in our signs."""
    model, parts = reference_model(body), body.parts
    limits = np.array([model.joint(name).range for name in parts.joints])
    is_free = np.array([not model.joint(name).limited[0] for name in parts.joints])
    # An unlimited hinge turns freely; the unit of its angle is half a turn.
    limits[is_free] = (-np.pi, np.pi)
    signs = np.array(parts.joint_signs or (1,) * len(parts.joints))
    limits[signs < 0] = -limits[signs < 0, ::-1]
    return limits


def joint_limit(body: Body) -> Float[np.ndarray, " joints"]:
    """Return half of each joint's range, rad: the unit in which circuits sense joint positions."""
    limits = joint_range(body)
    half: Float[np.ndarray, " joints"] = (limits[:, 1] - limits[:, 0]) / 2
    return half


def _link_sizes(body: Body) -> Float[np.ndarray, "2 links"]:
    model, parts = reference_model(body), body.parts
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    centres = np.array([data.body(name).xipos for name in parts.links])
    anchors = np.array([data.joint(name).xanchor for name in parts.joints])
    # The first joint is the head's neck, and every later link hangs on its own joint.
    ends = np.concatenate([anchors[:1], anchors])
    lengths = 2 * np.linalg.norm(centres - ends, axis=1)
    widths = np.empty(len(parts.links))
    for index, name in enumerate(parts.links):
        link = model.body(name)
        sizes = [model.geom_size[geom] for geom in range(link.geomadr[0], link.geomadr[0] + link.geomnum[0])]
        # The first size is a capsule's radius or, for a box seen from above, the shorter side.
        radii = [size[0] for size in sizes if size[0] > 0.002]
        widths[index] = 2 * max(radii) if radii else 0.2 * lengths[index]
    return np.stack([lengths, np.minimum(widths, lengths)])
