"""Whether a circuit's wiring can be read from its activity: a table of docs/results/structure.md.

    python -m nervecord.benchmarks.results.wiring runs/wiring --page docs/results/structure.md

Four ways to infer contacts are scored over all pairs of neurons that may have one, by the area under the ROC curve: 0.5
by chance, 1 where every contact stands above every other pair. A way tells contacts, by a rule fixed before the runs,
where its area less that of the null (regression on activity shifted in time), seed by seed, has a 95 % interval
above 0.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ...errors import InvalidRecording
from ...files import read_json, write_json
from ...intervals import Interval, bootstrap_iqm
from ...training.probes import Subject, run_probe
from ...training.rollouts.recorder import disturbances, record
from ...training.runs.config import RunConfig
from ...training.runs.run import Run
from ...training.studies.markdown import markdown_table
from .command import start
from .runs import run_each, trained
from .stored import results
from .tables import StudyArguments, interval_text, publish

# Six circuits that swim, and how each is trained; an MLP and a CT-RNN of 16 units, whose pairs are few enough to score.
CIRCUITS: Mapping[str, tuple[str, str, Mapping[str, Any], int]] = {
    "NCAP": ("ncap", "es", {}, 320_000),
    "NCAP+": ("ncap_plus", "es", {}, 320_000),
    "cpg": ("cpg", "es", {"feedback": True}, 320_000),
    "MLP": ("mlp", "ppo", {"hidden": (16,)}, 200_000),
    "CT-RNN": ("ctrnn", "ppo", {"units": 16}, 100_000),
    "connectome": ("connectome", "es", {}, 160_000),
}
NOISES = (0.0, 0.1, 0.3)  # of each neuron's own standard deviation
_EPISODES = 8
# Numbers of the probes: how the way is called, the probe, and the name of its score.
WAYS = {
    "regression": ("connectivity", "regression_auroc"),
    "lag correlation": ("connectivity", "correlation_auroc"),
    "derivatives": ("predict", "influence_auroc"),
    "attention": ("predict", "attention_auroc"),
}

# Attention over its hundreds of neurons takes a quarter of an hour a recording.
_WITHOUT_PREDICT = ("connectome",)


def measure(out: Path, circuit: str, seed: int) -> None:
    """Train a circuit, record it with each noise, and write what each way finds; what is there already stays."""
    name, algorithm, options, steps = CIRCUITS[circuit]
    config = RunConfig(name, algorithm, seed=seed, steps=steps, circuit_options=options, checkpoint_every=steps)
    for noise in NOISES:
        path = out / f"{circuit}-{seed}-{noise:g}.json"
        if not path.exists():
            probes = [probe for probe, _ in WAYS.values() if not (probe == "predict" and circuit in _WITHOUT_PREDICT)]
            write_json(path, _numbers(trained(out / "runs" / f"{circuit}-{seed}", config), noise, probes))


def _numbers(run: Run, noise: float, probes: Sequence[str]) -> dict[str, Any]:
    noisy = disturbances(run, noise, episodes=_EPISODES) if noise else ()
    recording = record(run, _EPISODES, interventions=noisy)
    subject = Subject(recording, run.agent().circuit.wiring(), run)
    numbers: dict[str, Any] = {"return": float(recording.rewards.sum(1).mean())}
    for probe in dict.fromkeys(probes):
        try:
            numbers |= {f"{probe}.{name}": value for name, value in run_probe(probe, subject).numbers.items()}
        except InvalidRecording as error:
            numbers["missing"] = str(error)
    return numbers


def table(out: Path, seeds: int) -> str:
    """Return the Markdown table of what is measured so far."""
    lines = []
    for circuit in CIRCUITS:
        for noise in NOISES:
            paths = [out / f"{circuit}-{seed}-{noise:g}.json" for seed in range(seeds)]
            found = [read_json(path, "damaged") for path in paths if path.exists()]
            if not found:
                continue
            areas = {way: _values(found, f"{probe}.{name}") for way, (probe, name) in WAYS.items()}
            null = _values(found, "connectivity.null_auroc")
            telling = [way for way, area in areas.items() if _iqm(area - null).low > 0]
            cells = [interval_text(_iqm(area), 2) for area in (*areas.values(), null)]
            dimensions = interval_text(_iqm(_values(found, "connectivity.dimensions")), 1)
            returns = interval_text(_iqm(_values(found, "return")))
            lines.append([circuit, f"{noise:g}", len(found), returns, dimensions, *cells, ", ".join(telling) or "none"])
    columns = ["circuit", "noise", "seeds", "return", "dimensions", *WAYS, "null", "tell contacts"]
    return markdown_table(columns, *lines)


def _values(found: Sequence[Mapping[str, Any]], name: str) -> Float[np.ndarray, " seeds"]:
    """Return a number of each seed, NaN where there is none."""
    return np.array([each.get(name, np.nan) for each in found], float)


def _iqm(values: Float[np.ndarray, " seeds"]) -> Interval:
    return bootstrap_iqm(values[~np.isnan(values)])


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train six circuits, and infer their wiring from recordings without and with noise."""

    seeds: int = 5
    """Seeds of each."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""

    def run(out: Path) -> None:
        asked = itertools.product(range(arguments.seeds), CIRCUITS)
        tasks = {f"{circuit}-{seed}": (out, circuit, seed) for seed, circuit in asked}
        run_each(measure, tasks, arguments.workers, "wiring")

    with results(arguments, "wiring", run, ("*.json",)) as folder:
        publish({"wiring": table(folder, arguments.seeds)}, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
