"""Compare groups of runs that differ only in their seed: one table, and learning curves with intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ...drawing.figures import interval_curves
from ...errors import InvalidOption, OutputExists
from ...options import COUNT, FLAG, PATH, ListOf, checked
from ..rollouts.evaluation import evaluate, result_of
from ..runs.holds import holds
from ..runs.result import TRAINED, Result
from ..runs.run import A_RUN, Run
from ..runs.trial_files import TrialFiles, asked_of
from .groups import group_table, grouped, printed, scales_of
from .trials import curve, means_of, run_facts
from .written import write_figure, write_table

_STUDY = "comparison"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        table: one row per group of runs that differ only in their seed, with the columns of `group_table`.
        path: folder with table.csv, .md and .tex, curves.svg, .pdf and .png (interquartile mean over seeds, with its
            95 % interval as a band), and results.sqlite (every score; see `read_scores`).
    """

    table: pd.DataFrame
    path: Path


@checked(InvalidOption, runs=ListOf(A_RUN, '["runs/a", "runs/b"]'), out=PATH, episodes=COUNT, progress=FLAG)
def compare(
    runs: Sequence[Run | str | Path],
    out: str | Path,
    episodes: int = 20,
    labels: Mapping[str, str] | None = None,
    progress: bool = False,
    trust: bool = False,
) -> Comparison:
    """Compare groups of runs: evaluate runs that have no evaluation, and write table and curves to `out`.

    Args:
        runs: runs, or folders of sweeps, which stand for all their runs with the evaluations that they have.
        out: folder for the results.
        episodes: number of episodes for runs that are not evaluated yet.
        labels: new names for groups, by their default names, which state the options that differ between groups.
        progress: show progress bars.
        trust: follow links in the folders, and run their circuits' code; see `Folder`.

    Raises:
        InvalidOption: there are fewer than two runs, `episodes` is below 1, a group has a seed twice, or two groups
            have the same name.
        InvalidRun: a folder is not a run, or has no checkpoint yet.
        UnknownName: a label is for a group that does not exist.
        OutputExists: `out` contains files that were not written by a comparison.
    """
    opened = _expanded(runs, trust)
    out = Path(out)
    if len(opened) < 2:
        raise InvalidOption(f"{len(opened)} run to compare; give two or more")
    files = TrialFiles(out)
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or len(files.table(_STUDY)))):
        raise OutputExists(f"{out} exists and holds no comparison; give another --out")
    groups = grouped(opened, labels)
    for label, members in groups.items():
        for run in members:
            found = _evaluation(run, episodes, progress)
            about = {"study": _STUDY, "agent": label, **run_facts(run.config)}
            asked = asked_of(run.config, weights=found.weights.sha256, episodes=found.episodes)
            files.put(str(run.path), asked, about, [(TRAINED, found)], curve(run))
    scores = files.table(_STUDY)
    files.write_table()
    names = {label: [str(run.path) for run in members] for label, members in groups.items()}
    table = group_table(means_of(scores), names, scales_of(groups))
    write_table(table, printed(table), out / "table")
    curves = {label: [_learning(run) for run in members] for label, members in groups.items()}
    figure = interval_curves({label: seeds for label, seeds in curves.items() if all(len(s) for s, _ in seeds)})
    write_figure(figure, out / "curves")
    return Comparison(table, out)


def _expanded(paths: Sequence[Run | str | Path], trust: bool) -> list[Run]:
    """Open runs, and all runs of a study's folder; what else a study keeps beside its runs is passed over.

    Raises:
        InvalidOption: one is neither.
    """
    runs: list[Run] = []
    for path in paths:
        if isinstance(path, Run):
            runs.append(path)
        elif _is_study(Path(path)):
            inside = sorted(file.parent for file in Path(path).rglob("config.json"))
            runs += [Run(folder, trust) for folder in inside if holds(folder, trust) == Run.kind]
        elif not (_is_study(Path(path).parent) and not (Path(path) / "config.json").exists()):
            runs.append(Run(path, trust))
    return runs


def _is_study(path: Path) -> bool:
    return (path / "trials").is_dir() and not (path / "config.json").exists()


def _evaluation(run: Run, episodes: int, progress: bool) -> Result:
    """Return what a run's last weights came to on most episodes, measured now if they were not yet."""
    found = run.results.current.where("evaluation").best
    if found is None:
        values = evaluate(run, episodes, progress=progress).metrics
        weights = run.last_weights()
        assert weights is not None
        # Not read back: a run in a folder that cannot be written is compared all the same.
        found = result_of(run.resolved.config, weights, episodes, values)
    return found


def _learning(run: Run) -> tuple[list[float], list[float]]:
    table = run.metrics()
    # Without the learner's noise where training was evaluated.
    metric = "eval/return" if (table["metric"] == "eval/return").any() else "rollout/ep_rew_mean"
    rows = table[table["metric"] == metric]
    return rows["step"].tolist(), rows["value"].tolist()
