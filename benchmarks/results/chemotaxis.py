"""Following an odour by its change in time, beside its controls: a table of docs/results/world.md.

python -m nervecord.benchmarks.results.chemotaxis [--seeds 5] [--episodes 400]
python -m nervecord.benchmarks.results.chemotaxis --learn runs/chemotaxis     networks trained by PPO instead
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from ...agents import Agent, AgentSpec
from ...envs import EnvBatch
from ...intervals import Interval, bootstrap_mean
from ...training.learning.training import train
from ...training.rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from ...training.runs.config import RunConfig
from ...training.runs.run import Run
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
# As many as ten minutes of one core allow, in all.
LEARNED_STEPS = {"mlp": 1_500_000, "lstm": 750_000}
_SHOWN = ("half_plane", "chemotaxis_index", "late_index", "reached")


def indices(arm: Arm, seeds: int, episodes: int, trained: Run | None = None) -> dict[str, Interval]:
    """Return the mean of each index over seeds, each the mean over its episodes; intervals are over seeds.

    Args:
        arm: the agent, and the task.
        seeds: sets of episodes.
        episodes: of each set.
        trained: a run whose agent takes the place of the arm's.
    """
    found: dict[str, list[float]] = {name: [] for name in _SHOWN}
    for seed in range(seeds):
        envs = EnvBatch(
            "chemotaxis", episodes, arm.body, physics="lanes", episode_steps=arm.steps, n_threads=1, **arm.task
        )
        if trained is None:
            agent = Agent(AgentSpec(arm.circuit, envs.layout, envs.body.n_joints, circuit_options=arm.options))
        else:
            agent = trained.agent()
        metrics = evaluate_agent(agent, envs, seed=EVALUATION_SEED + seed * episodes).metrics
        envs.close()
        for name, values in found.items():
            values.append(float(np.mean(metrics[name])))
    return {name: bootstrap_mean(values) for name, values in found.items()}


def learned(circuit: str, out: Path) -> Run:
    """Return a run in which a network learned the task by PPO, from the return that every arm here has too."""
    config = RunConfig(circuit, "ppo", task="chemotaxis", steps=LEARNED_STEPS[circuit], task_options=_NEAR)
    return train(config, out / circuit, progress=False)


def main(seeds: int = 5, episodes: int = 400, learn: Path | None = None) -> None:
    """Print the table, line by line.

    Args:
        seeds: sets of episodes.
        episodes: of each seed.
        learn: folder of networks to train and test in place of the arms without training.
    """
    header = ["agent", "half-plane", "1 - mean d / d(0)", "last third", "reached"]
    arms: dict[str, tuple[Arm, Run | None]] = {label: (arm, None) for label, arm in ARMS.items()}
    if learn is not None:
        arms = {f"{name} by PPO": (Arm(name, task=_NEAR), learned(name, learn)) for name in LEARNED_STEPS}
    for row, (label, (arm, run)) in enumerate(arms.items()):
        found = indices(arm, seeds, episodes, run)
        cells = [label, *(f"{each.mean:.2f} [{each.low:.2f}, {each.high:.2f}]" for each in found.values())]
        print(markdown_table(header, cells).split("\n", 0 if row == 0 else 2)[-1], flush=True)


if __name__ == "__main__":
    tyro.cli(main)
