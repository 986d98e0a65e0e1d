"""Following an odour by its change in time, beside its controls: tables of docs/results/world.md.

python -m nervecord.benchmarks.results.chemotaxis --page docs/results/world.md
python -m nervecord.benchmarks.results.chemotaxis --learn runs/chemotaxis --page docs/results/world.md

The second trains: networks by PPO, and the circuit by ES.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...agents import Agent, AgentSpec
from ...envs import EnvBatch
from ...intervals import Interval, bootstrap_mean
from ...training.learning.training import train
from ...training.rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from ...training.runs.config import RunConfig
from ...training.runs.run import Run
from .command import start
from .tables import PrintedTable, fill_page

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
        arena: its surroundings; None is the body's own medium.
    """

    circuit: str = "klinotaxis"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    task: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    body: str = "swimmer6"
    steps: int = 2000
    arena: str | None = None


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
    "relay_klinotaxis": Arm("relay_klinotaxis", task=_NEAR),
    "relay_klinotaxis: each smells another's path": Arm("relay_klinotaxis", task={**_NEAR, "shuffled": True}),
    "relay, unsteered": Arm("relay", task=_NEAR),
    "relay_klinotaxis: klinotaxis alone": Arm("relay_klinotaxis", {"klinokinesis": False}, _NEAR),
    "relay_klinotaxis: klinokinesis alone": Arm("relay_klinotaxis", {"klinotaxis": False}, _NEAR),
    "relay_klinotaxis: source 2 m away, 3,000 steps": Arm(
        "relay_klinotaxis", task={**_NEAR, "distances": [2.0 / _LENGTH]}, steps=3000
    ),
    "relay_klinotaxis: 12 links": Arm(
        "relay_klinotaxis", task={"distances": [1.0 / 1.2], "spread": 1.0 / 1.2}, body="swimmer12"
    ),
    "relay_klinotaxis: worm in water, 1.7 L away": Arm(
        "relay_klinotaxis", {"init": "worm", "limit": 12.0, "velocity": True},
        {"distances": [1.7], "senses": ["joint_pos", "joint_vel", "odour", "body_velocities"]}, "worm", arena="water",
    ),
}  # fmt: skip
# Learner, environment steps and options: what half an hour of one core allows for five seeds, in all.
LEARNED: Mapping[str, tuple[str, int, Mapping[str, Any]]] = {
    "mlp": ("ppo", 500_000, {}),
    "lstm": ("ppo", 250_000, {}),
    "klinotaxis": ("es", 1_280_000, {"n_envs": 32}),
}
_SHOWN = ("half_plane", "chemotaxis_index", "late_index", "reached")


def indices(arm: Arm, seeds: int, episodes: int, trained: Callable[[int], Run] | None = None) -> dict[str, Interval]:
    """Return the mean of each index over seeds, each the mean over its episodes; intervals are over seeds.

    Args:
        arm: the agent, and the task.
        seeds: sets of episodes.
        episodes: of each set.
        trained: of a seed, a run whose agent takes the place of the arm's.
    """
    found: dict[str, list[float]] = {name: [] for name in _SHOWN}
    for seed in range(seeds):
        envs = EnvBatch("chemotaxis", episodes, arm.body, arm.arena, "lanes", 1, episode_steps=arm.steps, **arm.task)
        if trained is None:
            agent = Agent(AgentSpec(arm.circuit, envs.layout, envs.body.n_joints, circuit_options=arm.options))
        else:
            agent = trained(seed).agent()
        metrics = evaluate_agent(agent, envs, seed=EVALUATION_SEED + seed * episodes).metrics
        envs.close()
        for name, values in found.items():
            values.append(float(np.mean(metrics[name])))
    return {name: bootstrap_mean(values) for name, values in found.items()}


def learned(circuit: str, seed: int, out: Path) -> Run:
    """Return a run in which a circuit learned the task, from the return that every arm here has too."""
    algorithm, steps, options = LEARNED[circuit]
    config = RunConfig(
        circuit, algorithm, task="chemotaxis", seed=seed, steps=steps, task_options=_NEAR, algorithm_options=options
    )
    return train(config, out / circuit / str(seed), progress=False)


def main(seeds: int = 5, episodes: int = 400, learn: Path | None = None, page: Path | None = None) -> None:
    """Print a table, line by line.

    Args:
        seeds: sets of episodes.
        episodes: of each seed.
        learn: folder of the runs of circuits that are trained and tested in place of the arms without training.
        page: in which to put the table too, such as docs/results/world.md.
    """
    table = PrintedTable("agent", "half-plane", "1 - mean d / d(0)", "last third", "reached")
    arms: dict[str, tuple[Arm, Callable[[int], Run] | None]] = {label: (arm, None) for label, arm in ARMS.items()}
    if learn is not None:
        arms = {
            f"{name} by {algorithm.upper()}": (Arm(name, task=_NEAR), functools.partial(learned, name, out=learn))
            for name, (algorithm, _, _) in LEARNED.items()
        }
    for label, (arm, run) in arms.items():
        found = indices(arm, seeds, episodes, run)
        table.add(label, *(f"{each.mean:.2f} [{each.low:.2f}, {each.high:.2f}]" for each in found.values()))
    if page:
        fill_page(page, {"chemotaxis" if learn is None else "chemotaxis-learned": table.text})


if __name__ == "__main__":
    start(main)
