"""Escape from a touch, and the touch that links sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int

from ...errors import InvalidTask
from ...options import Allowed, Number
from ..bodies.body import reference_model
from ..senses import SENSES, Sense, SenseKind
from ..setting import Envs, Setting
from .task import Task

_FIFTH = 0.2  # of the links are touched, at the head or at the tail
_WINDOW, _AWAY = 1.0, 3.0  # s over which speed is measured, and for which one touched in front is to go backwards
_UNIT = 0.1  # body lengths/s that earn a reward of 1
_SHALLOW, _DEEP = np.radians(60), np.radians(120)


class Escape(Task):
    """Swim; reverse after a touch in front, or speed up after a touch behind.

    At a random time, the first or the last fifth of the links senses a touch for 0.3 s; no object is involved. The
    reward of a step is the speed of the centre of mass along the body, in tenths of a body length per second: towards
    the head, except for 3 s after a touch in front, when it is towards the tail.

    Metrics, with speeds averaged over one second:

    - `touched_front`: 1 if the touch was in front, 0 if behind. Metrics for the other kind of touch are 0.
    - After a touch in front: `reversed`, 1 once the body has moved backwards, otherwise 0; `latency`, seconds from the
      touch to the reversal (or to the end); `backward`, largest distance moved backwards, in body lengths; `turn`,
      rotation of the line from tail to head, averaged over a second, in rad; and `turned_little`, `turned_aside` or
      `turned_about`, 1 for a turn below 60 degrees, between, or above 120 degrees.
    - After a touch behind: `speed_gain`, speed in the second after the touch minus speed in the second before it, in
      body lengths per second.

    Args:
        envs: the environments.
        where: "front", "behind", or "both", which draws one of them in each episode.
        strength: strength of the touch, from 0 (a control) to 1.
        earliest, latest: range of the time of the touch, seconds after the reset. Episodes that end earlier have none.
    """

    senses = ("joint_pos", "touch", "body_velocities")
    essential = ("touch",)
    default_steps = 600
    allowed: ClassVar[Mapping[str, Allowed]] = {
        "strength": Number(0, 1), "earliest": Number(_WINDOW, 1e6), "latest": Number(_WINDOW, 1e6),
    }  # fmt: skip
    metric_units: ClassVar[Mapping[str, str]] = {**Task.metric_units, "latency": "s", "turn": "rad"}

    def __init__(
        self,
        envs: Envs,
        where: Literal["front", "behind", "both"] = "both",
        strength: float = 1.0,
        earliest: float = 5.0,
        latest: float = 10.0,
    ) -> None:
        super().__init__(envs)
        if earliest > latest:
            raise InvalidTask(f"the touch is after {earliest:g} s and before {latest:g} s; give a later latest")
        self.where, self.strength, self.earliest, self.latest = where, strength, earliest, latest
        self.length = self.one_length()
        n, self._window = envs.n_envs, max(1, round(_WINDOW / envs.dt))
        self._onset, self._is_front = np.zeros(n, int), np.zeros(n, bool)
        self._place = np.zeros((n, envs.episode_steps + 1))  # along the body's own way, body lengths
        self._axis = np.zeros((n, envs.episode_steps + 1))  # angle of the line from tail to head, rad
        self._seen = np.zeros(n, int)
        self._latency, self._peak, self._backward = np.full(n, -1.0), np.zeros(n), np.zeros(n)

    def pulse(self) -> Float[np.ndarray, "envs links"]:
        """Return the touch that each link senses now, from 0 to 1."""
        links = np.arange(self.envs.body.n_links)
        n_touched = max(1, round(_FIFTH * len(links)))
        at_front = links < n_touched
        since = (self.envs.elapsed - self._onset) * self.envs.dt
        is_on = (since >= 0) & (since < _PULSE)
        felt = np.where(self._is_front[:, None], at_front, at_front[::-1])
        return self.strength * (is_on[:, None] & felt)

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in some environments, each with its own touch."""
        super().reset(ids, rngs)
        for index, rng in zip(ids, rngs, strict=True):
            self._onset[index] = round(rng.uniform(self.earliest, self.latest) / self.envs.dt)
            is_front = bool(rng.random() < 0.5)
            self._is_front[index] = is_front if self.where == "both" else self.where == "front"
        for values in (self._place, self._peak, self._backward):
            values[ids] = 0.0
        self._latency[ids] = -1.0
        self._axis[ids, 0], self._seen[ids] = self._angle()[ids], 0

    def reward(self) -> Float[np.ndarray, " envs"]:
        """Return the speed along the body in the rewarded direction, in tenths of a body length per second."""
        speed = self.forward_com_speed() / self.length
        elapsed, moved = self._elapsed(), np.flatnonzero(self.envs.elapsed != self._seen)
        self._seen[:] = self.envs.elapsed
        now = elapsed[moved]
        self._place[moved, now] = self._place[moved, now - 1] + speed[moved] * self.envs.dt
        before = self._axis[moved, now - 1]
        self._axis[moved, now] = before + _wrapped(self._angle()[moved] - before)
        self._follow(moved)
        back = self._is_front & (elapsed > self._onset) & (elapsed <= self._onset + round(_AWAY / self.envs.dt))
        return np.where(back, -speed, speed) / _UNIT

    def _elapsed(self) -> Int[np.ndarray, " envs"]:
        """Return the control steps since the reset; one that is stepped on after its end stands still."""
        found: Int[np.ndarray, " envs"] = np.minimum(self.envs.elapsed, self._place.shape[1] - 1)
        return found

    def _follow(self, ids: Int[np.ndarray, " some"]) -> None:
        """Take note of how far some environments came back since the touch, and when they first went backwards."""
        elapsed, onset = self._elapsed()[ids], self._onset[ids]
        place, speed = self._place[ids, elapsed], self._speed(elapsed, ids)
        turns = (elapsed >= onset) & (speed < 0) & (self._latency[ids] < 0)
        self._latency[ids[turns]] = (elapsed - onset)[turns] * self.envs.dt
        self._peak[ids] = np.where(elapsed > onset, np.maximum(self._peak[ids], place), place)
        self._backward[ids] = np.maximum(self._backward[ids], self._peak[ids] - place)

    def _speed(self, end: Int[np.ndarray, " some"], ids: Int[np.ndarray, " some"]) -> Float[np.ndarray, " some"]:
        """Return the speed over the second before a step, body lengths/s."""
        begin = np.maximum(end - self._window, 0)
        return (self._place[ids, end] - self._place[ids, begin]) / np.maximum((end - begin) * self.envs.dt, 1e-9)

    def _mean_angle(self, end: Int[np.ndarray, " envs"]) -> Float[np.ndarray, " envs"]:
        steps = np.maximum(end[:, None] - np.arange(self._window + 1), 0)
        return np.take_along_axis(self._axis, steps, 1).mean(1)

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed (m/s) and the metrics of the escape; see the class."""
        every, elapsed = np.arange(self.envs.n_envs), self._elapsed()
        was_touched = elapsed >= self._onset
        front, behind = was_touched & self._is_front, was_touched & ~self._is_front
        onset = np.minimum(self._onset, elapsed)
        has_turned = self._latency >= 0
        turn = np.abs(_wrapped(self._mean_angle(elapsed) - self._mean_angle(onset)))
        after = np.minimum(onset + self._window, elapsed)
        gain = self._speed(after, every) - self._speed(onset, every)
        of_front = {
            "reversed": has_turned,
            "latency": np.where(has_turned, self._latency, (elapsed - onset) * self.envs.dt),
            "backward": self._backward,
            "turn": turn,
            "turned_little": turn < _SHALLOW,
            "turned_aside": (turn >= _SHALLOW) & (turn <= _DEEP),
            "turned_about": turn > _DEEP,
        }
        return {
            **super().metrics(),
            "touched_front": self._is_front.astype(float),
            **{name: np.where(front, value, 0.0) for name, value in of_front.items()},
            "speed_gain": np.where(behind, gain, 0.0),
        }

    def _angle(self) -> Float[np.ndarray, " envs"]:
        links = self.physics.read("link_pos")
        way = links[:, 0] - links[:, -1]
        return np.arctan2(way[:, 1], way[:, 0])

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the task's state."""
        return {**super().get_state(), **{name: getattr(self, f"_{name}").copy() for name in _KEPT}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        for name in _KEPT:
            getattr(self, f"_{name}")[:] = state[name]
        self._seen[:] = self.envs.elapsed


_PULSE = 0.3  # s
_KEPT = ("onset", "is_front", "place", "axis", "latency", "peak", "backward")


def _wrapped(angle: Float[np.ndarray, "*some"]) -> Float[np.ndarray, "*some"]:
    return (angle + np.pi) % (2 * np.pi) - np.pi


class Touch(SenseKind):
    """The force of contacts on each link, in units of the strongest motor's torque over the body's length, at most 1.

    The mean over the last control step: an impact counts by its impulse. In `Escape`, with the task's own touch.
    """

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        if not issubclass(setting.task, Escape) and setting.arena.stands(setting.body) is None:
            raise InvalidTask(
                "there is nothing to touch; choose the task escape or lattice, or an arena with posts, such as "
                '{"name": "landscape", "posts": [{"x": 0.5}]}'
            )
        return Sense("touch", setting.body.n_links, 0.0, 1.0, "1")

    def read(self, envs: Envs) -> Float[np.ndarray, "envs links"]:
        """Return the forces, from 0 to 1."""
        units = np.array([_unit_of_touch(body) for body in envs.bodies])[envs.body_index, None]
        felt = np.minimum(envs.physics.touch() / units, 1.0)
        return np.maximum(felt, envs.task.pulse()) if isinstance(envs.task, Escape) else felt


def _unit_of_touch(body: Any) -> float:
    """Return the force that counts as 1, N: the strongest motor's torque over the body's length."""
    model = reference_model(body)
    gears = np.array([abs(float(model.actuator(name).gear[0])) for name in body.parts.motors])
    return float(gears.max() or 1.0) / float(body.link_sizes[0].sum())


SENSES["touch"] = Touch()
