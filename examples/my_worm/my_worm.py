# my_worm.py
"""A body and a circuit in a package of their own."""

import itertools
import math

import torch
from nervecord.circuits import Circuit, LaneStep, Neuron, Synapse, Wiring, named_groups, step_length
from nervecord.envs import Swimmer
from nervecord.lane_functions import clip, sincos
from nervecord.vectors import full, select


def stub():
    return Swimmer(name="stub", n_links=5, link_length=0.06, gear=3e-4)


def follow(numbers, weights, sensors, memory, motors, room):
    from_clock = sincos(2 * math.pi * (memory[0] + 0.5) / numbers[1])[0]
    for i in range(int(numbers[0])):
        heard = sensors[i - 1] if i > 0 else select(from_clock > 0.0, full(motors, 1.0), -1.0)
        motors[i] = clip(weights[0] * heard, -1.0, 1.0)
    memory[0] = memory[0] + 1.0


class Follower(Circuit):
    """Each joint follows the bend of the joint before it; the first follows a clock."""

    needs = ("joint_pos",)
    is_bounded = True
    memory = "clock"

    def __init__(self, senses, n_motors, *, period: int = 60, dt=None, dt_ref=None, rng=None):
        super().__init__()
        self.senses, self.n_motors = (("joint_pos", n_motors),), n_motors
        self.period = period / step_length(dt, dt_ref)
        joints = [Neuron(f"joint_{i}", "motor", i / max(n_motors - 1, 1)) for i in range(n_motors)]
        self.neurons, self.groups = named_groups({"joints": joints})
        self.gain = torch.nn.Parameter(torch.tensor(1.0))

    def initial_state(self, batch_size):
        return {"step": torch.zeros(batch_size, 1, device=self.gain.device)}

    def forward_with_activity(self, sensors, state, pins=None):
        # Half a step after each, so that rounding never decides on which side of 0 the clock is.
        clock = torch.sin(2 * torch.pi * (state["step"] + 0.5) / self.period).sign()
        motor = (self.gain * torch.cat([clock, sensors[:, :-1]], 1)).clamp(-1, 1)
        motor = self.pinned(motor, "joints", pins)
        return motor, {"step": state["step"] + 1}, motor

    def wiring(self, state=None):
        names, weight = [neuron.name for neuron in self.neurons], self.gain.item()
        return Wiring(self.neurons, tuple(Synapse(a, b, weight, "gain") for a, b in itertools.pairwise(names)))

    def lane_step(self):
        return LaneStep(follow, n_weights=1, n_memory=1, numbers=(self.n_motors, self.period))
