"""Cross from one medium into another."""

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
    """Cross a border between two media, whole.

    The border is that of the arena's first zone, a half-plane. Without one, the worm's water ends 1.5 body lengths
    ahead, at agar, over the length of a link. Bodies start at the origin and point across the border, give or take
    `aim`. The target lies two and a half body lengths ahead of the origin. The reward of a step is by how many body
    lengths the centre of mass came nearer to the far side. An episode ends `settled` seconds after the whole body is
    over, or when its steps are over.

    Measures beside those of reaching the target, see `Targeted`: `crossed`, 1 once every link's centre is over, else 0;
    `seconds_to_cross`, from the first link over to the last; `speed_before`, `frequency_before`, `speed_after` and
    `frequency_after`, those of the centre of mass along the line from tail to head and of the middle joint's strokes,
    before the first link is over and after the last is. What was not seen is 0.

    Args:
        envs: the environments.
        settled: how long the episode goes on when the whole body is over, s.
        aim: by how much bodies point beside the way across the border at the start, at most, rad; pi is anywhere.
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
        """Return water that ends at agar."""
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
        self.target_radius, self.settled, self.aim = _NEAR * self.length, settled, aim
        n = envs.n_envs
        self._entered, self._crossed, self._last = np.full(n, -1.0), np.full(n, -1.0), np.zeros(n)
        self._seconds, self._moved, self._strokes = (np.zeros((n, len(_SIDES))) for _ in range(3))
        self._side, self._reward = np.zeros(n), np.zeros(n)

    def start_pose(
        self, rngs: Sequence[np.random.Generator]
    ) -> tuple[Float[np.ndarray, " some"], Float[np.ndarray, "some joints"]]:
        """Draw joint angles, rad, and the heading with which the links point across the border on average."""
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
        """Return the place beyond the border, m."""
        return _TARGET * self.length * self._across

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in the environments of these numbers, before the border."""
        super().reset(ids, rngs)
        self._entered[ids] = self._crossed[ids] = -1.0
        for values in (self._seconds, self._moved, self._strokes, self._side, self._reward):
            values[ids] = 0.0
        self._last[ids] = self.physics.read("com_pos")[ids] @ self._across

    def follow(self, ids: Int[np.ndarray, " some"]) -> None:
        """Take note of a step: of where links are, of speed and of strokes."""
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
        """Return by how many body lengths the centre of mass came nearer to the far side."""
        return self._reward.copy()

    def terminated(self) -> Bool[np.ndarray, " envs"]:
        """Return which bodies have been over for long enough."""
        return (self._crossed >= 0) & (self._seconds[:, 1] >= self.settled)

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed, m/s, and the measures of reaching the target and of crossing; see the class."""
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
        """Return copies of what the task remembers between steps."""
        return {**super().get_state(), **{name: getattr(self, f"_{name}").copy() for name in _KEPT}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        for name in _KEPT:
            getattr(self, f"_{name}")[:] = state[name]


_KEPT = ("entered", "crossed", "last", "seconds", "moved", "strokes", "side")
