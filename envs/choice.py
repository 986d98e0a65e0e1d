"""Choose the physics of a setting."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InvalidBody, MissingDependency, UnknownName
from .physics.lane_physics import LanePhysics, reason_no_lanes
from .physics.lanes import reason_not_compiled
from .physics.mujoco_batch import MujocoBatch
from .physics.physics import Physics
from .setting import Setting

PHYSICS: dict[str, Callable[..., Physics]] = {"mujoco": MujocoBatch, "lanes": LanePhysics}
PHYSICS_CHOICES = ("auto", *PHYSICS)


def choose_physics(asked: str, setting: Setting) -> tuple[str, str]:
    """Return the name of the physics for a setting and, if "auto" did not choose lanes, the reason in one line.

    The choice depends only on bodies, arena and whether numba can compile, so it is the same on every machine with
    numba. Only a model of the body is built.

    Raises:
        UnknownName: `asked` is neither "auto" nor a physics.
        InvalidBody: `asked` is "lanes", which do not cover the body; the message says why.
        MissingDependency: `asked` is "lanes", which cannot be compiled here; the message says why.
    """
    if asked not in PHYSICS_CHOICES:
        raise UnknownName("physics", asked, PHYSICS_CHOICES)
    if asked == "mujoco":
        return "mujoco", ""
    if reason := reason_no_lanes(setting.bodies, setting.arena):
        if asked == "lanes":
            raise InvalidBody(f"{reason}; choose physics mujoco")
        return "mujoco", f"physics mujoco: {reason}"
    if reason := reason_not_compiled():
        if asked == "lanes":
            raise MissingDependency(reason)
        return "mujoco", f"physics mujoco: {reason}"
    return "lanes", ""
