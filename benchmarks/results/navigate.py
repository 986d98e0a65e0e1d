"""How many targets an untrained navigator reaches, by its rule of steering: numbers of docs/results/world.md.

python -m nervecord.benchmarks.results.navigate
"""

from __future__ import annotations

import numpy as np
import tyro

from ...agents import Agent, AgentSpec
from ...envs import EnvBatch
from ...training.studies.markdown import markdown_table

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


def main(episodes: int = 200) -> None:
    """Print the table.

    Args:
        episodes: of each row.
    """
    rows = []
    for controller, body in (
        ("bearing", "swimmer6"), ("hand", "swimmer6"), ("learned", "swimmer6"), ("bearing", "swimmer12"),
    ):  # fmt: skip
        share, nearby, n = reached(controller, body, episodes)
        rows.append([controller, body, f"{share:.2f}", f"{nearby:.2f}", n])
    print(markdown_table(["rule", "body", "reached", f"of targets within {_NEARBY} m", "which are"], *rows))


if __name__ == "__main__":
    tyro.cli(main)
