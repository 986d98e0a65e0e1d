"""Following an odour by its change in time, beside its controls: a table of docs/results/world.md.

python -m nervecord.benchmarks.results.chemotaxis [--seeds 5] [--episodes 400]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tyro

from ...agents import Agent, AgentSpec
from ...envs import EnvBatch
from ...intervals import Interval, bootstrap_mean
from ...training.rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from ...training.studies.markdown import markdown_table

_LENGTH = 0.6  # m, of swimmer6


@dataclasses.dataclass(frozen=True)
class Arm:
    """An untrained agent and the task in which it is tested.

    Attributes:
        circuit: its circuit.
        options: of the circuit.
        task: options of the task.
        body: its body.
        steps: control steps of an episode.
    """

    circuit: str = "klinotaxis"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    task: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    body: str = "swimmer6"
    steps: int = 2000


_NEAR: Mapping[str, Any] = {"distances": [1.0 / _LENGTH], "spread": 1.0 / _LENGTH}
ARMS = {
    "klinotaxis": Arm(task=_NEAR),
    "each smells another's path": Arm(task={**_NEAR, "shuffled": True}),
    "NCAP, unsteered": Arm("ncap", task=_NEAR),
    "klinotaxis alone": Arm(options={"klinokinesis": False}, task=_NEAR),
    "klinokinesis alone": Arm(options={"klinotaxis": False}, task=_NEAR),
    "source 2 m away, 3,000 steps": Arm(task={**_NEAR, "distances": [2.0 / _LENGTH]}, steps=3000),
    "a cone": Arm(task={**_NEAR, "spread": 3.0, "form": "cone"}),
    "noise of 3 % a step": Arm(task={**_NEAR, "odour_noise": 0.03}),
    "12 links": Arm(task={"distances": [1.0 / 1.2], "spread": 1.0 / 1.2}, body="swimmer12"),
}
_SHOWN = ("half_plane", "chemotaxis_index", "late_index", "reached")


def indices(arm: Arm, seeds: int, episodes: int) -> dict[str, Interval]:
    """Return the mean of each index over seeds, each the mean over its episodes; intervals are over seeds."""
    found: dict[str, list[float]] = {name: [] for name in _SHOWN}
    for seed in range(seeds):
        envs = EnvBatch(
            "chemotaxis", episodes, arm.body, physics="lanes", episode_steps=arm.steps, n_threads=1, **arm.task
        )
        agent = Agent(AgentSpec(arm.circuit, envs.layout, envs.body.n_joints, circuit_options=arm.options))
        metrics = evaluate_agent(agent, envs, seed=EVALUATION_SEED + seed * episodes).metrics
        envs.close()
        for name, values in found.items():
            values.append(float(np.mean(metrics[name])))
    return {name: bootstrap_mean(values) for name, values in found.items()}


def main(seeds: int = 5, episodes: int = 400) -> None:
    """Print the table, line by line.

    Args:
        seeds: sets of episodes; nothing is trained.
        episodes: of each seed.
    """
    header = ["agent", "half-plane", "1 - mean d / d(0)", "last third", "reached"]
    for row, (label, arm) in enumerate(ARMS.items()):
        found = indices(arm, seeds, episodes)
        cells = [label, *(f"{each.mean:.2f} [{each.low:.2f}, {each.high:.2f}]" for each in found.values())]
        print(markdown_table(header, cells).split("\n", 0 if row == 0 else 2)[-1], flush=True)


if __name__ == "__main__":
    tyro.cli(main)
