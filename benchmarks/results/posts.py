"""How fast untrained gaits get on among posts, and what posts cost: tables of docs/results/world.md.

python -m nervecord.benchmarks.results.posts --page docs/results/world.md [--placements 24] [--rate]
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...agents import Agent, AgentSpec
from ...envs import EnvBatch, Landscape, Lattice, Post, newtonian
from ...training.rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from .command import start
from .tables import PrintedTable, fill_page

_WORM: Mapping[str, Any] = {"init": "worm", "limit": 12.0, "velocity": True}
_RADIUS = 0.1  # body lengths
GAPS = (0.1, 0.2, 0.3, 0.4, 0.6)
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclasses.dataclass(frozen=True)
class Arm:
    """An untrained agent, and what it moves in.

    Attributes:
        circuit: its circuit.
        options: of the circuit.
        body: its body.
        viscosity: of a Newtonian fluid, Pa s; None is the body's own medium.
        steps: control steps of an episode.
    """

    circuit: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    body: str = "swimmer6"
    viscosity: float | None = None
    steps: int = 1000

    def arena(self, gap: float, solid: bool) -> Landscape:
        """Return the arena with posts at a gap, in body lengths."""
        medium = None if self.viscosity is None else newtonian(self.viscosity)
        return Landscape(medium=medium, lattice=Lattice(radius=_RADIUS, gap=gap), solid=solid)


ARMS = {
    "NCAP on swimmer6": Arm("ncap"),
    "NCAP on swimmer12": Arm("ncap", body="swimmer12"),
    "relay on swimmer6": Arm("relay"),
    "relay on swimmer12": Arm("relay", body="swimmer12"),
    "escape on swimmer6": Arm("escape", {"velocity": True}),
    "relay on worm, 1 Pa s": Arm("relay", _WORM, "worm", 1.0, steps=500),
    "escape on worm, 1 Pa s": Arm("escape", _WORM, "worm", 1.0, steps=500),
}


def among_posts(arm: Arm, gap: float, placements: int, solid: bool = True) -> dict[str, np.ndarray]:
    """Return the metrics of one episode at each of several random placements and start poses."""
    senses = ["joint_pos", "joint_vel", "touch", "body_velocities"]
    envs = EnvBatch(
        "lattice", placements, arm.body, arm.arena(gap, solid), episode_steps=arm.steps, n_threads=1, senses=senses
    )
    agent = Agent(AgentSpec(arm.circuit, envs.layout, envs.body.n_joints, circuit_options=arm.options))
    found = dict(evaluate_agent(agent, envs, seed=EVALUATION_SEED).metrics)
    envs.close()
    return found


def rates(n_links: int, n_posts: int, rounds: int = 12, n_envs: int = 32, steps: int = 40) -> tuple[float, float]:
    """Return control steps per second of processor time without posts, and the share of it that is left with them.

    Both take turns, and the share is the median of those of all rounds.
    """
    # Heads start at (0, -0.05) m, here in the middle of a row without posts.
    length, columns = 0.1 * n_links, int(np.ceil(np.sqrt(n_posts)))
    place = [(index % columns, index // columns) for index in range(n_posts)]
    posts = tuple(Post(0.4 * length * (x - columns / 2 + 0.5), 0.4 * length * (y - 1.5) - 0.05, 0.05) for x, y in place)
    made = {
        name: EnvBatch("swim", n_envs, f"swimmer{n_links}", arena, n_threads=1)
        for name, arena in (("open", Landscape()), ("posts", Landscape(posts=posts)))
    }
    for envs in made.values():
        envs.seed(list(range(n_envs)))
        envs.reset(np.arange(n_envs))
    phase = np.arange(n_links - 1) / n_links
    taken: dict[str, list[float]] = {name: [] for name in made}
    for repeat in range(rounds):
        for name, envs in made.items():
            begun = time.process_time()
            for step in range(steps):
                envs.step(np.tile(np.sin(2 * np.pi * ((repeat * steps + step) / 42 - phase)), (n_envs, 1)))
            taken[name].append(n_envs * steps / (time.process_time() - begun))
    for envs in made.values():
        envs.close()
    return float(np.median(taken["open"])), float(np.median(np.divide(taken["posts"], taken["open"])))


def _rates() -> PrintedTable:
    table = PrintedTable("body", "posts", "control steps/s without", "share left with posts")
    for n_links in (6, 12):
        for n_posts in (20, 100):
            rate, share = rates(n_links, n_posts)
            table.add(f"swimmer{n_links}", n_posts, f"{rate:,.0f}", f"{share:.2f}")
    return table


def _speeds(placements: int) -> PrintedTable:
    quantiles = [f"{100 * share:.0f} %" for share in _QUANTILES]
    table = PrintedTable("agent", "between centres, L", "speed, L/s:", *quantiles, "stuck", "touching", "deepest, mm")
    for label, arm in ARMS.items():
        for gap in (None, *GAPS):
            # Without posts: the same starts among posts that touch nothing.
            found = among_posts(arm, GAPS[-1] if gap is None else gap, placements, gap is not None)
            speeds = np.quantile(found["lengths_per_second"], _QUANTILES)
            table.add(
                label, "no posts" if gap is None else f"{2 * _RADIUS + gap:.1f}", "",
                *(f"{speed:.3f}" for speed in speeds), f"{found['stuck'].mean():.2f}",
                f"{found['touching'].mean():.2f}", f"{1e3 * found['penetration'].max():.2f}",
            )  # fmt: skip
    return table


def main(placements: int = 24, rate: bool = False, page: Path | None = None) -> None:
    """Print the table, line by line.

    Args:
        placements: of each gap.
        rate: print the rates of stepping instead.
        page: in which to put the table too, such as docs/results/world.md.
    """
    table = _rates() if rate else _speeds(placements)
    if page:
        fill_page(page, {"posts-rate" if rate else "posts": table.text})


if __name__ == "__main__":
    start(main)
