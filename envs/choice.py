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
    """Return the physics' name for a setting and, where "auto" did not give lanes, the reason in one line.

    The choice is the same on every machine with numba: it depends on bodies, arena and whether numba can compile, not
    on earlier compilations. Only a model of the body is built.

    Raises:
        UnknownName: neither "auto" nor a physics.
        InvalidBody: lanes were asked for by name and do not cover the body; the message has the reason.
        MissingDependency: lanes were asked for by name and cannot be compiled here; the message has the reason.
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
