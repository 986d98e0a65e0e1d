"""Make a table: train every architecture on every body with every seed, in processes or on Ray, resumable."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ....agents.algorithms.population_learner import PopulationAlgorithm
from ....agents.algorithms.registry import algorithm_named
from ....envs import Body
from ....errors import InvalidOption, InvalidRun, OutputExists, UnknownName
from ....options import COUNT, FLAG, PATH, Instance, ListOf, checked
from ....progress import progress_bar
from ....version import __version__
from ...learning.checks import check
from ...learning.engine import Engine, check_engine, run_tasks
from ...runs.config import RunConfig
from ...runs.folder import versions
from ...runs.lock import hold
from ...runs.resolution import resolve
from ...runs.trial_files import TrialFiles, asked_of
from ..trials import Measured, run_facts
from .measuring import measure_seeds
from .plans import PLANS, TEST_EPISODES, UNSEEN_EPISODES, VALID_EPISODES, TablePlan
from .table import ArchitectureTable

_EPISODES = {"valid": VALID_EPISODES, "test": TEST_EPISODES, "unseen": UNSEEN_EPISODES}
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Cell:
    """One architecture on one body: what a run depends on beside its seed, and the name of each seed's trial."""

    architecture: str
    config: RunConfig
    unseen: tuple[Body, ...]
    asked: dict[str, Any]
    trials: dict[int, str]


@checked(
    InvalidOption,
    plan=Instance((str, TablePlan), "prior, cells, cells-ppo or a TablePlan"),
    out=PATH,
    seeds=COUNT,
    bodies=ListOf(Instance(str, "the name of a body"), '["swimmer6"]'),
    architectures=ListOf(Instance(str, "an architecture as the space writes it"), '["cell=gru|units=8"]'),
    progress=FLAG,
)
def make_table(
    plan: str | TablePlan,
    out: str | Path,
    seeds: int = 20,
    bodies: Sequence[str] = (),
    architectures: Sequence[str] = (),
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    progress: bool = True,
) -> ArchitectureTable:
    """Train every architecture of a plan, and write the scores to `out`/NAME.csv.gz.

    The scores of each run are a file in `out`/trials. Calling it again resumes, also with more seeds, bodies or
    architectures. The seeds of an architecture on a body are trained in one task.

    Args:
        plan: "prior", "cells", "cells-ppo", or a `TablePlan`.
        out: folder for the table.
        seeds: number of runs of each architecture on each body, with seeds from 0.
        bodies: a subset of the plan's bodies; empty for all.
        architectures: a subset of the space; empty for all.
        workers, engine, address: see `run_tasks`.
        progress: show a progress bar.

    Returns:
        The table of these runs.

    Raises:
        UnknownName: there is no such plan, or the plan has no such body.
        InvalidOption: there is no such architecture, or `seeds` is below 1.
        OutputExists: `out` is a file.
        InvalidRun: all runs failed; the message says why the first did.
    """
    if isinstance(plan, str):
        if plan not in PLANS:
            raise UnknownName("table", plan, PLANS, "or give a TablePlan of your own")
        plan = PLANS[plan]
    check_engine(workers, engine, address)
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise OutputExists(f"{out} is a file; give another --out")
    cells = list(_cells(plan, range(seeds), bodies, architectures))
    files = TrialFiles(out)
    study = f"nas/{plan.space.name}"
    _run(study, cells, plan.steps, out, files, workers, engine, address, progress)
    rows = _rows(files.table(study), cells, plan.steps)
    table = ArchitectureTable(plan.space, rows, _about(cells[0], plan))
    table.write(out / f"{plan.space.name}.csv.gz")
    return table


def _cells(
    plan: TablePlan, seeds: Sequence[int], bodies: Sequence[str], architectures: Sequence[str]
) -> Iterator[_Cell]:
    """Yield the cells that are asked for, body by body; see `make_table` for what is raised."""
    for body in bodies:
        if body not in plan.bodies:
            raise UnknownName(f"body of the table {plan.space.name}", body, plan.bodies)
    indices = sorted({plan.space.index(each) for each in architectures}) or range(len(plan.space))
    for body in (each for each in plan.bodies if not bodies or each in bodies):
        unseen = plan.unseen_of(body)
        for index in indices:
            config = plan.config_of(plan.space[index], body)
            measured = {"steps": plan.steps, "unseen": [each.to_json() for each in unseen], **_EPISODES}
            names = {seed: f"{plan.space.name}-{index}-{body}-{seed}" for seed in seeds}
            check(config)
            yield _Cell(plan.space[index], config, unseen, asked_of(config, **measured), names)


