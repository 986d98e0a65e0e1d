"""A circuit in one file: each joint follows the bend of the one before it, the first a clock (see docs)."""

import itertools

import torch
import tyro
from nervecord import RunConfig, evaluate, train
from nervecord.circuits import Circuit, Neuron, Synapse, Wiring, register_circuit


class Relay(Circuit):
    """Each joint follows the bend of the joint before it; the first follows a clock."""

    def __init__(self, senses, n_motors, *, period=60, rng=None):
        super().__init__()
        self.senses, self.n_motors, self.period = (("joint_pos", n_motors),), n_motors, period
        self.neurons = tuple(Neuron(f"relay_{i}", "motor", i / max(n_motors - 1, 1)) for i in range(n_motors))
        self.gain = torch.nn.Parameter(torch.tensor(1.0))

    @property
    def is_recurrent(self):
        return False  # it counts steps, but nothing learned goes through the count

    def initial_state(self, batch_size):
        return {"step": torch.zeros(batch_size, 1)}

    def forward_with_activity(self, sensors, state):
        clock = torch.sin(2 * torch.pi * state["step"] / self.period).sign()
        motor = (self.gain * torch.cat([clock, sensors[:, :-1]], 1)).clamp(-1, 1)
        return motor, {"step": state["step"] + 1}, motor

    def wiring(self):
        names, weight = [neuron.name for neuron in self.neurons], self.gain.item()
        return Wiring(self.neurons, tuple(Synapse(a, b, weight, "gain") for a, b in itertools.pairwise(names)))


def main(out: str = "runs/relay", steps: int = 64_000, episode_steps: int = 1000) -> float:
    register_circuit("relay", Relay, "each joint follows the one before", needs=("joint_pos",))
    run = train(RunConfig("relay", "es", steps=steps, episode_steps=episode_steps), out)
    found = evaluate(run, episodes=8).mean_return
    print(f"return {found}")
    return found.mean


if __name__ == "__main__":
    tyro.cli(main)
