"""What trained agents' bodies and neurons do: the tables of docs/results/neurons.md.

python -m nervecord.benchmarks.results.neurons runs/learning/swim/*/run --page docs/results/neurons.md
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import tyro

from ...errors import InvalidOption
from ...intervals import bootstrap_iqm
from ...training.probes import Subject, run_probe
from ...training.rollouts.evaluation import evaluate_agent
from ...training.rollouts.recorder import record, record_agent
from ...training.runs.run import Run
from ...training.studies.markdown import markdown_table
from .command import start
from .tables import interval_text, publish

_GAIT = {
    "frequency": "frequency, Hz", "wavelength": "wavelength, lengths", "travelling_index": "travelling index",
    "com_speed": "speed, cm/s", "cost_of_transport": "cost of transport, J/(kg m)",
}  # fmt: skip
_ENVS = 64


def gaits(runs: Sequence[Run]) -> list[list[str]]:
    """Return a row for each circuit: the gait's numbers over seeds."""
    found: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        subject = Subject(record(run, 8), run.agent().circuit.wiring(), run)
        numbers = run_probe("gait", subject).numbers
        of_circuit = found.setdefault(f"{run.config.circuit}, {run.config.algorithm}", {})
        of_circuit.setdefault("return", []).append(float(subject.recording.rewards.sum(1).mean()))
        for name in _GAIT:
            of_circuit.setdefault(name, []).append(numbers[name] * (100 if name == "com_speed" else 1))
    rows = [["agent", "seeds", "return", *_GAIT.values()]]
    for agent, values in found.items():
        cells = [_interval(values[name], 0 if name == "return" else 2) for name in ("return", *_GAIT)]
        rows.append([agent, str(len(values["return"])), *cells])
    return rows


def lesions(runs: Sequence[Run]) -> list[list[str]]:
    """Return a row for each neuron: the return that remains without it, over the seeds of one circuit."""
    subjects = [Subject(record(run, 1), run.agent().circuit.wiring(), run) for run in runs]
    returns = np.stack([run_probe("lesions", subject).arrays["returns"].mean(1) for subject in subjects])
    names = [*subjects[0].recording.neurons, "none"]
    share = 100 * returns / returns[:, -1:]
    order = np.argsort(returns.mean(0))
    rows = [["silenced", "return that remains", "share, %"]]
    return rows + [[names[i], _interval(returns[:, i], 0), _interval(share[:, i], 0)] for i in order]


def costs(run: Run) -> list[list[str]]:
    """Return what recording costs beside the plain rollout, the median of five in turn, and its file's size."""
    agent, env = run.agent(), run.resolved.make_envs(_ENVS, randomize={})
    plain, kept = [], []
    for _ in range(5):
        begin = time.perf_counter()
        evaluate_agent(agent, env)
        middle = time.perf_counter()
        recording = record_agent(agent, env)
        plain.append(middle - begin)
        kept.append(time.perf_counter() - middle)
    env.close()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        recording.save(Path(folder) / "recording.nc")
        seconds = time.perf_counter() - begin
        size = os.path.getsize(Path(folder) / "recording.nc") / 1e6
    rows = [["circuit", "neurons", "rollout, s", "with recording, s", "ratio", "saving, s", "file, MB"]]
    shown = (np.median(plain), np.median(kept), np.median(np.array(kept) / np.array(plain)), seconds, size)
    return [*rows, [run.config.circuit, str(len(recording.neurons)), *(f"{value:.2f}" for value in shown)]]


def _interval(values: Sequence[float] | np.ndarray, digits: int) -> str:
    return interval_text(bootstrap_iqm(values), digits)


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """Print the gait of every circuit, the lesions of NCAP, and what recording costs."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of trained runs, some seeds of each circuit."""
    page: Path | None = None
    """Page whose tables are made anew."""


def main(arguments: _Arguments) -> None:
    """Print the tables; make the page's anew."""
    if not arguments.runs:
        raise InvalidOption("no run to measure; give one or more")
    runs = [Run(path) for path in arguments.runs]
    torch.set_num_threads(1)
    by_circuit = {run.config.circuit: run for run in runs}
    recorded = [costs(run) for run in by_circuit.values()]
    made = {
        "gait": markdown_table(*gaits(runs)),
        "recording": markdown_table(recorded[0][0], *(r for _, r in recorded)),
    }
    if "ncap" in by_circuit:
        made["lesions"] = markdown_table(*lesions([run for run in runs if run.config.circuit == "ncap"]))
    publish(made, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
