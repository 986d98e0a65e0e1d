"""Which physics steps the bodies of a setting."""

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

    The same on every machine that has numba: it depends on bodies, arena and whether numba can compile, never on what
    has been compiled before. Nothing is built but a model of the body.

    Raises:
        UnknownName: neither "auto" nor a physics.
        InvalidBody: lanes were asked for by name, and do not cover the body; says why.
        MissingDependency: lanes were asked for by name, and cannot be compiled here; says why.
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
