"""The present moment of an environment as a picture: what `SwimmerEnv.render` returns."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from ..drawing.top_view import TopView
from ..envs import World
from ..training.rollouts.record import body_facts
from ..training.rollouts.recording import Recording


def picture_of(world: World, size: tuple[int, int] = (480, 360)) -> UInt8[np.ndarray, "height width 3"]:
    """Draw the first environment of a world from above, as its state is now.

    Places of links must be bound before the last reset or step; `SwimmerEnv` with a render mode does so.
    """
    simulation, task = world.simulation, world.task
    rows = {
        "observations": task.observation(),
        "actions": simulation.ctrl,
        "joint_pos": simulation.joint_pos,
        "joint_vel": simulation.qvel[:, 3:],
        "torque": simulation.ctrl * simulation.gear,
        "link_pos": simulation.link_pos,
        "link_angle": simulation.link_angle,
        "com_pos": simulation.com,
        "target_pos": task.target_pos,
    }
    recording = Recording(
        **{name: np.array(value[:1])[:, None] for name, value in rows.items()},
        rewards=np.zeros((1, 1)),
        activity=np.zeros((1, 1, 0)),
        neurons=(),
        dt=world.body.control_dt,
        meta=body_facts(world),
    )
    return TopView(recording, size=size, clock=False).frame(0)
