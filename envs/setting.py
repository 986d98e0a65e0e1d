"""What senses and tasks are made for, and what they see of the environments that they are part of."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int

from .arenas.arena import Arena
from .bodies.body import Body
from .physics.physics import Physics


@dataclasses.dataclass(frozen=True)
class Setting:
    """What senses may depend on, known before anything is built.

    Attributes:
        bodies: the bodies in turn of the environments, often one; all of the same number of links.
        arena: what is around them.
        task: the task's class.
        episode_steps: control steps per episode.
        noise: how many values of noise are drawn for each observation.
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
        n_envs: how many.
        body: the first body.
        bodies: all bodies, which the environments have in turn.
        body_index: which of them each environment has, numbers of bodies from 0.
        physics: what steps them.
        task: what they are asked to do.
        elapsed: since the reset, in control steps.
        noise: drawn for the observation that is shown now, standard normal and without a unit.
        episode_steps: of a whole episode, in control steps.
        dt: seconds per control step.
    """

    n_envs: int
    body: Body
    bodies: tuple[Body, ...]
    body_index: Int[np.ndarray, " envs"]
    physics: Physics
    task: Any
    elapsed: Int[np.ndarray, " envs"]
    noise: Float[np.ndarray, "envs noise"]
    episode_steps: int
    dt: float

    def draw_bodies(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Draw what is randomised of some bodies; a task does so before it places them."""
        ...
