"""Compare the worm's wiring with its controls: the numbers and curves of docs/results/connectome.md.

python -m nervecord.benchmarks.results.connectome runs/connectome --page docs/results/connectome.md

Verdicts follow from a rule that was fixed before the runs: the connectome is ahead of a control where the 95 % interval
of the difference of their interquartile means over seeds lies above 0, and behind where it lies below. Training adds
something where the interval of what is gained by it, seed by seed, lies above 0.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...agents import Agent
from ...circuits import load_graph, make_circuit
from ...drawing.figures import figure_svg, interval_curves
from ...files import write_text
from ...training.rollouts.evaluation import evaluate_on
from ...training.runs.config import RunConfig
from ...training.runs.resolution import resolve
from ...training.studies.trials import Trial
from .command import start
from .stored import trial_scores
from .tables import StudyArguments, differences_table, publish, returns_table

BODIES = ("swimmer4", "swimmer8", "swimmer12")
ALL_BODIES = ("swimmer4", "swimmer6", "swimmer8", "swimmer12")
# Links. A fifth of the body is 0.8 links of 4, 1.2 of 6, 1.6 of 8 and 2.4 of 12.
REACHES = (0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 2.0, 2.4)
STEPS = {"es": 500_000, "ppo": 200_000}
_COOK = {"graph": "cook2019"}
# Circuit and options of each agent, and the algorithms that train it.
AGENTS: Mapping[str, tuple[str, Mapping[str, Any], tuple[str, ...]]] = {
    "connectome": ("connectome", _COOK, ("es", "ppo")),
    "connectome, rewired": ("connectome", {**_COOK, "control": "rewired"}, ("es", "ppo")),
    "connectome, signs shuffled": ("connectome", {**_COOK, "control": "signs"}, ("es", "ppo")),
    "connectome, random": ("connectome", {**_COOK, "control": "random"}, ("es", "ppo")),
    "connectome, every contact free": ("connectome", {**_COOK, "gains": "free"}, ("es",)),
    "connectome, raw counts": ("connectome", {**_COOK, "counts": "raw"}, ("es",)),
    "ladder": ("connectome", {"graph": "ladder"}, ("es",)),
    "ncap": ("ncap", {}, ("es", "ppo")),
    "mlp": ("mlp", {}, ("es", "ppo")),
}


def trials(seeds: int) -> dict[str, Trial]:
    """Return agents x learners x seeds."""
    found = {}
    for (label, (circuit, options, learners)), seed in itertools.product(AGENTS.items(), range(seeds)):
        for algorithm in learners:
            steps = STEPS[algorithm]
            config = RunConfig(
                circuit, algorithm, seed=seed, steps=steps, circuit_options=options, evaluate_every=steps // 10
            )
            name = f"{label.replace(', ', '-').replace(' ', '_')}/{algorithm}/{seed}"
            found[name] = Trial(algorithm, label, config, True, BODIES, gait=True)
    return found


def step_times(batch: int = 256, rounds: int = 7, steps: int = 100) -> str:
    """Return a Markdown table of milliseconds per control step on one core, beside a dense tanh network.

    The comparison is `torch.nn.RNNCell` with as many units as the graph has cells; rounds of both alternate, and
    the table shows medians.
    """
    torch.set_num_threads(1)
    lines = ["| graph | neurons | muscles | ms per step | RNNCell of as many units, ms | ratio |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for graph in ("ladder", "cook2019", "cook2019-whole"):
        circuit = make_circuit("connectome", {"joint_pos": 5}, 5, {"graph": graph})
        cells = load_graph(graph).cells
        peer, sensors = torch.nn.RNNCell(5, len(cells)), torch.rand(batch, 5) - 0.5
        state, hidden = circuit.initial_state(batch), torch.zeros(batch, len(cells))
        times: dict[str, list[float]] = {"own": [], "peer": []}
        with torch.inference_mode():
            for _ in range(rounds):
                began = time.perf_counter()
                for _ in range(steps):
                    _, state = circuit(sensors, state)
                halfway = time.perf_counter()
                for _ in range(steps):
                    hidden = peer(sensors, hidden)
                times["own"].append(halfway - began)
                times["peer"].append(time.perf_counter() - halfway)
        own, other = (1000 * float(np.median(times[name])) / steps for name in ("own", "peer"))
        muscles = sum(cell.role == "muscle" for cell in cells)
        lines.append(f"| {graph} | {len(cells) - muscles} | {muscles} | {own:.2f} | {other:.2f} | {own / other:.1f} |")
    return "\n".join(lines)


def reaches(episodes: int = 20) -> str:
    """Return a Markdown table of untrained returns by the range of stretch receptors; the columns are bodies."""
    lines = [
        "| graph | reach, links | " + " | ".join(ALL_BODIES) + " |",
        "| --- | ---" + " | ---" * len(ALL_BODIES) + " |",
    ]
    for graph, reach in itertools.product(("cook2019", "ladder"), REACHES):
        cells = []
        for body in ALL_BODIES:
            config = RunConfig("connectome", body=body, circuit_options={"graph": graph, "reach": reach})
            resolved = resolve(config)
            returns = evaluate_on(resolved, Agent(resolved.agent), episodes).returns
            cells.append(f"{returns.mean():.0f}")
        lines.append(f"| {graph} | {reach:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def curves(rows: pd.DataFrame) -> str:
    """Return the learning curves of one learner's agents, as SVG."""
    rows = rows[(rows["stage"] == "training") & (rows["metric"] == "return")]
    groups: dict[str, list[tuple[list[float], list[float]]]] = {}
    for label in AGENTS:
        for _, seed in rows[rows["agent"] == label].sort_values("step").groupby("seed"):
            groups.setdefault(label, []).append((seed["step"].tolist(), seed["value"].tolist()))
    return figure_svg(interval_curves(groups))


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train the connectome, its controls, NCAP and an MLP; print tables and the time per step."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    scores = trial_scores(arguments, lambda _: [trials(arguments.seeds)])
    learners = {algorithm: scores[scores["study"] == algorithm] for algorithm in STEPS}
    made = {algorithm: returns_table(rows, list(AGENTS), BODIES) for algorithm, rows in learners.items()}
    made |= {
        f"{algorithm}-against": differences_table(rows, "connectome", list(AGENTS), BODIES)
        for algorithm, rows in learners.items()
    }
    made |= {"reaches": reaches(), "speed": step_times()}
    publish(made, arguments.page)
    if arguments.page:
        for algorithm, rows in learners.items():
            write_text(arguments.page.with_suffix("") / f"{algorithm}.svg", curves(rows))


if __name__ == "__main__":
    start(main, _Arguments)
