"""`Setting`, the facts that senses and tasks depend on, and `Envs`, their view of the environments."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int

from .arenas.arena import Arena
from .arenas.fields import LiveField
from .bodies.body import Body
from .physics.physics import Physics


@dataclasses.dataclass(frozen=True)
class Setting:
    """The facts that senses may depend on, known before anything is built.

    Attributes:
        bodies: the environments' bodies, assigned in turn; often one. All have the same number of links.
        arena: the bodies' surroundings.
        task: the task's class.
        episode_steps: control steps per episode.
        noise: number of random values drawn for each observation.
    """

    bodies: tuple[Body, ...]
    arena: Arena
    task: type
    episode_steps: int
    noise: int = 0

    @property
    def body(self) -> Body:
        """The first body."""
        return self.bodies[0]


class Envs(Protocol):
    """A batch of environments, as a sense or a task sees it.

    Attributes:
        n_envs: number of environments.
        body: the first body.
        bodies: all bodies, assigned to the environments in turn.
        body_index: index in `bodies` of each environment's body.
        arena: the bodies' surroundings.
        physics: simulates the bodies.
        task: the environments' task.
        fields: the arena's fields, `odour` and `temperature`, as they are around each environment; those that it has.
        rngs: each environment's generator; None before its first seed.
        elapsed: time since the reset, in control steps.
        noise: random values for the present observation, standard normal.
        episode_steps: length of a whole episode, in control steps.
        dt: seconds per control step.
    """

    n_envs: int
    body: Body
    bodies: tuple[Body, ...]
    body_index: Int[np.ndarray, " envs"]
    arena: Arena
    physics: Physics
    task: Any
    fields: dict[str, LiveField]
    rngs: list[np.random.Generator | None]
    elapsed: Int[np.ndarray, " envs"]
    noise: Float[np.ndarray, "envs noise"]
    episode_steps: int
    dt: float

    def draw_bodies(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Draw the randomised parameters of some bodies; a task does so before it places them."""
        ...

    def put(
        self,
        ids: Int[np.ndarray, " some"],
        rngs: Sequence[np.random.Generator],
        heading: Float[np.ndarray, " some"],
        joint_pos: Float[np.ndarray, "some joints"],
    ) -> None:
        """Put some bodies at rest at the origin, with heading and joint angles in rad, or where posts leave room."""
        ...
