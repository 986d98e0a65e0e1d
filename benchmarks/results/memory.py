"""Longest memory of a CT-RNN under each curriculum, and its time constants during training.

    python -m nervecord.benchmarks.results.memory runs/parity --page docs/results/learning.md

Every curriculum is a folder. A second start skips finished ones and continues the others.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure

from ...drawing.figures import curves, figure_svg
from ...files import write_text
from ...intervals import bootstrap_mean
from ...training.learning.checks import device_named
from ...training.learning.curricula import CurriculumConfig, CurriculumRun, curriculum
from ...training.studies.markdown import markdown_table
from .command import start
from .runs import run_each
from .stored import results
from .tables import StudyArguments, interval_text, publish

_Kind = Literal["multi-head", "single-head"]
# Updates after which the table compares seeds; the last is where a curriculum ends. Khajehabdollahi et al. solve N = 28
# with a single head after 163,800.
UPDATES: Mapping[_Kind, tuple[int, ...]] = {
    "multi-head": (10_000,),
    "single-head": (10_000, 30_000, 60_000, 100_000, 164_000),
}
_UNITS = 128
KEPT = ("*/config.json", "*/metrics.csv")
_SOLVED, _TAU, _SLOWEST = "curriculum/largest_solved", "circuit/tau_mean", "circuit/tau_max"


@dataclasses.dataclass(frozen=True)
class Arguments(StudyArguments):
    """Train both curricula on parity from several seeds."""

    seeds: int = 3
    """Seeds of each curriculum."""
    device: str = "cpu"
    """Torch device, such as cpu or cuda."""


def configs(seeds: int, device: str = "cpu") -> dict[str, CurriculumConfig]:
    """Return the curricula by the name of their folder."""
    return {
        f"{kind}-{seed}": CurriculumConfig(
            kind=kind, seed=seed, updates=ends[-1], circuit_options={"units": _UNITS}, device=device
        )
        for seed in range(seeds)
        for kind, ends in UPDATES.items()
    }


def run_all(out: Path, arguments: Arguments) -> None:
    """Run every curriculum to its end."""
    tasks = {name: (config, out / name, False) for name, config in configs(arguments.seeds, arguments.device).items()}
    device_named(arguments.device)  # before any worker starts
    run_each(curriculum, tasks, arguments.workers, "curricula")


def courses(folder: Path) -> dict[_Kind, list[pd.DataFrame]]:
    """Return the logged metrics of each curriculum by its kind: a column each, by updates."""
    return {
        kind: [
            CurriculumRun(path).metrics().pivot_table(index="step", columns="metric", values="value")
            for path in sorted(folder.glob(f"{kind}-*"))
        ]
        for kind in UPDATES
    }


def table(found: Mapping[_Kind, list[pd.DataFrame]]) -> str:
    """Return the Markdown table of N and tau after each number of updates, over the seeds that got as far."""
    columns = ["curriculum", "updates", "seeds", "largest N solved", "each seed", "mean tau", "its growth",
               "slowest tau", "its growth"]  # fmt: skip
    lines = []
    for kind, ends in UPDATES.items():
        for updates in ends:
            there = [course for course in found[kind] if course.index[-1] >= updates]
            if not there:
                continue
            now, first = (pd.DataFrame([course.loc[step] for course in there]) for step in (updates, there[0].index[0]))
            cells = [kind, f"{updates:,}", str(len(there)), interval_text(bootstrap_mean(now[_SOLVED]), 1),
                     ", ".join(f"{n:.0f}" for n in now[_SOLVED])]  # fmt: skip
            for tau in (_TAU, _SLOWEST):
                grown = now[tau].to_numpy() - first[tau].to_numpy()
                cells += [interval_text(bootstrap_mean(now[tau]), 2), interval_text(bootstrap_mean(grown), 2)]
            lines.append(cells)
    return markdown_table(columns, *lines)


def main(arguments: Arguments) -> None:
    """Run what the command line asks for."""
    with results(arguments, "curricula", functools.partial(run_all, arguments=arguments), KEPT) as folder:
        found = courses(folder)
    publish({"memory": table(found)}, arguments.page)
    if arguments.page is None:
        return
    for name, metric, label in (("solved", _SOLVED, "largest N solved"), ("tau", _SLOWEST, "slowest tau (steps)")):
        groups: dict[str, list[tuple[list[float], list[float]]]] = {
            kind: [(course.index.tolist(), course[metric].tolist()) for course in each]
            for kind, each in found.items()
            if each
        }
        figure: Figure = curves(groups, "parity, CT-RNN", x="updates", y=label)
        write_text(arguments.page.with_suffix("") / f"parity-{name}.svg", figure_svg(figure))


if __name__ == "__main__":
    start(main, Arguments)
