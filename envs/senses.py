"""Senses by name, and the layout of a flat observation."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from jaxtyping import Float

from ..errors import InvalidTask, UnknownName
from ..registry import Registry
from .arenas.media import WATER, Drag
from .bodies.body import Body, joint_limit, reference_model
from .setting import Envs, Setting

# Bounds of the observation space. No body here reaches them; they are finite because gymnasium's checker,
# and learners that scale observations by their bounds, need finite bounds.
MAX_ANGLE, MAX_VELOCITY, MAX_DISTANCE = 2 * np.pi, 1e3, 1e3
_MAX_NOISE = 10.0  # standard deviations; one draw in 1e23 is beyond
_MAX_CONTEXT = 25.0  # as a logarithm; factors on a body's numbers are 1e-6 to 1e9
_VISCOSITY = 0.1  # Pa s; the unit of the sense context


@dataclasses.dataclass(frozen=True)
class Sense:
    """One named part of an observation.

    Attributes:
        name: its name in circuits and tasks.
        size: the number of values.
        low: lower bound of the values, in `unit`.
        high: upper bound of the values, in `unit`.
        unit: unit of bounds and values.
        scale: divisor of the values that circuits receive, in `unit`: one per value, one for all, or empty for 1.
    """

    name: str
    size: int
    low: float
    high: float
    unit: str
    scale: tuple[float, ...] = ()


class SenseKind(ABC):
    """A registered kind of sense: its description for a body, arena and task, and how it is read from the physics.

    Attributes:
        quantity: name of the physics' quantity that `read` returns unchanged; empty if `read` computes something else.
        is_constant: whether the values stay the same within an episode.
    """

    quantity: ClassVar[str] = ""
    is_constant: ClassVar[bool] = False

    @abstractmethod
    def describe(self, setting: Setting) -> Sense:
        """Return name, size, bounds, unit and scale.

        Raises:
            InvalidTask: the body, the arena or the task lacks something that the sense needs.
        """

    @abstractmethod
    def read(self, envs: Envs) -> Float[np.ndarray, "envs size"]:
        """Return the values of every environment, in the unit that `describe` states."""


class JointPos(SenseKind):
    """Joint angles; circuits sense them in units of the joint limit."""

    quantity = "joint_pos"

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        limit = tuple(float(value) for value in joint_limit(setting.body))
        return Sense("joint_pos", setting.body.n_joints, -MAX_ANGLE, MAX_ANGLE, "rad", limit)

    def read(self, envs: Envs) -> Float[np.ndarray, "envs joints"]:
        """Return joint angles, rad."""
        return envs.physics.read("joint_pos")


class JointVel(SenseKind):
    """Velocities of the joints; circuits sense them in joint limits per second."""

    quantity = "joint_vel"

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        limit = tuple(float(value) for value in joint_limit(setting.body))
        return Sense("joint_vel", setting.body.n_joints, -MAX_VELOCITY, MAX_VELOCITY, "rad/s", limit)

    def read(self, envs: Envs) -> Float[np.ndarray, "envs joints"]:
        """Return the joints' velocities, rad/s."""
        return envs.physics.read("joint_vel")


class BodyVelocities(SenseKind):
    """Velocity and rotation of every link in its own frame."""

    quantity = "link_vel"

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        return Sense("body_velocities", 3 * setting.body.n_links, -MAX_VELOCITY, MAX_VELOCITY, "m/s, rad/s")

    def read(self, envs: Envs) -> Float[np.ndarray, "envs three_links"]:
        """Return x and y velocity, m/s, and rotation, rad/s, link by link."""
        return envs.physics.read("link_vel").reshape(envs.n_envs, -1)


class Time(SenseKind):
    """Seconds since the reset; circuits sense them in control steps."""

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        dt = setting.body.control_dt
        return Sense("time", 1, 0.0, setting.episode_steps * dt, "s", (dt,))

    def read(self, envs: Envs) -> Float[np.ndarray, "envs 1"]:
        """Return the time, s."""
        return envs.elapsed[:, None] * envs.dt


_DRAWN = ("link_length", "link_mass", "gear", "density", "viscosity", "drag")


class Context(SenseKind):
    """What the environment's body and fluid are: six logarithms, each 0 for swimmer6 in its own water.

    They are ln of the number of links, of the mean link length, the mean link mass, the mean gear and the fluid's
    density, each over swimmer6's (6, 0.1 m, 0.01 kg, 5e-4 N m, 3000 kg/m^3), and ln(1 + viscosity / 0.1 Pa s), since
    swimmer6's fluid has no viscosity: its logarithm has no value, and that of swimmer6-thick is ln 2. A medium without
    inertia has no density, and the viscosity of the fluid with as much drag. What is drawn at reset is what is sensed.
    """

    is_constant = True

    def describe(self, setting: Setting) -> Sense:  # noqa: ARG002
        """Describe the sense; see `SenseKind`."""
        return Sense("context", 6, -_MAX_CONTEXT, _MAX_CONTEXT, "1")

    def read(self, envs: Envs) -> Float[np.ndarray, "envs 6"]:
        """Return the logarithms: links, length, mass, gear, density, viscosity."""
        fluids = [envs.arena.medium or body.habitat for body in envs.bodies]
        own = np.array([
            (*_over_swimmer6(body), fluid.density / WATER.density)
            for body, fluid in zip(envs.bodies, fluids, strict=True)
        ])[envs.body_index]  # fmt: skip
        drawn = {name: envs.physics.parameter(name) for name in _DRAWN}
        factors = [drawn[name] for name in ("link_length", "link_mass", "gear", "density")]
        with np.errstate(divide="ignore"):  # a motor without torque, or space without a fluid
            logarithms = np.log(own * np.stack([np.ones(envs.n_envs), *factors], 1))
        of_drag = np.array([fluid.viscosity if isinstance(fluid, Drag) else 0.0 for fluid in fluids])[envs.body_index]
        thickness = np.log1p((drawn["viscosity"] + of_drag * drawn["drag"]) / _VISCOSITY)[:, None]
        return np.clip(np.concatenate([logarithms, thickness], 1), -_MAX_CONTEXT, _MAX_CONTEXT)


