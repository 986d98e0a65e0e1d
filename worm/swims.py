"""A swim that a circuit is to keep or to learn: what a teacher sensed, and how it moved its motors."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..agents import Agent
from ..circuits.connectome import Connectome
from ..errors import CircuitMismatch
from ..training.rollouts.recorder import record_agent
from ..training.runs.resolution import Resolved

_EPISODES, _SECONDS = 2, 9.0  # five periods of the oscillator each


@dataclasses.dataclass(frozen=True)
class Swim:
    """What a teacher did on a body, from several starts.

    Attributes:
        sensors: joint positions in units of the joint limit.
        motors: the teacher's motor commands, in units of the motor's range.
    """

    sensors: Float[Tensor, "time starts joints"]
    motors: Float[Tensor, "time starts joints"]

    def error(self, circuit: Connectome) -> Float[Tensor, ""]:
        """Return the mean square of what a circuit's motors do otherwise, over that of the teacher's; no unit.

        The circuit senses what the teacher sensed: 0 is the same swim, and 1 is what motors at rest come to.

        Raises:
            CircuitMismatch: it is on a body with another number of joints.
        """
        if circuit.n_motors != self.motors.shape[-1]:
            raise CircuitMismatch(
                f"the teacher moves {self.motors.shape[-1]} joints and the circuit {circuit.n_motors}; give a teacher "
                "on the same body"
            )
        begins = torch.zeros(self.sensors.shape[:2], dtype=torch.bool)
        found, _ = circuit.unroll(self.sensors, circuit.initial_state(self.sensors.shape[1]), begins)
        return ((found - self.motors) ** 2).mean() / (self.motors**2).mean()


def swim_of(agent: Agent, resolved: Resolved) -> Swim:
    """Return how an agent swims on its body, in double precision.

    Args:
        agent: the teacher.
        resolved: its body and task.

    Raises:
        CircuitMismatch: its motors do not move, so that there is nothing to learn.
    """
    envs = resolved.make_envs(_EPISODES, randomize={})
    try:
        steps = min(round(_SECONDS / envs.dt), envs.episode_steps)
        recording = record_agent(agent, envs)
    finally:
        envs.close()
    limits = np.asarray(recording.meta["joint_limit"], float)
    sensors = np.asarray(recording.joint_pos[:, :steps], float) / limits
    motors = np.asarray(recording.actions[:, :steps], float)
    if motors.std() < 1e-6:
        raise CircuitMismatch("the teacher's motors do not move; give one that swims")
    return Swim(*(torch.from_numpy(np.ascontiguousarray(each.swapaxes(0, 1))) for each in (sensors, motors)))
