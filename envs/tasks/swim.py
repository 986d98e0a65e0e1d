"""Swim forwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from ...options import Allowed, Number, OneOf
from ..setting import Envs
from .task import Pay, Task


class Swim(Task):
    """Swim forwards (Bhattasali et al. 2022, section 4).

    Args:
        envs: the environments.
        desired_speed: the speed that earns a reward of 1, m/s.
        reward: "paper" pays the forward speed of the head in its own frame, from 0 at rest to 1 at the
            desired speed and no more; "com" pays the forward speed of the centre of mass in units of
            the desired speed, without bounds, which a body that only wiggles its head does not earn.
    """

    allowed: ClassVar[Mapping[str, Allowed]] = {
        "desired_speed": Number(0, above=True),
        "reward": OneOf(("paper", "com")),
    }

    def __init__(self, envs: Envs, desired_speed: float = 0.1, reward: Literal["paper", "com"] = "paper") -> None:
        super().__init__(envs)
        self.desired_speed, self.kind = desired_speed, reward

    def reward(self) -> Float[np.ndarray, " envs"]:
        """Return the reward of the step: from 0 to 1 by "paper", in units of the desired speed by "com"."""
        if self.kind == "com":
            return self.forward_com_speed() / self.desired_speed
        # The head faces its -y axis.
        return np.clip(-self.physics.read("link_vel")[:, 0, 1] / self.desired_speed, 0.0, 1.0)

    @property
    def reward_threshold(self) -> float | None:
        """Nine tenths of what can be earned by "paper", no unit; "com" has no bound."""
        return 0.9 * self.envs.episode_steps if self.kind == "paper" else None

    def pay(self) -> Pay | None:
        """Return the reward "paper" as what it is, for lanes."""
        return Pay("link_vel", 1, -self.desired_speed, 0.0, 1.0) if self.kind == "paper" else None