@functools.lru_cache(maxsize=256)
def _over_swimmer6(body: Body) -> Float[np.ndarray, " 4"]:
    """Return number of links, and mean link length, link mass and gear, each over swimmer6's."""
    model, parts = reference_model(body), body.parts
    masses = [model.body(name).mass[0] for name in parts.links]
    gears = [abs(model.actuator(name).gear[0]) for name in parts.motors]
    # Divided before the mean, which keeps a body of swimmer6's links at exactly 1.
    return np.array([body.n_links / 6, *(np.mean(np.divide(each, of)) for each, of in
                     ((body.link_sizes[0], 0.1), (masses, 0.01), (gears, 5e-4)))])  # fmt: skip


class Noise(SenseKind):
    """Random values, new in every observation: a source of randomness for circuits, repeated by the episode's seed."""

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        if setting.noise < 1:
            raise InvalidTask(f"the sense noise has {setting.noise} values; give EnvBatch noise=1 or more")
        return Sense("noise", setting.noise, -_MAX_NOISE, _MAX_NOISE, "1")

    def read(self, envs: Envs) -> Float[np.ndarray, "envs noise"]:
        """Return the values, standard normal."""
        return envs.noise


def _adopted(sense: Any, name: str) -> SenseKind:
    if isinstance(sense, type) and issubclass(sense, SenseKind):
        sense = sense()
    if not isinstance(sense, SenseKind):
        raise TypeError(f"{name} is a {type(sense).__name__}, not a SenseKind")
    return sense


# Every kind of sense by name, with those of other packages.
SENSES: Registry[SenseKind] = Registry(
    "nervecord.senses",
    {
        "joint_pos": JointPos(),
        "joint_vel": JointVel(),
        "body_velocities": BodyVelocities(),
        "time": Time(),
        "context": Context(),
        "noise": Noise(),
    },
    _adopted,
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names and slices of the senses in a flat observation.

    Attributes:
        senses: the parts, in order.
        joint_limit: half of each joint's range, rad; circuits sense joint positions in units of it.
        dt: seconds per control step.
    """

    senses: tuple[Sense, ...]
    joint_limit: tuple[float, ...]
    dt: float

    @classmethod
    def of(cls, names: Iterable[str], setting: Setting) -> Layout:
        """Return the layout of an observation of these senses in a setting, without building environments.

        Raises:
            UnknownName: there is no such sense.
            InvalidTask: the body, the arena or the task lacks something that a sense needs.
        """
        senses = []
        for name in names:
            if name not in SENSES:
                raise UnknownName("sense", name, SENSES)
            senses.append(SENSES[name].describe(setting))
        body = setting.body
        return cls(tuple(senses), tuple(float(limit) for limit in joint_limit(body)), body.control_dt)

    def to_json(self) -> dict[str, Any]:
        """Return the layout as JSON types, for `from_json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Layout:
        """Return the layout that `to_json` described."""
        senses = tuple(Sense(**{**sense, "scale": tuple(sense["scale"])}) for sense in values["senses"])
        return cls(senses, tuple(values["joint_limit"]), values["dt"])

    @property
    def size(self) -> int:
        """The length of the observation vector."""
        return sum(sense.size for sense in self.senses)

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each sense, by name, in order."""
        return {sense.name: sense.size for sense in self.senses}

    @property
    def columns(self) -> tuple[str, ...]:
        """The name of each column of the observation: SENSE_0, SENSE_1, ... of each sense in turn."""
        return tuple(f"{sense.name}_{i}" for sense in self.senses for i in range(sense.size))

    def __contains__(self, name: object) -> bool:
        return name in self.sizes

    def __getitem__(self, name: str) -> slice:
        """Return the slice of a sense.

        Raises:
            UnknownName: the observation has no such sense.
        """
        start = 0
        for sense in self.senses:
            if sense.name == name:
                return slice(start, start + sense.size)
            start += sense.size
        raise UnknownName("sense", name, self.sizes)

    @property
    def space(self) -> spaces.Box:
        """The observation space, with finite bounds that the bodies' motion never exceeds."""
        low = np.concatenate([np.full(sense.size, sense.low) for sense in self.senses])
        high = np.concatenate([np.full(sense.size, sense.high) for sense in self.senses])
        return spaces.Box(low, high, dtype=np.float64)

    def split(self, observation: Float[np.ndarray, "*batch obs"]) -> dict[str, Float[np.ndarray, "*batch _"]]:
        """Return a view of each sense's values, by name, in the sense's unit (such as rad for joint_pos)."""
        return {name: observation[..., self[name]] for name in self.sizes}
