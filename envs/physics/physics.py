"""What steps bodies in time: one interface for every kind of physics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Int

from ...errors import UnknownName
from ..arenas.arena import Arena
from ..bodies.body import Body

# What can be read, with its shape for each environment, and its unit.
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
    "motor_torque": ("joints", "N m: what the motors applied in the last physics step"),
}
# What can be set for each environment: factors on what the body was built with, and one absolute value.
PARAMETERS = ("link_mass", "link_length", "gear", "density", "viscosity")


class Physics(ABC):
    """`n_envs` copies of one body in one arena, stepped together.

    Everything is read and set by name. `ids` are numbers of environments, from 0; None means all.

    Attributes:
        dtype: of the observations and rewards of environments on it.
        body: the body of every environment, the first of `bodies`.
        bodies: what the environments have in turn.
        n_envs: how many environments.
        n_threads: as asked for.
        arena: what is around the bodies.
        diverged: which environments became unstable since their last reset; what is read of them means nothing.
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
        """Put some environments at rest at the origin, with heading and joint angles in rad."""

    @abstractmethod
    def act(self, actions: Float[np.ndarray, "envs joints"]) -> None:
        """Set the motors' commands, in units of the motor's range, for the steps that follow."""

    @abstractmethod
    def step(self, ids: Int[np.ndarray, " some"] | None = None) -> None:
        """Advance by one control step."""

    @abstractmethod
    def read(self, name: str) -> Float[np.ndarray, "envs ..."]:
        """Return a quantity of every environment, in the unit of `QUANTITIES`; current after reset, step, set_state.

        The array is not to be written to, and holds its values only until the next step.

        Raises:
            UnknownName: no such quantity.
        """

    @abstractmethod
    def set(self, ids: Int[np.ndarray, " some"], values: Mapping[str, Float[np.ndarray, " some"]]) -> None:
        """Give some environments parameters of their own: factors, and viscosity in Pa s; see `PARAMETERS`.

        A reset must follow. Parameters that are not named go back to what the body was built with.

        Raises:
            UnknownName: no such parameter.
            InvalidBody: a parameter that this body does not have.
        """

    def _remember(
        self,
        ids: Int[np.ndarray, " some"],
        values: Mapping[str, Float[np.ndarray, " some"]],
        viscosity: Float[np.ndarray, " envs"],
    ) -> None:
        """Put parameters into `_set`, a column each; what is not named goes back to what the bodies were built with.

        Raises:
            UnknownName: no such parameter.
        """
        for name in values:
            if name not in PARAMETERS:
                raise UnknownName("parameter", name, PARAMETERS)
        for name in self._set.keys() | values.keys():
            own = viscosity if name == "viscosity" else np.ones(self.n_envs)
            self._set.setdefault(name, own.copy())[ids] = values.get(name, own[ids])

    @abstractmethod
    def push(self, index: int, velocity: Float[np.ndarray, 2]) -> None:
        """Set the velocity of one body's root along the plane's two axes, m/s."""

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Return copies of everything that the future depends on."""

    @abstractmethod
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned, bit for bit."""

    @abstractmethod
    def mujoco(self, index: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Return copies of the model and the data of one environment, for viewers and sensors of one's own."""

    @abstractmethod
    def close(self) -> None:
        """Free native threads and memory."""

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: self.__dict__[name] for name in ("bodies", "n_envs", "n_threads", "arena")}
        return {"kept": kept, "state": self.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["kept"])  # type: ignore[misc]
        self.set_state(state["state"])
