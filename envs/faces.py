"""Whole environment steps in one compiled call, where senses and reward are readings of the physics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float, Shaped

from .physics.lane_physics import LanePhysics
from .physics.lanes import Face
from .physics.lanes.rows import DIVERGED, KEPT, NET_SPEED, REWARD, TIME, TRUNCATED
from .senses import SENSES, Layout, Time
from .setting import Envs
from .tasks.task import Task


class Shown(NamedTuple):
    """The result of a step, as in `Step`: arrays that belong to the caller."""

    observation: Float[np.ndarray, "envs obs"]
    reward: Float[np.ndarray, " envs"]
    terminated: Bool[np.ndarray, " envs"]
    truncated: Bool[np.ndarray, " envs"]
    metrics: dict[str, Shaped[np.ndarray, " envs"]]


def face_of(envs: Envs, layout: Layout, space: spaces.Box, observation: Float[np.ndarray, "envs obs"]) -> Face | None:
    """Let the compiled physics write observations, rewards and episode ends of these environments.

    Return None where it cannot: on MuJoCo, with senses or rewards that are more than a reading, and for tasks with
    their own metrics or ends. Observations are written to `observation`, in units of the layout, a row for each
    environment, but for senses that are constant: those the caller writes, at each reset.
    """
    physics, task = envs.physics, envs.task
    pay = task.pay() if _declares(type(task), "reward", "pay") else None
    if not isinstance(physics, LanePhysics) or pay is None:
        return None
    if any(getattr(type(task), name) is not getattr(Task, name) for name in ("terminated", "metrics")):
        return None
    paid, columns = physics.columns(pay.quantity), []
    for sense in layout.senses:
        kind = SENSES[sense.name]
        if type(kind) is Time:
            readings: np.ndarray | None = np.array([TIME])
        elif kind.is_constant:
            readings = np.full(sense.size, KEPT)
        else:
            readings = physics.columns(kind.quantity) if _declares(type(kind), "read", "quantity") else None
        if readings is None:
            return None
        columns.append(readings)
    if paid is None:
        return None
    velocities = layout["body_velocities"] if "body_velocities" in layout else slice(0, 0)
    rule = (
        envs.dt, envs.episode_steps, paid[pay.index], pay.unit, pay.least, pay.most, velocities.start, velocities.stop
    )  # fmt: skip
    physics.show(
        face := Face(
            np.array(rule, float),
            np.concatenate(columns),
            np.stack([space.low, space.high]).astype(float),
            envs.elapsed,
            task.com_start,
            observation,
        )
    )
    return face


def shown(face: Face) -> Shown:
    """Return the result of the last step: rewards without a unit, net speed in m/s."""
    numbers, flags = face.numbers.copy(), face.flags.copy()
    metrics = {"net_speed": numbers[NET_SPEED], "diverged": face.flags[DIVERGED].copy()}
    return Shown(face.observation.copy(), numbers[REWARD], flags[DIVERGED], flags[TRUNCATED], metrics)


def _declares(kind: type, method: str, declaration: str) -> bool:
    """Return whether the class that defines `method` also has the attribute `declaration`, which describes it."""
    owner = next(each for each in kind.__mro__ if method in vars(each))
    return declaration in vars(owner)
