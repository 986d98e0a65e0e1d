"""Swim from one medium into another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from ...errors import InvalidTask
from ...options import Allowed, Number
from ..arenas.arena import Arena
from ..arenas.media import WORM_WATER, gel
from ..arenas.worlds import Landscape
from ..arenas.zones import Zone
from ..bodies.body import Body, joint_limit
from ..setting import Envs
from .targets import Targeted

_BORDER, _TARGET = 1.5, 2.5  # body lengths from the origin, straight ahead
_NEAR = 0.25  # body lengths
_SWING = 0.05  # joint limits: a smaller bend is no stroke
_SIDES = ("before", "after")


class TwoMedia(Targeted):
    """Cross the border between two media with the whole body.

    The border is that of the arena's first zone, which is a half-plane. If the arena has none, the worm's water
    changes to agar 1.5 body lengths ahead, over the length of a link. Bodies start at the origin, facing the border up
    to an error of `aim`. The target lies 2.5 body lengths ahead of the origin. The reward of a step is the progress of
    the centre of mass perpendicular to the border, in body lengths. An episode ends `settled` seconds after the whole
    body has crossed, or by its number of steps.

    Metrics, beside those of `Targeted`: `crossed`, 1 once the centre of every link has crossed, otherwise 0;
    `seconds_to_cross`, time from the first link's crossing to the last's; `speed_before` and `speed_after`, speed of
    the centre of mass along the line from tail to head, and `frequency_before` and `frequency_after`, undulation
    frequency of the middle joint, before the first link crosses and after the last has. Metrics without data are 0.

    Args:
        envs: the environments.
        settled: duration for which the episode continues after the whole body has crossed, s.
        aim: largest initial error of the heading, rad; pi allows any heading.
    """

    senses = ("joint_pos", "to_target", "body_velocities")
    success = "crossed"
    default_steps = 2000
    allowed: ClassVar[Mapping[str, Allowed]] = {"settled": Number(0), "aim": Number(0, math.pi)}
    metric_units: ClassVar[Mapping[str, str]] = {
        **Targeted.metric_units, "seconds_to_cross": "s", **{f"speed_{side}": "m/s" for side in _SIDES},
        **{f"frequency_{side}": "Hz" for side in _SIDES},
    }  # fmt: skip

    @classmethod
    def own_arena(cls, body: Body) -> Arena:
        """Return an arena of water that changes to agar."""
        lengths = body.link_sizes[0]
        border = Zone(medium=gel(1.0), x=float(_BORDER * lengths.sum()), edge=float(lengths.max()))
        return Landscape(WORM_WATER, (border,))

    def __init__(self, envs: Envs, settled: float = 10.0, aim: float = 0.2) -> None:
        super().__init__(envs)
        if not envs.arena.zones or envs.arena.zones[0].shape != "half-plane":
            raise InvalidTask(
                "twomedia needs an arena whose first zone is a half-plane, the far side; leave the arena out, or give "
                'one such as {"name": "landscape", "medium": {"across": 20}, "zones": [{"x": 1.5}]}'
            )
        zone = envs.arena.zones[0]
        self._border, self._heading = np.array([zone.x, zone.y]), zone.heading
        self._across = np.array([np.cos(zone.heading), np.sin(zone.heading)])
        self.target_radius, self.settled, self.aim = _NEAR * self.one_length(), settled, aim
        n = envs.n_envs
        self._entered, self._crossed, self._last = np.full(n, -1.0), np.full(n, -1.0), np.zeros(n)
        self._seconds, self._moved, self._strokes = (np.zeros((n, len(_SIDES))) for _ in range(3))
        self._side, self._reward = np.zeros(n), np.zeros(n)

    def start_pose(
        self, rngs: Sequence[np.random.Generator]
    ) -> tuple[Float[np.ndarray, " some"], Float[np.ndarray, "some joints"]]:
        """Draw joint angles (rad), and a heading with which the links on average face the border."""
        heading, joint_pos = super().start_pose(rngs)
        if self.envs.body.parts.is_upright:
            return heading, joint_pos
        # The head's hinge is 0 where it faces the -y axis.
        bends = np.cumsum(joint_pos, axis=1).sum(1) / self.envs.body.n_links
        aims = np.array([rng.uniform(-self.aim, self.aim) for rng in rngs])
        return self._heading + aims + np.pi / 2 - bends, joint_pos

    def draw_target(
        self,
        index: int,  # noqa: ARG002
        nose: Float[np.ndarray, " 2"],  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Float[np.ndarray, " 2"]:
        """Return the target's position beyond the border, m."""
        return _TARGET * self.length * self._across

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in some environments."""
        super().reset(ids, rngs)
        self._entered[ids] = self._crossed[ids] = -1.0
        for values in (self._seconds, self._moved, self._strokes, self._side, self._reward):
            values[ids] = 0.0
        self._last[ids] = self.physics.read("com_pos")[ids] @ self._across

    def follow(self, ids: Int[np.ndarray, " some"]) -> None:
        """Update the positions of links, speed and undulation after a step."""
        super().follow(ids)
        depth = (self.physics.read("link_pos")[ids] - self._border) @ self._across
        seconds = self.envs.elapsed[ids] * self.envs.dt
        for over, times in (((depth > 0).any(1), self._entered), ((depth > 0).all(1), self._crossed)):
            first = over & (times[ids] < 0)
            times[ids[first]] = seconds[first]
        dt, speed = self.envs.dt, self.forward_com_speed()[ids]
        joint = self.envs.body.n_joints // 2
        bend = self.physics.read("joint_pos")[ids, joint] / joint_limit(self.envs.body)[joint]
        side = np.where(np.abs(bend) > _SWING, np.sign(bend), self._side[ids])
        turned = (side != self._side[ids]) & (self._side[ids] != 0)
        self._side[ids] = side
        for column, is_there in enumerate((self._entered[ids] < 0, self._crossed[ids] >= 0)):
            self._seconds[ids, column] += dt * is_there
            self._moved[ids, column] += np.where(is_there, speed * dt, 0.0)
            self._strokes[ids, column] += is_there & turned
        place = self.physics.read("com_pos")[ids] @ self._across
        self._reward[:] = 0.0
        self._reward[ids], self._last[ids] = (place - self._last[ids]) / self.length, place

    def paid(self) -> Float[np.ndarray, " envs"]:
        """Return the progress of the centre of mass perpendicular to the border, in body lengths."""
        return self._reward.copy()

    def terminated(self) -> Bool[np.ndarray, " envs"]:
        """Return which bodies have completed the crossing for `settled` seconds."""
        return (self._crossed >= 0) & (self._seconds[:, 1] >= self.settled)

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed (m/s), and the metrics of reaching the target and of crossing; see the class."""
        crossed = self._crossed >= 0
        seconds = np.maximum(self._seconds, 1e-9)
        # Two turns of a joint are a stroke to either side.
        speed, frequency = self._moved / seconds, self._strokes / 2 / seconds
        return {
            **super().metrics(),
            "crossed": crossed.astype(float),
            "seconds_to_cross": np.where(crossed, self._crossed - self._entered, 0.0),
            **{f"speed_{side}": speed[:, column] for column, side in enumerate(_SIDES)},
            **{f"frequency_{side}": frequency[:, column] for column, side in enumerate(_SIDES)},
        }

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the task's state."""
        return {**super().get_state(), **{name: getattr(self, f"_{name}").copy() for name in _KEPT}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        for name in _KEPT:
            getattr(self, f"_{name}")[:] = state[name]


_KEPT = ("entered", "crossed", "last", "seconds", "moved", "strokes", "side")
