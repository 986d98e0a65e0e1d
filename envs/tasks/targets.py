"""Tasks with a target in the plane: its senses, and the metrics of reaching it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int

from ...errors import InvalidTask
from ...options import Allowed, Number
from ..arenas.fields import Source, strength
from ..senses import MAX_DISTANCE, SENSES, Sense, SenseKind
from ..setting import Envs, Setting
from .task import Task

_LEAST = 1e-6  # below it an odour is not smelled: circuits sense logarithms
_MOST = 25.0  # of the logarithm


class Targeted(Task):
    """A task in which the nose has to reach a target.

    Metrics:

    - `reached`: 1 once the nose has been within `target_radius` of the episode's first target, otherwise 0.
    - `seconds_to_target`: time until then, or the time so far if `reached` is 0.
    - `path_efficiency`: initial distance from the nose to the target's rim, divided by the length of the centre of
      mass's path until the target is reached; at most 1, and 0 if `reached` is 0.
    - `start_distance`: initial distance from nose to target, m.
    - `stratum`: the largest of `strata` that the start distance exceeds.

    Attributes:
        strata: lower bounds of the start distance, in body lengths, that divide episodes into strata; the first is 0.
        target_radius: radius of the target, m.
        length: length of the (first) body, m.
    """

    essential: ClassVar[tuple[str, ...]] = ("to_target",)
    success = "reached"
    target_radius: float
    strata: Sequence[float] = (0.0, 1.0, 2.5)
    metric_units: ClassVar[Mapping[str, str]] = {
        **Task.metric_units, "seconds_to_target": "s", "start_distance": "m", "stratum": "body lengths",
    }  # fmt: skip

    def __init__(self, envs: Envs) -> None:
        super().__init__(envs)
        n = envs.n_envs
        lengths = np.array([body.link_sizes[0].sum() for body in envs.bodies])
        self.length, self._lengths = float(lengths[0]), lengths[envs.body_index]
        self._target, self._first, self._start = np.ones((n, 2)), np.ones((n, 2)), np.zeros((n, 2))
        self._arrival, self._path, self._way = np.full(n, -1.0), np.zeros(n), np.zeros(n)
        self._before, self._seen = np.zeros((n, 2)), np.zeros(n, int)

    @abstractmethod
    def draw_target(
        self, index: int, nose: Float[np.ndarray, " 2"], rng: np.random.Generator
    ) -> Float[np.ndarray, " 2"]:
        """Draw the initial position of an environment's target, m, given that of the nose, m."""

    @abstractmethod
    def paid(self) -> Float[np.ndarray, " envs"]:
        """Return the reward of the last step."""

    def follow(self, ids: Int[np.ndarray, " some"]) -> None:
        """Update the metrics of environments that took a step; subclasses may extend it."""
        com = self.physics.read("com_pos")[ids]
        self._path[ids] += np.sqrt(((com - self._before[ids]) ** 2).sum(1))
        self._before[ids] = com
        near = self.distance()[ids] < self.target_radius
        arrives = ids[near & (self._arrival[ids] < 0)]
        self._arrival[arrives] = self.envs.elapsed[arrives] * self.envs.dt
        self._way[arrives] = self._path[arrives]

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in some environments, each with its own target."""
        super().reset(ids, rngs)
        nose = self.physics.read("nose_pos")
        for index, rng in zip(ids, rngs, strict=True):
            self._start[index] = nose[index]
            self._target[index] = self._first[index] = self.draw_target(int(index), nose[index], rng)
        self._before[ids] = self.physics.read("com_pos")[ids]
        self._arrival[ids], self._path[ids], self._way[ids], self._seen[ids] = -1.0, 0.0, 0.0, 0

    def reward(self) -> Float[np.ndarray, " envs"]:
        """Return the reward of the last step; see the class."""
        # Once a step, before anything is sensed: of the environments that it moved.
        moved = np.flatnonzero(self.envs.elapsed != self._seen)
        self._seen[:] = self.envs.elapsed
        self.follow(moved)
        return self.paid()

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed (m/s) and the metrics of reaching the target; see the class."""
        is_there, begun = self._arrival >= 0, self.start_distance()
        bounds = np.array(self.strata)
        efficiency = np.minimum(np.maximum(begun - self.target_radius, 1e-9) / np.maximum(self._way, 1e-9), 1.0)
        return {
            **super().metrics(),
            "reached": is_there.astype(float),
            "seconds_to_target": np.where(is_there, self._arrival, self.envs.elapsed * self.envs.dt),
            "path_efficiency": np.where(is_there, efficiency, 0.0),
            "start_distance": begun,
            "stratum": bounds[np.maximum(np.searchsorted(bounds, begun / self._lengths * (1 + 1e-9)) - 1, 0)],
        }

    def place_target(self, index: int, place: Float[np.ndarray, " 2"]) -> None:
        """Move the target of an environment to a position, m."""
        self._target[index] = place

    def to_target(self) -> Float[np.ndarray, "envs 2"]:
        """Return the vector from nose to target, in the head's frame, m."""
        offset = self._target - self.physics.read("nose_pos")
        return np.einsum("nap,np->na", self.physics.read("head_axes"), offset)

    def distance(self) -> Float[np.ndarray, " envs"]:
        """Return the nose's distance from the target, m."""
        found: Float[np.ndarray, " envs"] = np.sqrt(((self.physics.read("nose_pos") - self._target) ** 2).sum(1))
        return found

    def start_distance(self) -> Float[np.ndarray, " envs"]:
        """Return the nose's initial distance from the first target, m."""
        found: Float[np.ndarray, " envs"] = np.sqrt(((self._start - self._first) ** 2).sum(1))
        return found

    @property
    def target_pos(self) -> Float[np.ndarray, "envs 2"]:
        """The target in the plane, m."""
        return self._target

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the task's state."""
        return {**super().get_state(), **{name: getattr(self, f"_{name}").copy() for name in _KEPT}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        for name in _KEPT:
            # Runs of before know of the target alone.
            getattr(self, f"_{name}")[:] = state.get(name, getattr(self, f"_{name}"))
        self._seen[:] = self.envs.elapsed


_KEPT = ("target", "first", "start", "arrival", "path", "way", "before")


class Scented(Targeted):
    """A task whose target emits an odour; the nose senses the logarithm of its concentration.

    Args:
        envs: the environments.
        spread: size of the odour's source, in body lengths; see `Source`.
        form: "gaussian" or "cone".
        odour_noise: standard deviation of a factor on the concentration, new in each control step.
        shuffled: each environment senses the target of another's path: a control, in which nothing can be found.
    """

    essential = ("odour", "to_target")
    allowed: ClassVar[Mapping[str, Allowed]] = {"spread": Number(0, above=True), "odour_noise": Number(0)}

    def __init__(
        self,
        envs: Envs,
        spread: float = 1.7,
        form: Literal["gaussian", "cone"] = "gaussian",
        odour_noise: float = 0.0,
        shuffled: bool = False,
    ) -> None:
        super().__init__(envs)
        if shuffled and envs.n_envs < 2:
            raise InvalidTask("shuffled targets need another environment to come from; give 2 environments or more")
        self.spread, self.form = spread * self.one_length(), form
        self.odour_noise, self.shuffled = odour_noise, shuffled
        self._factor = np.ones(envs.n_envs)

    @property
    def scent(self) -> Source:
        """The odour of the target, as a source."""
        return Source(self.form, size=self.spread)

    def concentration(self) -> Float[np.ndarray, " envs"]:
        """Return the concentration at the nose, relative to that at the target."""
        return strength(self.form, self.spread, self.distance())

    def smelled(self) -> Float[np.ndarray, " envs"]:
        """Return the sensed concentration, with noise, along this or (if shuffled) another environment's path."""
        smelled = self.concentration() * np.maximum(self._factor, 0.0)
        # Around all environments: two that smell each other's paths would steer each other.
        return np.roll(smelled, 1) if self.shuffled else smelled

    def to_target(self) -> Float[np.ndarray, "envs 2"]:
        """Return the vector from nose to target in the head's frame, m, of this or (if shuffled) another
        environment."""
        found = super().to_target()
        return np.roll(found, 1, axis=0) if self.shuffled else found

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in some environments."""
        super().reset(ids, rngs)
        self._draw(ids)

    def follow(self, ids: Int[np.ndarray, " some"]) -> None:
        """Update the metrics after a step, and draw the next sensor noise."""
        super().follow(ids)
        self._draw(ids)

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the task's state."""
        return {**super().get_state(), "factor": self._factor.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        self._factor[:] = state["factor"]

    def _draw(self, ids: Int[np.ndarray, " some"]) -> None:
        for index in ids if self.odour_noise else ():
            rng = self.envs.rngs[index]
            assert rng is not None
            self._factor[index] = 1.0 + self.odour_noise * rng.standard_normal()


class ToTarget(SenseKind):
    """The vector from the nose to the target, in the head's frame."""

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        if not issubclass(setting.task, Targeted):
            raise InvalidTask(
                f"task {setting.task.__name__} has no target to sense; sense to_target in navigate, forage or twomedia"
            )
        return Sense("to_target", 2, -MAX_DISTANCE, MAX_DISTANCE, "m")

    def read(self, envs: Envs) -> Float[np.ndarray, "envs 2"]:
        """Return the vector, m."""
        assert isinstance(envs.task, Targeted)
        return envs.task.to_target()


class Odour(SenseKind):
    """The logarithm of the odour at the nose: of the task's target and of the arena's field."""

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        if not issubclass(setting.task, Scented) and "odour" not in setting.arena.fields:
            raise InvalidTask(
                "there is no odour to sense; choose the task chemotaxis or forage, or an arena with one, such as "
                '{"name": "landscape", "odour": {"sources": [{"x": 1}]}}'
            )
        return Sense("odour", 1, -_MOST, _MOST, "ln", (5.0,))

    def read(self, envs: Envs) -> Float[np.ndarray, "envs 1"]:
        """Return the natural logarithm of the concentration, which has no unit."""
        found = envs.task.smelled() if isinstance(envs.task, Scented) else np.zeros(envs.n_envs)
        if (live := envs.fields.get("odour")) is not None:
            factor = np.maximum(1.0 + live.field.noise * live.noise, 0.0)
            found = found + factor * live.at(envs.physics.read("nose_pos"))
        return np.log(np.maximum(found, _LEAST))[:, None]


class Temperature(SenseKind):
    """The arena's temperature at the nose minus that at the origin; circuits receive it in units of 5 K."""

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        if "temperature" not in setting.arena.fields:
            raise InvalidTask(
                "the arena has no temperature; choose one, such as "
                '{"name": "landscape", "temperature": {"base": 293, "slope_x": 1}}'
            )
        return Sense("temperature", 1, -1e3, 1e3, "K", (5.0,))

    def read(self, envs: Envs) -> Float[np.ndarray, "envs 1"]:
        """Return the difference, K."""
        live = envs.fields["temperature"]
        found = live.at(envs.physics.read("nose_pos")) + live.field.noise * live.noise
        return (found - live.field.base)[:, None]


SENSES["to_target"], SENSES["odour"], SENSES["temperature"] = ToTarget(), Odour(), Temperature()
