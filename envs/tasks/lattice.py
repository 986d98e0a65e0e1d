"""Swim through a lattice of posts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from ...errors import InvalidTask
from ..arenas import posts
from ..arenas.arena import Arena
from ..arenas.worlds import Landscape
from ..bodies.body import Body
from ..setting import Envs
from .task import Task

_LATE = 2 / 3  # of an episode, after which one that hardly gets on is stuck
_STUCK = 0.1  # body lengths


class CrossLattice(Task):
    """Swim as far as possible from the start through posts.

    The reward of a step is the increase of the centre of mass's distance from its start, in body lengths, so the
    return is the final distance. If the arena has no posts, the task uses a square lattice in the body's own medium,
    with radius 0.1 and gap 0.2 body lengths.

    Metrics: `lengths_per_second`, net speed of the centre of mass in body lengths per second; `stuck`, 1 if it moved
    less than 0.1 body lengths in the last third of the episode, otherwise 0; `touching`, share of control steps in
    which a link pressed on a post.

    Args:
        envs: the environments.
    """

    senses = ("joint_pos", "touch", "body_velocities")
    metric_units: ClassVar[Mapping[str, str]] = {**Task.metric_units, "lengths_per_second": "L/s"}

    @classmethod
    def own_arena(cls, body: Body) -> Arena:  # noqa: ARG003
        """Return a square lattice in the body's own medium."""
        return Landscape(lattice=posts.Lattice())

    def __init__(self, envs: Envs) -> None:
        super().__init__(envs)
        if envs.arena.stands(envs.body) is None:
            raise InvalidTask(
                "lattice needs an arena with posts; leave the arena out, or give one such as "
                '{"name": "landscape", "lattice": {"gap": 0.3}}'
            )
        self.length = self.one_length()
        self._late_start, self._touched = np.zeros((envs.n_envs, 2)), np.zeros(envs.n_envs)
        self._seen = np.zeros(envs.n_envs, int)

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in some environments."""
        super().reset(ids, rngs)
        # Forces are summed up from the first time that they are asked for: in the first episode too, from its start.
        self.physics.touch()
        self._late_start[ids], self._touched[ids], self._seen[ids] = self.com_start[ids], 0.0, 0

    def reward(self) -> Float[np.ndarray, " envs"]:
        """Return the increase of the centre of mass's distance from its start, in body lengths."""
        com = self.physics.read("com_pos")
        moved = self.envs.elapsed != self._seen
        self._seen[:] = self.envs.elapsed
        self._touched += moved & (self.physics.touch() > 0).any(1)
        begins = moved & (self.envs.elapsed == round(_LATE * self.envs.episode_steps))
        self._late_start[begins] = com[begins]
        now, before = (np.linalg.norm(place - self.com_start, axis=1) for place in (com, self._com_before))
        gained: Float[np.ndarray, " envs"] = np.where(moved, now - before, 0.0) / self.length
        return gained

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed (m/s) and the task's metrics; see the class."""
        found, elapsed = super().metrics(), np.maximum(self.envs.elapsed, 1)
        late = np.linalg.norm(self.physics.read("com_pos") - self._late_start, axis=1)
        is_late = self.envs.elapsed > _LATE * self.envs.episode_steps
        return {
            **found,
            "lengths_per_second": found["net_speed"] / self.length,
            "stuck": (is_late & (late < _STUCK * self.length)).astype(float),
            "touching": self._touched / elapsed,
        }

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the task's state."""
        return {**super().get_state(), "late_start": self._late_start.copy(), "touched": self._touched.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        self._late_start[:], self._touched[:] = state["late_start"], state["touched"]
        self._seen[:] = self.envs.elapsed