def _run(
    study: str,
    cells: Sequence[_Cell],
    steps: Sequence[int],
    out: Path,
    files: TrialFiles,
    workers: int | None,
    engine: Engine,
    address: str | None,
    progress: bool,
) -> None:
    """Run the trials that are not done yet, and write what each came to."""
    tasks: dict[str, tuple[Any, ...]] = {}
    of_task: dict[str, tuple[_Cell, list[int]]] = {}
    for cell in cells:
        left = [seed for seed, name in cell.trials.items() if not files.holds(name, cell.asked)]
        # Seeds of a population share a batch of environments; others are spread as finely as they can be.
        is_shared = isinstance(algorithm_named(cell.config.algorithm), PopulationAlgorithm)
        for seeds in [left] * bool(left) if is_shared else [[seed] for seed in left]:
            name = cell.trials[seeds[0]]
            tasks[name], of_task[name] = (cell.config, seeds, steps, cell.unseen), (cell, seeds)
    total, left_over = sum(len(cell.trials) for cell in cells), sum(len(seeds) for _, seeds in of_task.values())
    bar = progress_bar(total=total, initial=total - left_over, disable=not progress, desc=study, unit="run")
    out.mkdir(parents=True, exist_ok=True)
    with bar, hold(out), contextlib.closing(run_tasks(measure_seeds, tasks, workers, engine, address)) as outcomes:
        for name, outcome in outcomes:
            cell, seeds = of_task[name]
            if isinstance(outcome, Exception):
                note = str(outcome) or type(outcome).__name__
                _log.warning("nervecord: %s on %s: %s", cell.architecture, cell.config.trained_on, note)
                outcome = dict.fromkeys(seeds, Measured(note=note))
            for seed in seeds:
                found: Measured = outcome[seed]
                facts = run_facts(dataclasses.replace(cell.config, seed=seed))
                about = {"study": study, "agent": cell.architecture, **facts, "weights": found.weights}
                files.put(cell.trials[seed], cell.asked, about, found.results, found.curve, found.note)
            bar.update(len(seeds))


def _rows(scores: pd.DataFrame, cells: Sequence[_Cell], steps: Sequence[int]) -> pd.DataFrame:
    """Return a row for each run of the cells, with the columns of a table."""
    scores = scores[scores["source"].isin([name for cell in cells for name in cell.trials.values()])]
    measured = scores[scores["metric"].notna()]
    if measured.empty:
        raise InvalidRun(f"no architecture could be trained; the first: {scores['note'].dropna().iloc[0]}")
    is_curve = measured["stage"] == "training"
    column = np.select(
        [is_curve & (measured["metric"] == "return"), is_curve, measured["body"] == measured["trained_on"]],
        ["valid_" + measured["step"].astype(int).astype(str), "seconds", "test"],
        "unseen",
    )
    keys = measured[["agent", "trained_on", "seed", "weights"]].astype({"seed": int, "weights": int})
    keys = keys.rename(columns={"agent": "architecture", "trained_on": "body"})
    long = keys.assign(column=column, value=measured["value"].astype(float))
    # Of several unseen bodies, the mean.
    table = long.pivot_table(index=list(keys), columns="column", values="value").rename_axis(columns=None)
    returns = ["test", "unseen", *(f"valid_{step}" for step in steps)]
    table = table.reindex(columns=["seconds", *returns]).round({"seconds": 3, **dict.fromkeys(returns, 1)})
    bodies = dict.fromkeys(cell.config.trained_on for cell in cells)
    return table.reset_index().sort_values("body", key=lambda names: names.map(list(bodies).index), kind="stable")


def _about(cell: _Cell, plan: TablePlan) -> dict[str, Any]:
    """Return how a table was made, as JSON types."""
    config = resolve(cell.config).config
    return {
        "algorithm": config.algorithm, "task": config.task, "episode_steps": config.episode_steps,
        "physics": config.physics, "unseen": list(plan.unseen), "episodes": _EPISODES,
        "nervecord": __version__, "packages": versions()["packages"],
    }  # fmt: skip
