"""The geometry of a chain of links over time, as arrays for drawings."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from .obstacles import Obstacles
from .scenery import Scenery

MOTION = ("link_pos", "link_angle", "joint_pos", "com_pos")  # change with time
SHAPE = ("link_length", "link_width", "joint_limit")  # do not


@dataclasses.dataclass(frozen=True)
class Poses:
    """A chain of L links and J joints in the plane, at T instants `dt` apart.

    Attributes:
        name: name of the body.
        dt: seconds between instants.
        link_pos: centre of each link, m.
        link_angle: heading of each link, radians: its axis points from tail to head at this angle from the x axis.
        joint_pos: joint angles, radians, head to tail.
        com_pos: centre of mass, m.
        target_pos: position of the target, m; None without a target.
        link_length: length of each link, m.
        link_width: width of each link, m.
        joint_limit: largest angle of each joint to either side, radians.
        obstacles: obstacles around the body; None without.
        is_chain: whether each link has at most one child; a chain is drawn as one smooth body, others link by link.
        scenery: media and fields around the body.
    """

    name: str
    dt: float
    link_pos: Float[np.ndarray, "T L 2"]
    link_angle: Float[np.ndarray, "T L"]
    joint_pos: Float[np.ndarray, "T J"]
    com_pos: Float[np.ndarray, "T 2"]
    target_pos: Float[np.ndarray, "T 2"] | None
    link_length: Float[np.ndarray, " L"]
    link_width: Float[np.ndarray, " L"]
    joint_limit: Float[np.ndarray, " J"]
    is_chain: bool = True
    obstacles: Obstacles | None = None
    scenery: Scenery = dataclasses.field(default_factory=Scenery)

    def between(self, start: int, stop: int) -> Poses:
        """Return the instants from `start` up to `stop`."""
        moving = {name: getattr(self, name)[start:stop] for name in MOTION}
        target = None if self.target_pos is None else self.target_pos[start:stop]
        obstacles = self.obstacles and self.obstacles.between(start, stop)
        scenery = self.scenery.later(start)
        return dataclasses.replace(self, target_pos=target, obstacles=obstacles, scenery=scenery, **moving)
