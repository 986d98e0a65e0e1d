"""What fitting the brain to the atlas does to swimming, and the reverse: a table of docs/results/atlas.md.

python -m nervecord.benchmarks.results.atlas_swimming runs/atlas --page docs/results/atlas.md

No verdict: of each circuit its held-out AUROC on the atlas, how far its motors depart from NCAP's swim, and its return.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...agents import Agent
from ...circuits.connectome import Connectome
from ...files import read_json, write_json
from ...intervals import Interval, bootstrap_mean
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
from .runs import run_each, trained
from .stored import results
from .tables import StudyArguments, publish

GRAPH, BACKGROUND, EPISODES = "cook2019-whole", 0.1, 20
TEACHER = "agent:ncap"
WEIGHTS = {0.0: "fitted to the atlas", 0.5: "fitted to both alike", 1.0: "fitted to the swim"}  # of swimming
PPO_STEPS = 100_000
KEPT = ("swims-*.json",)


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


def wanted(seeds: int) -> dict[str, dict[str, tuple[Any, ...]]]:
    """Return what is measured of each circuit, by the circuit's label and then by the name of its file.

    Each is a kind and a number; see `measure`. Of trained and rewired circuits there are as many as `seeds`.
    """
    fitted = {label: {f"swims-{weight:g}": ("fitted", weight)} for weight, label in WEIGHTS.items()}
    return {
        "untrained": {"swims-untrained": ("untrained", 0)},
        **fitted,
        f"trained by PPO, {PPO_STEPS:,} steps": {f"swims-ppo-{seed}": ("trained", seed) for seed in range(seeds)},
        "rewired, fitted to both alike": {f"swims-rewired-{draw}": ("rewired", draw) for draw in range(seeds)},
    }


def measure(out: Path, name: str, kind: str, number: float) -> None:
    """Measure a circuit and keep it in a file, unless it is there.

    Args:
        out: folder of the files.
        name: of the file.
        kind: "untrained"; "fitted", where `number` is the weight of swimming; "trained" by PPO, where it is the seed;
            or "rewired" and fitted to both alike, where it is the draw.
        number: see `kind`.
    """
    path = out / f"{name}.json"
    if path.exists():
        return
    atlas, config = load_atlas(), RunConfig("connectome", circuit_options={"graph": GRAPH})
    resolved, teacher = resolve(config), Run(TEACHER)
    agent = Agent(resolved.agent)
    circuit = _connectome(agent.circuit)
    swim = swim_of(teacher.agent(), teacher.resolved)
    if kind == "rewired":
        circuit = _connectome(source_of(circuit, None, int(number)))
    if kind in ("untrained", "trained"):
        if kind == "trained":
            asked = dataclasses.replace(config, algorithm="ppo", seed=int(number), steps=PPO_STEPS)
            circuit = _connectome(trained(out / name, asked).agent().circuit)
        found, after = unfitted(atlas, circuit), circuit
    else:
        weight = 0.5 if kind == "rewired" else number
        found = fit(atlas, circuit, Model(), BACKGROUND, (DECAY,), swim=swim, swimming=weight)
        after = fit_circuit(atlas, circuit, Model(), DECAY, BACKGROUND, swim, weight)
    agent.circuit = copy.deepcopy(after)
    returns = evaluate_on(resolved, agent, EPISODES).returns.tolist()
    value = found.auroc
    row = Row((value.mean, value.low, value.high), _error(swim, after), tuple(returns))
    write_json(path, dataclasses.asdict(row))


def _connectome(circuit: Any) -> Connectome:
    assert isinstance(circuit, Connectome)
    return circuit


def unfitted(atlas: Atlas, circuit: Connectome) -> Fit:
    """Return how a circuit's own gains do, without a readout that is fitted: ranks alone count."""
    network = CircuitResponse(atlas, Model(), circuit, BACKGROUND)
    with torch.no_grad():
        odds = network(torch.arange(len(atlas.names))).numpy()
    return scored(atlas, np.where(atlas.measured, odds, np.nan))


def run_all(out: Path, arguments: _Arguments) -> None:
    """Measure every circuit."""
    tasks = {name: (out, name, *what) for each in wanted(arguments.seeds).values() for name, what in each.items()}
    run_each(measure, tasks, arguments.workers, "circuits")


def rows(folder: Path) -> dict[str, list[Row]]:
    """Return what was measured, by the circuit's label."""
    found = {}
    for label, each in wanted(len(list(folder.glob("swims-ppo-*.json")))).items():
        held = [read_json(folder / f"{name}.json", f"{folder} is damaged") for name in each]
        found[label] = [Row(tuple(one["auroc"]), one["error"], tuple(one["returns"])) for one in held]
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


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Fit the connectome to the atlas, to a swim and to both, and measure both of each."""

    seeds: int = 3
    """Seeds of PPO, and rewired graphs."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    with results(arguments, "swims", functools.partial(run_all, arguments=arguments), KEPT) as folder:
        publish({"both": table(rows(folder))}, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
