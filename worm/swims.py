"""A teacher's swimming, for a circuit to imitate: sensor values and motor commands."""

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
    """A teacher's sensor values and motor commands on a body, from several starts.

    Attributes:
        sensors: joint positions in units of the joint limit.
        motors: the teacher's motor commands, in units of the motor's range.
    """

    sensors: Float[Tensor, "time starts joints"]
    motors: Float[Tensor, "time starts joints"]

    def error(self, circuit: Connectome) -> Float[Tensor, ""]:
        """Return the mean squared error of a circuit's motor commands, relative to the mean square of the teacher's.

        The circuit receives the teacher's sensor values. 0 is a perfect imitation, and motors at rest have 1.

        Raises:
            CircuitMismatch: the circuit has another number of joints.
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
    """Record an agent's swimming on its body, in double precision.

    Args:
        agent: the teacher.
        resolved: its resolved config, with body and task.

    Raises:
        CircuitMismatch: the teacher's motors do not move, so there is nothing to imitate.
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
