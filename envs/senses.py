"""What agents observe: senses by name, and what stands where in a flat observation."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from jaxtyping import Float

from ..errors import InvalidTask, UnknownName
from ..registry import Registry
from .bodies.body import joint_limit
from .setting import Envs, Setting

# Bounds of the observation space. No body here reaches them; they are finite because learners that
# scale observations by their bounds, and gymnasium's checker, want them so.
MAX_ANGLE, MAX_VELOCITY, MAX_DISTANCE = 2 * np.pi, 1e3, 1e3
_MAX_NOISE = 10.0  # standard deviations; one draw in 1e23 is beyond


@dataclasses.dataclass(frozen=True)
class Sense:
    """One named part of an observation.

    Attributes:
        name: how circuits and tasks call it.
        size: the number of values.
        low: what no value falls below, in `unit`.
        high: what no value exceeds, in `unit`.
        unit: of bounds and values.
        scale: what circuits take for 1, in `unit`, for each value or for all; they sense the value divided by it.
            Empty for 1.
    """

    name: str
    size: int
    low: float
    high: float
    unit: str
    scale: tuple[float, ...] = ()


class SenseKind(ABC):
    """A registered kind of sense: its description in a setting, and how it is read from the physics.

    Attributes:
        quantity: what `read` returns is this quantity of the physics, row by row as it stands; empty where it is more.
    """

    quantity: ClassVar[str] = ""

    @abstractmethod
    def describe(self, setting: Setting) -> Sense:
        """Return name, size, bounds, unit and scale.

        Raises:
            InvalidTask: the body, the arena or the task lacks what is sensed.
        """

    @abstractmethod
    def read(self, envs: Envs) -> Float[np.ndarray, "envs size"]:
        """Return the values of every environment, in the unit that `describe` names."""


class JointPos(SenseKind):
    """Joint angles; circuits sense them in units of the joint limit."""

    quantity = "joint_pos"

    def describe(self, setting: Setting) -> Sense:
        """Return what it is; see `SenseKind`."""
        limit = tuple(float(value) for value in joint_limit(setting.body))
        return Sense("joint_pos", setting.body.n_joints, -MAX_ANGLE, MAX_ANGLE, "rad", limit)

    def read(self, envs: Envs) -> Float[np.ndarray, "envs joints"]:
        """Return joint angles, rad."""
        return envs.physics.read("joint_pos")


class BodyVelocities(SenseKind):
    """Velocity and rotation of every link in its own frame."""

    quantity = "link_vel"

    def describe(self, setting: Setting) -> Sense:
        """Return what it is; see `SenseKind`."""
        return Sense("body_velocities", 3 * setting.body.n_links, -MAX_VELOCITY, MAX_VELOCITY, "m/s, rad/s")

    def read(self, envs: Envs) -> Float[np.ndarray, "envs three_links"]:
        """Return x and y velocity, m/s, and rotation, rad/s, link by link."""
        return envs.physics.read("link_vel").reshape(envs.n_envs, -1)


class Time(SenseKind):
    """Seconds since the reset; circuits sense them in control steps."""

    def describe(self, setting: Setting) -> Sense:
        """Return what it is; see `SenseKind`."""
        dt = setting.body.control_dt
        return Sense("time", 1, 0.0, setting.episode_steps * dt, "s", (dt,))

    def read(self, envs: Envs) -> Float[np.ndarray, "envs 1"]:
        """Return the time, s."""
        return envs.elapsed[:, None] * envs.dt


class Context(SenseKind):
    """Which of several bodies an environment has: 1 in its place, 0 elsewhere."""

    def describe(self, setting: Setting) -> Sense:
        """Return what it is; see `SenseKind`."""
        return Sense("context", len(setting.bodies), 0.0, 1.0, "")

    def read(self, envs: Envs) -> Float[np.ndarray, "envs bodies"]:
        """Return one row of 0 and 1 for each environment."""
        return np.eye(len(envs.bodies))[envs.body_index]


class Noise(SenseKind):
    """Values drawn anew for every observation: a circuit's own randomness, which the episode's seed repeats."""

    def describe(self, setting: Setting) -> Sense:
        """Return what it is; see `SenseKind`."""
        if setting.noise < 1:
            raise InvalidTask(f"noise is sensed and has {setting.noise} values; give EnvBatch noise=1 or more")
        return Sense("noise", setting.noise, -_MAX_NOISE, _MAX_NOISE, "1")

    def read(self, envs: Envs) -> Float[np.ndarray, "envs noise"]:
        """Return the values, standard normal and without a unit."""
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
        """Describe an observation of these senses in a setting; nothing is built.

        Raises:
            UnknownName: no such sense.
            InvalidTask: a sense for which body, arena or task lack something.
        """
        senses = []
        for name in names:
            if name not in SENSES:
                raise UnknownName("sense", name, SENSES)
            senses.append(SENSES[name].describe(setting))
        body = setting.body
        return cls(tuple(senses), tuple(float(limit) for limit in joint_limit(body)), body.control_dt)

    def to_json(self) -> dict[str, Any]:
        """Return the layout as JSON types; `from_json` takes it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Layout:
        """Read what `to_json` returned."""
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
        """The observation space: finite bounds, which hold for any motion the bodies can make."""
        low = np.concatenate([np.full(sense.size, sense.low) for sense in self.senses])
        high = np.concatenate([np.full(sense.size, sense.high) for sense in self.senses])
        return spaces.Box(low, high, dtype=np.float64)

    def split(self, observation: Float[np.ndarray, "*batch obs"]) -> dict[str, Float[np.ndarray, "*batch _"]]:
        """Return a view of each sense, by name, in the unit that the sense names (rad for joint_pos, and so on)."""
        return {name: observation[..., self[name]] for name in self.sizes}
