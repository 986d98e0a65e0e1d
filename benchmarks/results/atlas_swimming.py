"""What fitting the brain to the atlas does to swimming, and the reverse: a table of docs/results/atlas.md.

python -m nervecord.benchmarks.results.atlas_swimming runs/atlas --page docs/results/atlas.md

No verdict: of each circuit its held-out AUROC on the atlas, how far its motors depart from NCAP's swim, and its return.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from ...agents import Agent
from ...circuits.connectome import Connectome
from ...files import write_text
from ...intervals import Interval, bootstrap_mean
from ...training.learning.training import train
from ...training.rollouts.evaluation import evaluate_on
from ...training.runs.config import RunConfig
from ...training.runs.resolution import resolve
from ...training.runs.run import Run
from ...training.studies.markdown import markdown_table
from ...worm.atlas import Atlas, load_atlas
from ...worm.fitted import DECAY, interval_text, source_of
from ...worm.fitting import CircuitResponse, Fit, Model, fit, fit_circuit, scored
from ...worm.swims import Swim, swim_of
from .command import start
from .tables import publish

GRAPH, BACKGROUND, EPISODES = "cook2019-whole", 0.1, 20
TEACHER = "agent:ncap"
WEIGHTS = {0.0: "fitted to the atlas", 0.5: "fitted to both alike", 1.0: "fitted to the swim"}  # of swimming
PPO_STEPS = 100_000


@dataclasses.dataclass(frozen=True)
class Row:
    """What a circuit comes to.

    Attributes:
        auroc: on the atlas, mean of five folds.
        error: of its motors beside the teacher's; see `Swim.error`.
        returns: on swimmer6, one for each episode, or for each seed or draw.
    """

    auroc: tuple[float, float, float]
    error: float
    returns: tuple[float, ...]


def unfitted(atlas: Atlas, circuit: Connectome) -> Fit:
    """Return how a circuit's own gains do, without a readout that is fitted: ranks alone count."""
    network = CircuitResponse(atlas, Model(), circuit, BACKGROUND)
    with torch.no_grad():
        odds = network(torch.arange(len(atlas.names))).numpy()
    return scored(atlas, np.where(atlas.measured, odds, np.nan))


def rows(atlas: Atlas, out: Path, seeds: int) -> dict[str, list[Row]]:
    """Measure every circuit, or read what is kept of it; of trained and rewired ones, as many as `seeds`."""
    config = RunConfig("connectome", circuit_options={"graph": GRAPH})
    resolved = resolve(config)
    agent, teacher = Agent(resolved.agent), Run(TEACHER)
    circuit = agent.circuit
    assert isinstance(circuit, Connectome)
    swim = swim_of(teacher.agent(), teacher.resolved)

    def row(found: Fit, after: Any) -> Row:
        acting = copy.deepcopy(agent)
        acting.circuit = after
        returns = evaluate_on(resolved, acting, EPISODES).returns.tolist()
        value = found.auroc
        return Row((value.mean, value.low, value.high), _error(swim, after), tuple(returns))

    def fitted(start: Connectome, weight: float) -> Row:
        return row(
            fit(atlas, start, Model(), BACKGROUND, (DECAY,), swim=swim, swimming=weight),
            fit_circuit(atlas, start, Model(), DECAY, BACKGROUND, swim, weight),
        )

    def trained(seed: int) -> Row:
        asked = dataclasses.replace(config, algorithm="ppo", seed=seed, steps=PPO_STEPS)
        place = out / f"swims-ppo-{seed}"
        after = (Run(place) if place.exists() else train(asked, place, progress=False)).agent().circuit
        assert isinstance(after, Connectome)
        return row(unfitted(atlas, after), after)

    def rewired(draw: int, weight: float) -> Row:
        start = source_of(circuit, None, draw)
        assert isinstance(start, Connectome)
        return fitted(start, weight)

    found = {"untrained": [_kept(out / "swims-untrained.json", lambda: row(unfitted(atlas, circuit), circuit))]}
    for weight, name in zip(
        WEIGHTS, ("fitted to the atlas", "fitted to both alike", "fitted to the swim"), strict=True
    ):
        found[name] = [_kept(out / f"swims-{weight:g}.json", functools.partial(fitted, circuit, weight))]
    name = f"trained by PPO, {PPO_STEPS:,} steps"
    found[name] = [_kept(out / f"swims-ppo-{seed}.json", functools.partial(trained, seed)) for seed in range(seeds)]
    found["rewired, fitted to both alike"] = [
        _kept(out / f"swims-rewired-{draw}.json", functools.partial(rewired, draw, 0.5)) for draw in range(seeds)
    ]
    return found


def table(found: dict[str, list[Row]]) -> str:
    """Return the table; of several seeds or draws, means with intervals over them."""
    lines = [
        (
            name, f"{len(each)}", _auroc(each), f"{np.mean([row.error for row in each]):.2f}",
            str(bootstrap_mean(each[0].returns if len(each) == 1 else [np.mean(row.returns) for row in each])),
        )
        for name, each in found.items()
    ]  # fmt: skip
    return markdown_table(("circuit", "circuits", "AUROC", "motor error", "return on swimmer6"), *lines)


def _auroc(each: Sequence[Row]) -> str:
    if len(each) == 1:
        return interval_text(Interval(*each[0].auroc, 5))
    return interval_text(bootstrap_mean([row.auroc[0] for row in each]))


def _error(swim: Swim, circuit: Connectome) -> float:
    with torch.no_grad():
        return swim.error(copy.deepcopy(circuit).double()).item()


def _kept(path: Path, make: Callable[[], Row]) -> Row:
    if not path.exists():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(dataclasses.asdict(made)))
    held = json.loads(path.read_text(encoding="utf-8"))
    return Row(tuple(held["auroc"]), held["error"], tuple(held["returns"]))


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """Fit the connectome to the atlas, to a swim and to both, and measure both of each."""

    out: tyro.conf.Positional[Path]
    """Folder of what is measured; what is there is not made again."""
    seeds: int = 3
    """Seeds of PPO, and rewired graphs."""
    page: Path | None = None
    """Page whose table is made anew."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    made = {"both": table(rows(load_atlas(), arguments.out, arguments.seeds))}
    publish(made, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
