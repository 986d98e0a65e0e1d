"""What stands in an arena, in MuJoCo's batch: where it is placed, and how links press on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from ..arenas.contacts import LATTICE, PENETRATION, SLOT, TOUCH
from ..arenas.posts import Stands
from ..bodies.body import Body
from .nearby import Nearby

_HEADER = 2  # numbers in front of a sensor's samples
_OBJECTS, _STAGES = mujoco.mjtObj, mujoco.mjtStage


class Standing:
    """Posts and walls around the bodies of a batch.

    Args:
        batch: MuJoCo's.
        model: of the world.
        bodies: of one shape.
        stands: what stands around them.

    Attributes:
        feels: whether the forces on links are summed up; from the first time that they are asked for.
    """

    def __init__(self, batch: Any, model: mujoco.MjModel, bodies: tuple[Body, ...], stands: Stands) -> None:
        self._batch, self._stands = batch, stands
        self._lattice = int(model.body_mocapid[model.body(LATTICE).id]) if stands.n_cell else -1
        self._n_links = bodies[0].n_links
        self.is_solid = mujoco.mj_name2id(model, _OBJECTS.mjOBJ_SENSOR, PENETRATION) >= 0
        self.feels, self._felt_before, self._is_resumed = False, np.ones(batch.nsim, bool), False
        is_chosen = mujoco.mj_name2id(model, _OBJECTS.mjOBJ_PAIR, SLOT.format(0)) >= 0
        self._nearby = Nearby(batch, model, bodies, stands) if is_chosen else None
        if self.is_solid:
            links = [model.sensor(TOUCH.format(link)).id for link in range(self._n_links)]
            self._touch = np.array([_samples(model, link) for link in links])
            depth = model.sensor(PENETRATION).id
            self._depth = slice(int(_samples(model, depth)[0]), int(_samples(model, depth)[-1]) + 1)
            # A sensor takes as long as a pair that is looked at: one that nobody reads is not computed.
            stages = batch.expand("sensor_needstage")
            self._of_touch, self._of_depth = stages[:, links[0] : links[-1] + 1], stages[:, depth]
            self._choose_sensors()

    def place(self, ids: Int[np.ndarray, " some"], lattice: Float[np.ndarray, "some 3"]) -> None:
        """Put the lattices of some environments somewhere: x and y, m, and heading, rad."""
        if self._lattice >= 0:
            half = lattice[:, 2] / 2
            self._batch.bind("mocap_pos")[ids, self._lattice, :2] = lattice[:, :2]
            self._batch.bind("mocap_quat")[ids[:, None], self._lattice, [0, 3]] = np.stack(
                [np.cos(half), np.sin(half)], -1
            )

    def change(self, lengths: Float[np.ndarray, " envs"], pushes: Float[np.ndarray, " envs"]) -> None:
        """Take note of other bodies: by what factors links are longer, and motors accelerate them more."""
        if self._nearby is not None:
            self._nearby.change(lengths, pushes)

    def look(self, ids: Int[np.ndarray, " some"] | None = None) -> None:
        """Choose what may touch in the next control step of some environments, or of all."""
        if self._nearby is None or not (self._nearby.refresh(ids) or self._is_resumed):
            return
        self._is_resumed, near = False, self._nearby.is_near
        self._choose_sensors()
        if (left := (self._felt_before & ~near).nonzero()[0]).size:
            history = self._batch.bind("history")
            history[left, self._depth] = 0.0
            history[left[:, None, None], self._touch] = 0.0
        self._felt_before = near

    def _choose_sensors(self) -> None:
        near = np.ones(len(self._felt_before), bool) if self._nearby is None else self._nearby.is_near
        self._of_depth[:] = np.where(near, int(_STAGES.mjSTAGE_ACC), int(_STAGES.mjSTAGE_NONE))
        self._of_touch[:] = self._of_depth[:, None] if self.feels else int(_STAGES.mjSTAGE_NONE)

    def resume(self, feels: bool) -> None:
        """Go on from a state that was just set, in which forces were felt or not."""
        if self.is_solid:
            # What was felt in the last control step can still be read.
            self.feels, self._felt_before = feels, np.zeros_like(self._felt_before)
            self._choose_sensors()
            self.look()
            self._felt_before, self._is_resumed = np.ones_like(self._felt_before), True

    def follow(self, centre: Callable[[], Float[np.ndarray, "envs 2"]]) -> None:
        """Move the patches of lattices by whole cells to where the bodies' centres are, m, which are asked for."""
        if self._lattice >= 0:
            position = self._batch.bind("mocap_pos")[:, self._lattice]
            turn = self._batch.bind("mocap_quat")[:, self._lattice]
            heading = 2 * np.arctan2(turn[:, 3], turn[:, 0])
            lattice = np.concatenate([position[:, :2], heading[:, None]], -1)
            position[:, :2] = self._stands.near(lattice, centre())[:, :2]

    def touch(self) -> Float[np.ndarray, "envs links"]:
        """Return the mean force of contacts on each link over the last control step, N; 0 the first time."""
        if not self.is_solid:
            return np.zeros((len(self._felt_before), self._n_links))
        if not self.feels:
            self.feels = True
            self._choose_sensors()
        found: np.ndarray = self._batch.bind("history")[:, self._touch].mean(-1)
        return found

    def penetration(self) -> Float[np.ndarray, " envs"]:
        """Return how deep links were in what stands, at the deepest of the last control step, m."""
        if not self.is_solid:
            return np.zeros(len(self._felt_before))
        found: np.ndarray = np.maximum(-self._batch.bind("history")[:, self._depth].min(-1), 0.0)
        return found


def _samples(model: mujoco.MjModel, sensor: int) -> Int[np.ndarray, " samples"]:
    """Return where the samples of a sensor stand in MuJoCo's history."""
    count, start = int(model.sensor_history[sensor, 0]), int(model.sensor_historyadr[sensor])
    return start + _HEADER + count + np.arange(count)
