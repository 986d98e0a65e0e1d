"""Names resolved to the setting of environments, and this to the layout of what they observe; nothing is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidBody, InvalidTask
from .arenas import Arena, make_arena
from .bodies import Body, make_body
from .bodies.body import joint_limit
from .senses import Layout
from .setting import Setting
from .tasks.registry import task_class


def make_setting(
    task: str,
    body: str | Path | Body | Sequence[str | Path | Body] = "swimmer6",
    arena: str | Arena | Mapping[str, Any] | None = None,
    episode_steps: int | None = None,
    noise: int = 0,
) -> Setting:
    """Resolve names to what an observation depends on; nothing is built.

    Raises:
        UnknownName: there is no such task, body or arena.
        InvalidTask: no steps in an episode, or fewer than no values of noise.
        InvalidBody: several bodies that do not go together.
    """
    kind = task_class(task)
    several: Sequence[Any] = body if isinstance(body, list | tuple) else [body]
    bodies = tuple(map(make_body, several))
    if not bodies:
        raise InvalidBody("no body; give one or more")
    first = bodies[0]
    for other in bodies[1:]:
        same = (other.n_links, other.control_dt) == (first.n_links, first.control_dt)
        if not same or not np.allclose(joint_limit(other), joint_limit(first)):
            raise InvalidBody(
                f"{other.name} ({other.n_links} links) cannot share a batch with {first.name} ({first.n_links} links); "
                "bodies of one batch share number of links, joint limits and control step"
            )
    steps = kind.default_steps if episode_steps is None else episode_steps
    if steps < 1:
        raise InvalidTask(f"episode_steps is {steps}; give 1 or more")
    if noise < 0:
        raise InvalidTask(f"noise is {noise}; give 0 or more values for each observation")
    made = make_arena(arena)
    return Setting(bodies, kind.own_arena(first) if made == Arena() else made, kind, steps, noise)


def make_layout(setting: Setting, senses: Sequence[str] | None = None, observe_time: bool = False) -> Layout:
    """Return what stands where in the observation of a setting; nothing is built.

    Raises:
        UnknownName: there is no such sense.
        InvalidTask: a sense that body, arena or task do not have.
    """
    names = list(setting.task.senses if senses is None else senses)  # type: ignore[attr-defined]
    if observe_time and "time" not in names:
        names.append("time")
    if setting.noise and "noise" not in names:
        names.append("noise")
    return Layout.of(names, setting)
