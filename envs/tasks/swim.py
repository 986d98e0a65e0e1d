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
        desired_speed: speed for a reward of 1, m/s.
        reward: "paper": forward speed of the head in its own frame, from 0 at rest to at most 1 at the desired
            speed; "com": forward speed of the centre of mass divided by the desired speed, unbounded. Wiggling the
            head in place is rewarded by "paper" but not by "com".
    """

    allowed: ClassVar[Mapping[str, Allowed]] = {
        "desired_speed": Number(0, above=True),
        "reward": OneOf(("paper", "com")),
    }

    def __init__(self, envs: Envs, desired_speed: float = 0.1, reward: Literal["paper", "com"] = "paper") -> None:
        super().__init__(envs)
        self.desired_speed, self.kind = desired_speed, reward

    def reward(self) -> Float[np.ndarray, " envs"]:
        """Return the reward: from 0 to 1 with "paper", in units of the desired speed with "com"."""
        if self.kind == "com":
            return self.forward_com_speed() / self.desired_speed
        # The head faces its -y axis.
        return np.clip(-self.physics.read("link_vel")[:, 0, 1] / self.desired_speed, 0.0, 1.0)

    @property
    def reward_threshold(self) -> float | None:
        """Nine tenths of the largest possible return with "paper"; None with "com", which is unbounded."""
        return 0.9 * self.envs.episode_steps if self.kind == "paper" else None

    def pay(self) -> Pay | None:
        """Return the reward "paper" in the form that lanes compute."""
        return Pay("link_vel", 1, -self.desired_speed, 0.0, 1.0) if self.kind == "paper" else None
