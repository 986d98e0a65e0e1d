"""A circuit in one file: each joint follows the bend of the one before it, the first a clock (see docs)."""

import itertools

import torch
import tyro
from nervecord import RunConfig, evaluate, train
from nervecord.circuits import Circuit, Neuron, Synapse, Wiring, named_groups, register_circuit, step_length


class Follower(Circuit):
    """Each joint follows the bend of the joint before it; the first follows a clock."""

    is_bounded = True
    memory = "clock"  # it counts steps; training needs no gradient through the count

    def __init__(self, senses, n_motors, *, period=60, dt=None, dt_ref=None, rng=None):
        super().__init__()
        self.senses, self.n_motors = (("joint_pos", n_motors),), n_motors
        # Keeps the clock's period in seconds on bodies with another control step.
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
        # Applies --silence, --clamp and --drive to these neurons.
        motor = self.pinned(motor, "joints", pins)
        return motor, {"step": state["step"] + 1}, motor

    def wiring(self, state=None):
        names, weight = [neuron.name for neuron in self.neurons], self.gain.item()
        return Wiring(self.neurons, tuple(Synapse(a, b, weight, "gain") for a, b in itertools.pairwise(names)))


def main(out: str = "runs/follower", steps: int = 64_000, episode_steps: int = 1000) -> float:
    register_circuit("follower", Follower, "each joint follows the one before", needs=("joint_pos",))
    run = train(RunConfig("follower", "es", steps=steps, episode_steps=episode_steps), out)
    found = evaluate(run, episodes=8).mean_return
    print(f"return {found}")
    return found.mean


if __name__ == "__main__":
    tyro.cli(main)
