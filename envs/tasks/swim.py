"""Swim forwards."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ...errors import InvalidTask, UnknownName
from ..physics.simulation import Simulation
from .task import Task


class Swim(Task):
    """Swim forwards (Bhattasali et al. 2022, section 4).

    Args:
        simulation: the bodies.
        desired_speed: the speed that earns a reward of 1, m/s.
        reward: "paper" pays the forward speed of the head in its own frame, from 0 at rest to 1 at the
            desired speed and no more; "com" pays the forward speed of the centre of mass in units of
            the desired speed, without bounds, which a body that only wiggles its head does not earn.
        task: arguments of `Task`.
    """

    def __init__(
        self,
        simulation: Simulation,
        desired_speed: float = 0.1,
        reward: Literal["paper", "com"] = "paper",
        **task: Any,
    ) -> None:
        if not desired_speed > 0:
            raise InvalidTask(f"desired_speed is {desired_speed} m/s; give a number above 0")
        if reward not in ("paper", "com"):
            raise UnknownName("reward", str(reward), ("paper", "com"))
        self.desired_speed, self.needs_com_speed = desired_speed, reward == "com"
        if self.needs_com_speed:
            simulation.link_pos  # noqa: B018  (binds it, so that it is current after the first step)
        super().__init__(simulation, **task)

    def reward(self, com_speed: Float[np.ndarray, " envs"]) -> Float[np.ndarray, " envs"]:
        """Return the reward of the step: from 0 to 1 by "paper", in units of the desired speed by "com"."""
        if self.needs_com_speed:
            return com_speed / self.desired_speed
        return np.clip(self.simulation.head_velocity / self.desired_speed, 0.0, 1.0)
