"""Swim to a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from .targets import Targeted


class Navigate(Targeted):
    """Reach a target with the nose: dm_control's swimmer task.

    The target is drawn from a square around the origin that reaches 2 m to each side, in one of five episodes 0.3 m.
    The reward is 1 inside the target's radius and falls off with a long tail outside, to 0.1 at five radii from the
    rim. Reaching the target does not end an episode.
    """

    senses = ("joint_pos", "to_target", "body_velocities")
    metric_units: ClassVar[Mapping[str, str]] = {**Targeted.metric_units, "target_distance": "m"}
    target_radius = 0.1  # m

    def draw_target(
        self,
        index: int,  # noqa: ARG002
        nose: Float[np.ndarray, " 2"],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Float[np.ndarray, " 2"]:
        """Draw a position in a square around the origin, m."""
        box = 0.3 if rng.uniform() < 0.2 else 2.0
        return rng.uniform(-box, box, size=2)

    def paid(self) -> Float[np.ndarray, " envs"]:
        """Return the reward, from 0 to 1; see the class."""
        beyond = np.maximum(self.distance() - self.target_radius, 0.0) / (5 * self.target_radius)
        return 1.0 / ((3.0 * beyond) ** 2 + 1.0)

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed (m/s), the metrics of reaching the target, and the nose's distance from it (m)."""
        return {**super().metrics(), "target_distance": self.distance()}
