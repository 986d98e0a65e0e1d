"""Longest memory of a CT-RNN under each curriculum, and its time constants during training.

    python -m nervecord.benchmarks.results.memory runs/parity --page docs/results/learning.md

Every curriculum is a folder. A second start skips finished ones and continues the others.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure

from ...drawing.figures import curves, figure_svg
from ...files import write_text
from ...intervals import bootstrap_mean
from ...training.learning.curricula import CurriculumConfig, CurriculumRun, curriculum
from ...training.studies.markdown import markdown_table
from .command import start
from .tables import fill_page

_KINDS: tuple[Literal["multi-head", "single-head"], ...] = ("multi-head", "single-head")


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """Train both curricula from several seeds; print a table."""

    out: tyro.conf.Positional[Path]
    """Folder of the curricula."""
    task: str = "parity"
    """parity or delayed-match."""
    units: int = 128
    """Units of the CT-RNN."""
    updates: int = 10_000
    """Updates of the weights in each curriculum."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of each curriculum."""
    device: str = "cpu"
    """Torch device, such as cpu or cuda."""
    workers: int = 1
    """Curricula at a time, one process each."""
    page: Path | None = None
    """Page whose table and figures, which are beside it, are made anew."""


def run_one(out: Path, config: CurriculumConfig) -> None:
    """Run one curriculum to its end."""
    curriculum(config, out / f"{config.kind}-{config.seed}", progress=False)


def show(out: Path, configs: list[CurriculumConfig], page: Path | None) -> None:
    """Print the table of the results so far; make the page's table and its figures anew."""
    columns = ["curriculum", "updates", "largest N solved", "each seed", "updates to N = 10", "mean tau at the end",
               "slowest tau"]  # fmt: skip
    lines = []
    solved: dict[str, list[tuple[list[float], list[float]]]] = {}
    taus: dict[str, list[tuple[list[float], list[float]]]] = {}
    for kind in _KINDS:
        runs = [CurriculumRun(out / f"{kind}-{config.seed}") for config in configs if config.kind == kind]
        tables = [run.metrics() for run in runs]
        solved[kind] = [_series(table, "curriculum/largest_solved") for table in tables]
        taus[kind] = [_series(table, "circuit/tau_mean") for table in tables]
        largest = [values[-1] for _, values in solved[kind]]
        to_ten = [next((step for step, n in zip(*seed, strict=True) if n >= 10), np.nan) for seed in solved[kind]]
        slowest = [_series(table, "circuit/tau_max")[1][-1] for table in tables]
        shown = "never" if np.isnan(to_ten).all() else ", ".join("never" if np.isnan(n) else f"{n:.0f}" for n in to_ten)
        each = ", ".join(f"{n:.0f}" for n in largest)
        updates = max(table["step"].max() for table in tables)
        lines.append(
            [kind, f"{updates:,.0f}", bootstrap_mean(largest), each, shown,
             bootstrap_mean([values[-1] for _, values in taus[kind]]), bootstrap_mean(slowest)]
        )  # fmt: skip
    made = markdown_table(columns, *lines)
    print(made)
    if page:
        fill_page(page, {"memory": made})
        for name, groups, label in (("solved", solved, "largest N solved"), ("tau", taus, "mean tau (steps)")):
            figure: Figure = curves(groups, f"{configs[0].task}, CT-RNN", x="updates", y=label)
            write_text(page.parent / f"{configs[0].task}-{name}.svg", figure_svg(figure))


def _series(table: pd.DataFrame, metric: str) -> tuple[list[float], list[float]]:
    rows = table[table["metric"] == metric]
    return rows["step"].tolist(), rows["value"].tolist()


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    configs = [
        CurriculumConfig(
            task=arguments.task,
            kind=kind,
            seed=seed,
            updates=arguments.updates,
            device=arguments.device,
            circuit_options={"units": arguments.units},
        )
        for seed in arguments.seeds
        for kind in _KINDS
    ]
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        pool.starmap(run_one, [(arguments.out, config) for config in configs], chunksize=1)
    show(arguments.out, configs, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
