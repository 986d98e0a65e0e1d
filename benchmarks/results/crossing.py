"""Untrained worms from one medium into another, with and without steering: a table of docs/results/world.md.

python -m nervecord.benchmarks.results.crossing --page docs/results/world.md [--sets 5] [--episodes 20]
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...agents import Agent, AgentSpec
from ...envs import EnvBatch, Landscape, Zone, gel, make_body, newtonian
from ...intervals import bootstrap_mean
from ...training.rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from .command import start
from .tables import PrintedTable, fill_page, interval_text

_WORM: Mapping[str, Any] = {"init": "worm", "limit": 12.0, "velocity": True}
_AGENTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "relay, steered": ("relay_navigator", _WORM), "relay": ("relay", _WORM), "NCAP, steered": ("navigator", {}),
}  # fmt: skip
_AGAR, _AGAR_LOW = gel(1.0), dataclasses.replace(gel(1.0), ratio=10.0)
_PAIRS = {
    "water to agar, K 40": (gel(0.0), _AGAR), "agar, K 40, to water": (_AGAR, gel(0.0)),
    "water to agar, K 10": (gel(0.0), _AGAR_LOW), "agar, K 10, to water": (_AGAR_LOW, gel(0.0)),
    "0.001 to 0.3 Pa s": (newtonian(0.001), newtonian(0.3)), "0.3 to 0.001 Pa s": (newtonian(0.3), newtonian(0.001)),
}  # fmt: skip
_SENSES = ("joint_pos", "joint_vel", "to_target", "body_velocities")


def main(sets: int = 5, episodes: int = 20, page: Path | None = None) -> None:
    """Print the table, line by line.

    Args:
        sets: of episodes, over which intervals are; nothing is trained.
        episodes: of each set.
        page: in which to put the table too, such as docs/results/world.md.
    """
    table = PrintedTable(
        "from, to", "agent", "crossed", "seconds to cross", "L/s before", "L/s after", "Hz before", "Hz after"
    )  # fmt: skip
    body = make_body("worm")
    length, link = float(body.link_sizes[0].sum()), float(body.link_sizes[0].max())
    for pair, (here, there) in _PAIRS.items():
        arena = Landscape(here, (Zone(medium=there, x=1.5 * length, edge=link),))
        for label, (circuit, options) in _AGENTS.items():
            envs = EnvBatch(
                "twomedia", sets * episodes, body, arena, "lanes", 1, senses=_SENSES, aim=math.pi
            )  # fmt: skip
            agent = Agent(AgentSpec(circuit, envs.layout, body.n_joints, circuit_options=options))
            found = evaluate_agent(agent, envs, seed=EVALUATION_SEED).metrics
            envs.close()
            crossed = found["crossed"]
            share = bootstrap_mean(crossed.reshape(sets, episodes).mean(1))
            cells = [pair, label, interval_text(share, 2)]
            over = crossed > 0
            for name, unit in (
                ("seconds_to_cross", 1.0), ("speed_before", length), ("speed_after", length),
                ("frequency_before", 1.0), ("frequency_after", 1.0),
            ):  # fmt: skip
                digits = 1 if name == "seconds_to_cross" else 3 if name.startswith("speed") else 2
                cells.append(f"{np.mean(found[name][over]) / unit:.{digits}f}" if over.any() else "")
            table.add(*cells)
    if page:
        fill_page(page, {"crossing": table.text})


if __name__ == "__main__":
    start(main)
