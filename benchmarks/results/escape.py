"""Escape from a touch by the circuit of that name, untrained, beside no touch: a table of docs/results/world.md.

python -m nervecord.benchmarks.results.escape --page docs/results/world.md [--sets 5] [--episodes 20]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...agents import Agent, AgentSpec
from ...envs import EnvBatch
from ...intervals import bootstrap_mean
from ...training.rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from .command import start
from .tables import PrintedTable, fill_page

_WORM: Mapping[str, Any] = {"init": "worm", "limit": 12.0, "velocity": True}
# Body, arena, options of the circuit.
ARMS: Mapping[str, tuple[str, Any, Mapping[str, Any]]] = {
    "worm, water": ("worm", "water", _WORM),
    "worm, 0.3 Pa s": ("worm", {"name": "newtonian", "viscosity": 0.3}, _WORM),
    "worm, 9 Pa s": ("worm", {"name": "newtonian", "viscosity": 9.0}, _WORM),
    "worm24, water": ("worm24", "water", _WORM),
    "swimmer6": ("swimmer6", None, {"velocity": True}),
    "swimmer12": ("swimmer12", None, {"velocity": True}),
}
_FRONT = ("reversed", "latency", "backward", "turned_little", "turned_aside", "turned_about")


def measures(label: str, where: str, strength: float, sets: int, episodes: int) -> dict[str, list[float]]:
    """Return the mean of each measure over the episodes of each set."""
    body, arena, options = ARMS[label]
    envs = EnvBatch(
        "escape", sets * episodes, body, arena, "auto", 1, where=where, strength=strength,
        senses=["joint_pos", "joint_vel", "touch", "body_velocities"],
    )  # fmt: skip
    agent = Agent(AgentSpec("escape", envs.layout, envs.body.n_joints, circuit_options=options))
    metrics = evaluate_agent(agent, envs, seed=EVALUATION_SEED).metrics
    envs.close()
    return {name: np.reshape(values, (sets, episodes)).mean(1).tolist() for name, values in metrics.items()}


def main(sets: int = 5, episodes: int = 20, page: Path | None = None) -> None:
    """Print the table, line by line.

    Args:
        sets: of episodes; intervals are over sets.
        episodes: of each set.
        page: in which to put the table too, such as docs/results/world.md.
    """
    table = PrintedTable(
        "body", "touch", "reversed", "latency, s", "backward, L", "turn < 60", "60 to 120", "> 120 degrees",
        "touch behind: gain, L/s",
    )  # fmt: skip
    for label in ARMS:
        for strength in (1.0, 0.0):
            front, behind = (measures(label, where, strength, sets, episodes) for where in ("front", "behind"))
            found = [bootstrap_mean(values) for values in [*(front[name] for name in _FRONT), behind["speed_gain"]]]
            texts = [
                f"{each.mean:.{n}f} [{each.low:.{n}f}, {each.high:.{n}f}]"
                for each, n in zip(found, (2, 2, 3, 2, 2, 2, 3), strict=True)
            ]
            table.add(label, "yes" if strength else "no", *texts)
    if page:
        fill_page(page, {"escape": table.text})


if __name__ == "__main__":
    start(main)
