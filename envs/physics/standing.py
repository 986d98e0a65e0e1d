"""What stands in an arena, in MuJoCo's batch: where it is placed, and how links press on it."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from ..arenas.contacts import LATTICE, PENETRATION, TOUCH
from ..arenas.posts import Stands
from ..bodies.body import Body

_HEADER = 2  # numbers in front of a sensor's samples


class Standing:
    """Posts and walls around the bodies of a batch.

    Args:
        batch: MuJoCo's.
        model: of the world.
        body: the body.
        stands: what stands around it.
    """

    def __init__(self, batch: Any, model: mujoco.MjModel, body: Body, stands: Stands) -> None:
        self._batch, self._stands = batch, stands
        self._lattice = int(model.body_mocapid[model.body(LATTICE).id]) if stands.n_cell else -1
        self._n_links = body.n_links
        self.is_solid = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, PENETRATION) >= 0
        if self.is_solid:
            self._touch = np.array([_samples(model, TOUCH.format(link)) for link in range(body.n_links)])
            self._depth = _samples(model, PENETRATION)

    def place(self, ids: Int[np.ndarray, " some"], lattice: Float[np.ndarray, "some 3"]) -> None:
        """Put the lattices of some environments somewhere: x and y, m, and heading, rad."""
        if self._lattice >= 0:
            half = lattice[:, 2] / 2
            self._batch.bind("mocap_pos")[ids, self._lattice, :2] = lattice[:, :2]
            self._batch.bind("mocap_quat")[ids[:, None], self._lattice, [0, 3]] = np.stack(
                [np.cos(half), np.sin(half)], -1
            )

    def follow(self, centre: Float[np.ndarray, "envs 2"]) -> None:
        """Move the patches of lattices by whole cells to where the bodies' centres are, m."""
        if self._lattice >= 0:
            position = self._batch.bind("mocap_pos")[:, self._lattice]
            turn = self._batch.bind("mocap_quat")[:, self._lattice]
            heading = 2 * np.arctan2(turn[:, 3], turn[:, 0])
            lattice = np.concatenate([position[:, :2], heading[:, None]], -1)
            position[:, :2] = self._stands.near(lattice, centre)[:, :2]

    def touch(self) -> Float[np.ndarray, "envs links"]:
        """Return the mean force of contacts on each link over the last control step, N."""
        if not self.is_solid:
            return np.zeros((len(self._batch.bind("time")), self._n_links))
        found: np.ndarray = self._batch.bind("history")[:, self._touch].mean(-1)
        return found

    def penetration(self) -> Float[np.ndarray, " envs"]:
        """Return how deep links were in what stands, at the deepest of the last control step, m."""
        if not self.is_solid:
            return np.zeros(len(self._batch.bind("time")))
        found: np.ndarray = np.maximum(-self._batch.bind("history")[:, self._depth].min(-1), 0.0)
        return found


def _samples(model: mujoco.MjModel, sensor: str) -> Int[np.ndarray, " samples"]:
    """Return where the samples of a sensor stand in MuJoCo's history."""
    number = model.sensor(sensor).id
    count, start = int(model.sensor_history[number, 0]), int(model.sensor_historyadr[number])
    return start + _HEADER + count + np.arange(count)
