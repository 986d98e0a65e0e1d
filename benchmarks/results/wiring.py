"""Whether a circuit's wiring can be read from its activity: a table of docs/results/structure.md.

    python -m nervecord.benchmarks.results.wiring runs/wiring --page docs/results/structure.md

Four ways to infer contacts are scored over all pairs of neurons that may have one, by the area under the ROC curve: 0.5
by chance, 1 where every contact stands above every other pair.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from ...errors import InvalidRecording
from ...files import read_json, write_json
from ...intervals import bootstrap_iqm
from ...progress import progress_bar
from ...threads import one_thread
from ...training.learning.training import resume, train
from ...training.probes import Subject, run_probe
from ...training.rollouts.recorder import disturbances, record
from ...training.runs.config import RunConfig
from ...training.runs.run import Run
from ...training.studies.markdown import markdown_table
from .tables import StudyArguments, fill_page, interval_text

# Six circuits that swim, and how each is trained; a CT-RNN and a GRU of 16 units, whose pairs are few enough to score.
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


def measure(out: Path, circuit: str, seed: int, noise: float) -> None:
    """Train a circuit unless that was done, record it with noise, and write what each way finds."""
    path = out / f"{circuit}-{seed}-{noise:g}.json"
    if path.exists():
        return
    run = _trained(out / "runs" / f"{circuit}-{seed}", circuit, seed)
    noisy = disturbances(run, noise, episodes=_EPISODES) if noise else ()
    recording = record(run, _EPISODES, interventions=noisy)
    subject = Subject(recording, run.agent().circuit.wiring(), run)
    numbers: dict[str, float] = {"return": float(recording.rewards.sum(1).mean())}
    for probe in dict.fromkeys(probe for probe, _ in WAYS.values()):
        try:
            numbers |= {f"{probe}.{name}": value for name, value in run_probe(probe, subject).numbers.items()}
        except InvalidRecording as error:
            numbers["missing"] = str(error)  # type: ignore[assignment]
    write_json(path, numbers)


def table(out: Path, seeds: int) -> str:
    """Return the Markdown table of what is measured so far."""
    lines = []
    for circuit in CIRCUITS:
        for noise in NOISES:
            paths = [out / f"{circuit}-{seed}-{noise:g}.json" for seed in range(seeds)]
            found = [read_json(path, "damaged") for path in paths if path.exists()]
            if not found:
                continue
            cells = [_interval([each.get(f"{probe}.{name}", np.nan) for each in found], 2)
                     for probe, name in WAYS.values()]  # fmt: skip
            null = _interval([each.get("connectivity.null_auroc", np.nan) for each in found], 2)
            dimensions = _interval([each.get("connectivity.dimensions", np.nan) for each in found], 1)
            returns = _interval([each["return"] for each in found], 0)
            lines.append([circuit, f"{noise:g}", len(found), returns, dimensions, *cells, null])
    columns = ["circuit", "noise", "seeds", "return", "dimensions", *WAYS, "regression on shifted activity"]
    return markdown_table(columns, *lines)


def _trained(folder: Path, circuit: str, seed: int) -> Run:
    name, algorithm, options, steps = CIRCUITS[circuit]
    if folder.exists():
        return resume(folder, progress=False)
    config = RunConfig(name, algorithm, seed=seed, steps=steps, circuit_options=options, checkpoint_every=steps)
    return train(config, folder, progress=False)


def _interval(values: list[float], digits: int) -> str:
    return interval_text(bootstrap_iqm([value for value in values if not np.isnan(value)]), digits)


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train six circuits, and infer their wiring from recordings without and with noise."""

    seeds: int = 5
    """Seeds of each."""


def main() -> None:
    """Run what the command line asks for."""
    arguments = tyro.cli(_Arguments)
    todo = [(circuit, seed, noise) for seed in range(arguments.seeds) for noise in NOISES for circuit in CIRCUITS]
    with one_thread(), progress_bar(total=len(todo), desc="wiring", unit="recording") as bar:
        for circuit, seed, noise in todo:
            measure(arguments.out, circuit, seed, noise)
            bar.update(1)
    found = table(arguments.out, arguments.seeds)
    print(found)
    if arguments.page:
        fill_page(arguments.page, {"wiring": found})


if __name__ == "__main__":
    main()
