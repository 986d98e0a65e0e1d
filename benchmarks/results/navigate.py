"""How many targets an untrained navigator reaches, by its rule of steering: a table of docs/results/world.md.

python -m nervecord.benchmarks.results.navigate --page docs/results/world.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...agents import Agent, AgentSpec
from ...envs import EnvBatch
from .command import start
from .tables import PrintedTable, fill_page

_RADIUS, _NEARBY = 0.15, 1.5  # m


def reached(controller: str, body: str, episodes: int, steps: int = 1000) -> tuple[float, float, int]:
    """Return the share of targets that are reached, that of those nearby, and how many those are."""
    envs = EnvBatch("navigate", episodes, body, physics="lanes", episode_steps=steps, n_threads=1)
    envs.seed(list(range(episodes)))
    observation = envs.reset(np.arange(episodes))
    options = {"controller": controller}
    agent = Agent(AgentSpec("navigator", envs.layout, envs.body.n_joints, circuit_options=options))
    nearest = distance = envs.metrics()["target_distance"]
    state, begins = None, np.ones(episodes, bool)
    for _ in range(steps):
        action, state = agent.predict(observation, state, begins)
        stepped, begins = envs.step(action), np.zeros(episodes, bool)
        observation, nearest = stepped.observation, np.minimum(nearest, stepped.metrics["target_distance"])
    envs.close()
    is_near, is_reached = distance < _NEARBY, nearest < _RADIUS
    return float(is_reached.mean()), float(is_reached[is_near].mean()), int(is_near.sum())


def main(episodes: int = 200, page: Path | None = None) -> None:
    """Print the table, line by line.

    Args:
        episodes: of each row.
        page: in which to put the table too, such as docs/results/world.md.
    """
    table = PrintedTable("rule", "body", "all targets", f"those within {_NEARBY} m at the start", "which are")
    for controller, body in (
        ("bearing", "swimmer6"), ("hand", "swimmer6"), ("learned", "swimmer6"), ("bearing", "swimmer12"),
    ):  # fmt: skip
        share, nearby, n = reached(controller, body, episodes)
        rule = "learned, before learning" if controller == "learned" else controller
        table.add(rule, body, f"{100 * share:.0f} %", f"{100 * nearby:.0f} %", n)
    if page:
        fill_page(page, {"navigate": table.text})


if __name__ == "__main__":
    start(main)
