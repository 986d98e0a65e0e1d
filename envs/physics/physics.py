"""`Physics`: one interface to every simulator of bodies."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Int

from ...errors import InvalidArena, InvalidBody, UnknownName
from ..arenas.arena import Arena
from ..arenas.media import Drag, drag_ratio
from ..bodies.body import Body
from .obstacles import Obstacles

# Quantities that can be read, with their shape for each environment and their unit.
QUANTITIES = {
    "joint_pos": ("joints", "rad, head to tail"),
    "joint_vel": ("joints", "rad/s"),
    "heading": ("", "rad: the angle of the root's hinge, from the plane's first axis to its second"),
    "root_vel": ("3", "m/s and rad/s: of the root's slides and hinge"),
    "link_pos": ("links 2", "m: each link's centre of mass in the plane"),
    "link_angle": ("links", "rad: from tail to head, from the plane's first axis to its second"),
    "link_vel": ("links 3", "m/s, m/s, rad/s: in each link's own frame, whose -y axis points to the head"),
    "com_pos": ("2", "m: the body's centre of mass in the plane"),
    "nose_pos": ("2", "m, in the plane"),
    "head_axes": ("2 2", "the head's x and y axis in the plane, no unit"),
    "motor_torque": ("joints", "N m: the motors' torques in the last physics step"),
}
# Parameters that can be set for each environment: factors on the body's own values and on its medium's drag, and the
# absolute viscosity of a fluid and ratio of drag.
PARAMETERS = ("link_mass", "link_length", "gear", "density", "viscosity", "drag", "drag_ratio")


class Physics(ABC):
    """`n_envs` copies of one body in one arena, stepped together.

    Quantities and parameters are read and set by name. `ids` are indices of environments; None means all.

    Attributes:
        dtype: dtype of observations and rewards.
        body: the first of `bodies`.
        bodies: the bodies, assigned to the environments in turn.
        n_envs: number of environments.
        n_threads: number of threads, as given; 0 chooses automatically.
        arena: the bodies' surroundings.
        diverged: which environments became unstable since their last reset; their readings are meaningless.
    """

    dtype: ClassVar[type[np.floating[Any]]] = np.float64
    body: Body
    bodies: tuple[Body, ...]
    n_envs: int
    n_threads: int
    arena: Arena
    _set: dict[str, np.ndarray]
    diverged: Bool[np.ndarray, " envs"]

    @abstractmethod
    def reset(
        self,
        ids: Int[np.ndarray, " some"],
        heading: Float[np.ndarray, " some"],
        joint_pos: Float[np.ndarray, "some joints"],
    ) -> None:
        """Place the bodies of some environments at rest at the origin, with given heading and joint angles (rad)."""

    def place(self, ids: Int[np.ndarray, " some"], lattice: Float[np.ndarray, "some 3"]) -> None:  # noqa: ARG002
        """Set the pose of the lattice in some environments, after their reset: x and y in m, heading in rad.

        Raises:
            InvalidArena: this physics has no lattices.
        """
        raise InvalidArena("this physics has no lattices of posts; choose physics mujoco")

    def touch(self) -> Float[np.ndarray, "envs links"]:
        """Return the contact force of obstacles on each link, N, averaged over the last control step."""
        return np.zeros((self.n_envs, self.body.n_links))

    def penetration(self) -> Float[np.ndarray, " envs"]:
        """Return the largest depth to which a link penetrated an obstacle in the last control step, m."""
        return np.zeros(self.n_envs)

    @functools.cached_property
    def obstacles(self) -> Obstacles:
        """The obstacles, from the arena and from a user's XML, for drawings."""
        return Obstacles(self.body, self._own_models()[0], self.arena.stands(self.body))

    def obstacle_poses(self) -> Float[np.ndarray, "envs K 3"]:
        """Return the obstacles' poses: x and y in m, and rotation in rad."""
        return self.obstacles.at_rest(self.n_envs)

    @abstractmethod
    def act(self, actions: Float[np.ndarray, "envs joints"]) -> None:
        """Set the motors' commands, in units of the motor's range, for the steps that follow."""

    @abstractmethod
    def step(self, ids: Int[np.ndarray, " some"] | None = None) -> None:
        """Advance by one control step."""

    @abstractmethod
    def read(self, name: str) -> Float[np.ndarray, "envs ..."]:
        """Return a quantity of every environment, in the unit given in `QUANTITIES`.

        Do not write to the array; its values are valid only until the next reset, step or `set_state`.

        Raises:
            UnknownName: there is no such quantity.
        """

    @abstractmethod
    def set(self, ids: Int[np.ndarray, " some"], values: Mapping[str, Float[np.ndarray, " some"]]) -> None:
        """Set physical parameters of some environments; see `PARAMETERS` for names and units.

        A reset must follow. Parameters that are not given return to the values that the body was built with.

        Raises:
            UnknownName: there is no such parameter.
            InvalidBody: this body does not have the parameter.
        """

    def parameter(self, name: str) -> Float[np.ndarray, " envs"]:
        """Return a physical parameter of every environment; see `PARAMETERS` for names and units.

        Raises:
            UnknownName: there is no such parameter.
            InvalidBody: the parameter is the drag ratio, and the medium is a `Fluid`.
        """
        if name not in PARAMETERS:
            raise UnknownName("parameter", name, PARAMETERS)
        return self._set[name].copy() if name in self._set else self._own(name)

    @abstractmethod
    def _own_models(self) -> Sequence[mujoco.MjModel]:
        """Return the models of the bodies, as they were built."""

    def _own(self, name: str) -> Float[np.ndarray, " envs"]:
        """Return the value of a parameter with which each environment's body was built."""
        models = self._own_models()
        if name == "viscosity":
            own = [model.opt.viscosity for model in models]
        elif name == "drag_ratio":
            own = [drag_ratio(body, model) for body, model in zip(self.bodies, models, strict=True)]
        else:
            return np.ones(self.n_envs)
        return np.array(own)[np.arange(self.n_envs) % len(models)]

    def _remember(
        self,
        ids: Int[np.ndarray, " some"],
        values: Mapping[str, Float[np.ndarray, " some"]],
    ) -> None:
        """Store parameters in `_set`, a column each; those not named return to the bodies' own values.

        Args:
            ids: of the environments.
            values: the parameters.

        Raises:
            UnknownName: there is no such parameter.
            InvalidBody: parameters of drag in a medium that has none, or where zones set it.
        """
        for name in values:
            if name not in PARAMETERS:
                raise UnknownName("parameter", name, PARAMETERS)
        if self.arena.zones and (drawn := values.keys() & {"drag", "drag_ratio", "link_length"}):
            raise InvalidBody(f"{min(drawn)} cannot be drawn in an arena with zones, whose drag follows from the place")
        in_drag = isinstance(self.arena.medium or self.body.habitat, Drag) and self.arena.stands(self.body) is not None
        if in_drag and (drawn := values.keys() & {"drag", "link_length", "link_mass"}):
            raise InvalidBody(
                f"{min(drawn)} cannot be drawn among posts in drag: the links' mass follows from contacts"
            )
        if "drag" in values:
            self._own("drag_ratio")  # refused in a fluid
        owns = {name: self._own(name) for name in self._set.keys() | values.keys()}
        for name, own in owns.items():
            self._set.setdefault(name, own.copy())[ids] = values.get(name, own[ids])

    @abstractmethod
    def push(self, index: int, velocity: Float[np.ndarray, 2]) -> None:
        """Set the velocity of one body's root along the plane's two axes, m/s."""

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Return a copy of the full simulation state."""

    @abstractmethod
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned, bit for bit."""

    @abstractmethod
    def mujoco(self, index: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Return copies of the MuJoCo model and data of one environment, for viewers and custom sensors."""

    @abstractmethod
    def close(self) -> None:
        """Free native threads and memory."""

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: self.__dict__[name] for name in ("bodies", "n_envs", "n_threads", "arena")}
        return {"kept": kept, "state": self.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["kept"])  # type: ignore[misc]
        self.set_state(state["state"])
