"""Swim up an odour that has to be followed by its change in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int

from ...errors import InvalidTask
from ...options import Allowed, ListOf, Number
from ..arenas.fields import strength
from ..senses import SENSES, Sense, SenseKind
from ..setting import Envs, Setting
from .task import Task

_LEAST = 1e-6  # below it an odour is not smelled: circuits sense logarithms
_MOST = 25.0  # of the logarithm
_ARRIVED, _DISC = 0.25, 0.5  # of the body's length, and of the distance at the start


class Chemotaxis(Task):
    """Find the source of an odour, of which the nose smells the logarithm of the concentration.

    The source lies in a random direction, at one of several distances from the nose. The reward of a step is the
    concentration at the nose over that at the source. An episode goes on when the source is reached.

    Its indices, of the distance d of the nose from the source: `half_plane`, the time nearer to the source than to its
    mirror image through the start, less the time nearer to that, over all time: from -1 to 1, and 0 for a path that
    does not depend on the source; `chemotaxis_index`, 1 - mean d / d(0) (Izquierdo and Lockery 2010), without bound
    below for one that swims away; `late_index`, the same of the last third; `disc_index`, the time within d(0) / 2 of
    the source less that around the mirror image, over their sum, and 0 where `disc_entered` is 0.

    Args:
        envs: the environments.
        distances: of the source from the nose, in body lengths; each episode has one of them.
        spread: size of the source, in body lengths; see `Source`.
        form: "gaussian" or "cone".
        odour_noise: standard deviation of a factor on the concentration, new in each control step.
        shuffled: each environment smells the odour of another's path: a control, in which nothing can be found.
    """

    senses = ("joint_pos", "odour", "body_velocities")
    essential = ("odour",)
    default_steps = 2000
    allowed: ClassVar[Mapping[str, Allowed]] = {
        "distances": ListOf(Number(0, above=True), "[1.7, 3.4]"),
        "spread": Number(0, above=True),
        "odour_noise": Number(0),
    }
    metric_units: ClassVar[Mapping[str, str]] = {
        **Task.metric_units, "start_distance": "m", "seconds_to_source": "s",
    }  # fmt: skip

    def __init__(
        self,
        envs: Envs,
        distances: Sequence[float] = (1.7, 3.4),
        spread: float = 1.7,
        form: Literal["gaussian", "cone"] = "gaussian",
        odour_noise: float = 0.0,
        shuffled: bool = False,
    ) -> None:
        super().__init__(envs)
        if not distances:
            raise InvalidTask("distances is empty; give one or more, such as [1.7, 3.4]")
        if shuffled and envs.n_envs < 2:
            raise InvalidTask("shuffled odours need another environment to come from; give 2 environments or more")
        self.length = float(envs.body.link_sizes[0].sum())
        self.distances, self.spread, self.form = tuple(distances), spread * self.length, form
        self.odour_noise, self.shuffled = odour_noise, shuffled
        n = envs.n_envs
        self._source, self._start = np.ones((n, 2)), np.zeros((n, 2))
        self._factor = np.ones(n)
        self._sums = {name: np.zeros(n) for name in _SUMS}
        self._arrival, self._seen = np.full(n, -1.0), np.zeros(n, int)

    def concentration(self) -> Float[np.ndarray, " envs"]:
        """Return the odour at the nose, over that at the source."""
        return strength(self.form, self.spread, self._distance(self._source))

    def smelled(self) -> Float[np.ndarray, " envs"]:
        """Return what the nose smells: the concentration, with its noise, of its own path or of another's."""
        smelled = self.concentration() * np.maximum(self._factor, 0.0)
        # Around all environments: two that smell each other's paths would steer each other.
        return np.roll(smelled, 1) if self.shuffled else smelled

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in the environments of these numbers, each with its own source."""
        super().reset(ids, rngs)
        nose = self.physics.read("nose_pos")
        for index, rng in zip(ids, rngs, strict=True):
            distance = self.distances[int(rng.integers(len(self.distances)))] * self.length
            angle = rng.uniform(-np.pi, np.pi)
            self._start[index] = nose[index]
            self._source[index] = nose[index] + distance * np.array([np.cos(angle), np.sin(angle)])
        for values in self._sums.values():
            values[ids] = 0.0
        self._arrival[ids], self._seen[ids] = -1.0, 0
        self._draw(ids)

    def reward(self) -> Float[np.ndarray, " envs"]:
        """Return the concentration at the nose, from 0 to 1."""
        # Once a step, before anything is sensed: of the environments that it moved.
        moved = np.flatnonzero(self.envs.elapsed != self._seen)
        self._seen[:] = self.envs.elapsed
        self._add(moved)
        self._draw(moved)
        return self.concentration()

    def _add(self, ids: Int[np.ndarray, " some"]) -> None:
        """Add where noses are now to the indices."""
        source, elapsed = self._source[ids], self.envs.elapsed[ids]
        nose = self.physics.read("nose_pos")[ids]
        near, far = (np.linalg.norm(nose - place, axis=1) for place in (source, 2 * self._start[ids] - source))
        begun, is_late = self._begun()[ids], elapsed > 2 * self.envs.episode_steps / 3
        found = {
            "steps": 1.0, "half_plane": np.sign(far - near), "relative": near / begun, "late_steps": is_late,
            "late_relative": is_late * near / begun, "near": near < self.spread / 2, "disc": near < _DISC * begun,
            "mirror_disc": far < _DISC * begun,
        }  # fmt: skip
        for name, values in found.items():
            self._sums[name][ids] += values
        arrives = (near < _ARRIVED * self.length) & (self._arrival[ids] < 0)
        self._arrival[ids[arrives]] = elapsed[arrives] * self.envs.dt

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed, m/s, and the indices; see the class.

        `seconds_to_source` is the time to a quarter of a body length, s, and that of the episode where `reached` is 0;
        `near` the share of time within half the spread.
        """
        sums = self._sums
        steps, late = np.maximum(sums["steps"], 1), np.maximum(sums["late_steps"], 1)
        discs = sums["disc"] + sums["mirror_disc"]
        is_there = self._arrival >= 0
        return {
            **super().metrics(),
            "half_plane": sums["half_plane"] / steps,
            "chemotaxis_index": 1 - sums["relative"] / steps,
            "late_index": np.where(sums["late_steps"] > 0, 1 - sums["late_relative"] / late, 0.0),
            "disc_index": (sums["disc"] - sums["mirror_disc"]) / np.maximum(discs, 1),
            "disc_entered": (discs > 0).astype(float),
            "near": sums["near"] / steps,
            "reached": is_there.astype(float),
            "seconds_to_source": np.where(is_there, self._arrival, self.envs.elapsed * self.envs.dt),
            "start_distance": self._begun(),
        }

    @property
    def target_pos(self) -> Float[np.ndarray, "envs 2"]:
        """The source in the plane, m."""
        return self._source

    def get_state(self) -> dict[str, Any]:
        """Return copies of what the task remembers between steps."""
        own = {"source": self._source, "start": self._start, "factor": self._factor, "arrival": self._arrival}
        return {**super().get_state(), **{name: value.copy() for name, value in {**own, **self._sums}.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        self._source[:], self._start[:] = state["source"], state["start"]
        self._factor[:], self._arrival[:] = state["factor"], state["arrival"]
        self._seen[:] = self.envs.elapsed
        for name, values in self._sums.items():
            values[:] = state[name]

    def _distance(self, place: Float[np.ndarray, "envs 2"]) -> Float[np.ndarray, " envs"]:
        return np.sqrt(((self.physics.read("nose_pos") - place) ** 2).sum(1))

    def _begun(self) -> Float[np.ndarray, " envs"]:
        return np.sqrt(((self._start - self._source) ** 2).sum(1))

    def _draw(self, ids: Int[np.ndarray, " some"]) -> None:
        """Draw the noise of what is smelled next."""
        for index in ids if self.odour_noise else ():
            rng = self.envs.rngs[index]
            assert rng is not None
            self._factor[index] = 1.0 + self.odour_noise * rng.standard_normal()


_SUMS = ("steps", "half_plane", "relative", "late_steps", "late_relative", "near", "disc", "mirror_disc")


class Odour(SenseKind):
    """The logarithm of the odour at the nose: of the task's source, or of the arena's field."""

    def describe(self, setting: Setting) -> Sense:
        """Return what it is; see `SenseKind`."""
        if not issubclass(setting.task, Chemotaxis) and getattr(setting.arena, "odour", None) is None:
            raise InvalidTask(
                "there is no odour to sense; choose the task chemotaxis, or an arena with one, such as "
                '{"name": "landscape", "odour": {"sources": [{"x": 1}]}}'
            )
        return Sense("odour", 1, -_MOST, _MOST, "ln", (5.0,))

    def read(self, envs: Envs) -> Float[np.ndarray, "envs 1"]:
        """Return the natural logarithm of the concentration, which has no unit."""
        found = envs.task.smelled() if isinstance(envs.task, Chemotaxis) else np.zeros(envs.n_envs)
        if (field := getattr(envs.arena, "odour", None)) is not None:
            found = found + field.at(envs.physics.read("nose_pos"), envs.elapsed * envs.dt)
        return np.log(np.maximum(found, _LEAST))[:, None]


class Temperature(SenseKind):
    """The temperature of the arena at the nose, less that at the origin; circuits sense it in units of 5 K."""

    def describe(self, setting: Setting) -> Sense:
        """Return what it is; see `SenseKind`."""
        if getattr(setting.arena, "temperature", None) is None:
            raise InvalidTask(
                "the arena has no temperature; choose one, such as "
                '{"name": "landscape", "temperature": {"base": 293, "slope_x": 1}}'
            )
        return Sense("temperature", 1, -1e3, 1e3, "K", (5.0,))

    def read(self, envs: Envs) -> Float[np.ndarray, "envs 1"]:
        """Return the difference, K."""
        field = envs.arena.temperature  # type: ignore[attr-defined]
        return (field.at(envs.physics.read("nose_pos"), envs.elapsed * envs.dt) - field.base)[:, None]


SENSES["odour"], SENSES["temperature"] = Odour(), Temperature()
