"""How much untrained agents eat, beside controls that cannot find anything: a table of docs/results/world.md.

python -m nervecord.benchmarks.results.forage --page docs/results/world.md [--seeds 5] [--episodes 400]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...agents import Agent, AgentSpec
from ...envs import EnvBatch
from ...intervals import bootstrap_mean
from ...training.rollouts.evaluation import EVALUATION_SEED, Evaluation, evaluate_agent
from .command import start
from .tables import PrintedTable, fill_page

_STRATA = (0.0, 0.5, 1.5)


@dataclasses.dataclass(frozen=True)
class Arm:
    """An untrained agent, and the task in which it is tested.

    Attributes:
        circuit: its circuit.
        task: options of the task.
        body: its body.
    """

    circuit: str
    task: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    body: str = "swimmer6"


_SMELL: Mapping[str, Any] = {"senses": ["joint_pos", "odour", "body_velocities"]}
ARMS = {
    "navigator": Arm("navigator"),
    "navigator, another's food": Arm("navigator", {"shuffled": True}),
    "klinotaxis": Arm("klinotaxis", _SMELL),
    "klinotaxis, another's odour": Arm("klinotaxis", {**_SMELL, "shuffled": True}),
    "relay_klinotaxis": Arm("relay_klinotaxis", _SMELL),
    "relay_klinotaxis, another's odour": Arm("relay_klinotaxis", {**_SMELL, "shuffled": True}),
    "NCAP, unsteered": Arm("ncap"),
    "navigator, 12 links": Arm("navigator", body="swimmer12"),
}


def scores(arm: Arm, seeds: int, episodes: int) -> list[Evaluation]:
    """Return the scores of each set of episodes."""
    found = []
    for seed in range(seeds):
        envs = EnvBatch("forage", episodes, arm.body, physics="lanes", n_threads=1, **arm.task)
        agent = Agent(AgentSpec(arm.circuit, envs.layout, envs.body.n_joints))
        found.append(evaluate_agent(agent, envs, seed=EVALUATION_SEED + seed * episodes))
        envs.close()
    return found


def main(seeds: int = 5, episodes: int = 400, page: Path | None = None) -> None:
    """Print the table, line by line.

    Args:
        seeds: sets of episodes; nothing is trained.
        episodes: of each seed.
        page: in which to put the table too, such as docs/results/world.md.
    """
    table = PrintedTable(
        "agent", "eaten", "first within", "straightness", *(f"found, from {least:g} L" for least in _STRATA)
    )  # fmt: skip
    for label, arm in ARMS.items():
        sets = scores(arm, seeds, episodes)

        def told(values: list[float], digits: int = 2, unit: str = "") -> str:
            each = bootstrap_mean(values)
            return f"{each.mean:.{digits}f}{unit} [{each.low:.{digits}f}, {each.high:.{digits}f}]"

        # Times and paths of those that ate: what was not eaten has neither.
        ate = [each.metrics["reached"] > 0 for each in sets]
        cells = [
            label,
            told([float(np.mean(each.metrics["eaten"])) for each in sets]),
            *(
                told([float(each.metrics[name][found].mean()) for each, found in zip(sets, ate, strict=True)], d, unit)
                for name, d, unit in (("seconds_to_target", 1, " s"), ("path_efficiency", 2, ""))
            ),
            *(told([float(each.strata[least].metrics["reached"].mean()) for each in sets]) for least in _STRATA),
        ]
        table.add(*cells)
    if page:
        fill_page(page, {"forage": table.text})


if __name__ == "__main__":
    start(main)
