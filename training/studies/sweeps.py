"""Sweeps: train every combination of the values in a file, in processes or on Ray, resumable at any point."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import InvalidOption, UnknownName
from ...files import LONGEST_NAME, with_checksum
from ...options import FLAG, PATH, checked, told
from ..learning.engine import Engine
from ..rollouts.evaluation import check_episodes
from ..runs.config import RunConfig, check_fields
from ..runs.held_files import tell_files
from ..runs.run import Run
from ..runs.trial_files import TrialFiles
from .groups import group_table, grouped, printed, scales_of
from .trials import Trial, means_of, run_trials
from .written import write_table


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A grid of configs to train and evaluate.

    Attributes:
        base: fields of every run's `RunConfig` that replace its defaults.
        vary: lists of values for some fields; every combination is run.
        episodes: number of episodes of each run's evaluation.
    """

    base: Mapping[str, Any]
    vary: Mapping[str, list[Any]]
    episodes: int = 20

    def __post_init__(self) -> None:
        for part, table in (("base", self.base), ("vary", self.vary)):
            if not isinstance(table, Mapping):
                raise InvalidOption(f"{part} is {told(table)}; give a table of fields of a run, such as seed")
        check_fields([*self.base, *self.vary])
        check_episodes(self.episodes)
        for name, values in self.vary.items():
            if not isinstance(values, list) or not values:
                raise InvalidOption(f"vary.{name} is {told(values)}; give a list of values, such as [0, 1, 2]")
            if twice := [value for index, value in enumerate(values) if value in values[:index]]:
                raise InvalidOption(f"vary.{name} has {told(twice[0])} twice; give each value once")

    @classmethod
    @checked(InvalidOption, path=PATH)
    def read(cls, path: str | Path) -> Sweep:
        """Read a TOML file with the tables `base` and `vary`.

        Raises:
            InvalidOption: the file cannot be read, or has other content.
        """
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidOption(f"{path} cannot be read: {error}") from error
        if unknown := values.keys() - {"base", "vary", "episodes"}:
            raise UnknownName("part of a sweep", min(unknown), ["base", "episodes", "vary"])
        return cls(values.get("base", {}), values.get("vary", {}), values.get("episodes", 20))

    def named(self, field: str, name: Callable[[str], str]) -> Sweep:
        """Return the sweep with `name` applied to each value of a field, whose values are strings."""
        one, many = self.base.get(field), self.vary.get(field)
        base = {**self.base, field: name(one)} if isinstance(one, str) else self.base
        others = [name(each) if isinstance(each, str) else each for each in many] if isinstance(many, list) else []
        return dataclasses.replace(self, base=base, vary={**self.vary, field: others} if others else self.vary)

    def configs(self) -> dict[str, RunConfig]:
        """Return every run's config by the name of its folder.

        Raises:
            NervecordError: a value is invalid; nothing is run.
        """
        found: dict[str, RunConfig] = {}
        trials = list(itertools.product(*self.vary.values()))
        names = ["-".join(map(_as_name, values)) or "run" for values in trials]
        times = collections.Counter(names)
        for name, values in zip(names, trials, strict=True):
            config = RunConfig(**{**self.base, **dict(zip(self.vary, values, strict=True))})
            # Values that differ in what no folder's name holds, or that are longer than one may be.
            is_name = len(name) <= LONGEST_NAME and times[name] == 1
            found[name if is_name else with_checksum(name, repr(values))] = config
        return found


@checked(InvalidOption, out=PATH, progress=FLAG)
def sweep(
    plan: Sweep | str | Path,
    out: str | Path,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train and evaluate every config of a sweep that is not done yet; scores go to `out`/results.sqlite.

    Invalid combinations (such as SAC with a recurrent circuit) are recorded with the reason and skipped. Calling it
    again resumes: unfinished and failed runs are run, and those whose settings changed, such as more episodes.

    Returns:
        One row per run: its name, the varied fields, mean metrics of its evaluation (net_speed in m/s), and a note.

    Raises:
        InvalidOption, UnknownName: the plan is invalid; nothing is run.
    """
    plan = plan if isinstance(plan, Sweep) else Sweep.read(plan)
    out = Path(out)
    configs = plan.configs()
    trials = {name: Trial("sweep", name, config) for name, config in configs.items()}
    files = TrialFiles(out)
    run_trials(trials, out, files, plan.episodes, workers, engine, address, progress)
    scores = files.table("sweep")
    means = means_of(scores)
    notes = scores.groupby("source")["note"].first()
    return pd.DataFrame([
        {"run": name, **{field: _plain(getattr(config, field)) for field in plan.vary},
         **(means.loc[name].to_dict() if name in means.index else {}), "note": notes[name] or ""}
        for name, config in configs.items()
    ])  # fmt: skip


def sweep_groups(plan: Sweep | str | Path, out: str | Path) -> pd.DataFrame:
    """Return the results of a sweep by groups of runs that differ only in their seed; write groups.csv, .md and .tex.

    Runs that could not be trained or evaluated are left out.

    Args:
        plan: the sweep, or its file.
        out: folder of the sweep.

    Returns:
        One row per group, with the columns of `group_table`.
    """
    plan, out = plan if isinstance(plan, Sweep) else Sweep.read(plan), Path(out)
    means = means_of(TrialFiles(out).table("sweep"))
    # In the order in which `compare` meets them.
    runs = {name: Run(out / name) for name in sorted(plan.configs()) if name in means.index}
    named = {run.path: name for name, run in runs.items()}
    members = grouped(list(runs.values()))
    groups = {label: [named[run.path] for run in each] for label, each in members.items()}
    table = group_table(means, groups, scales_of(members)) if groups else pd.DataFrame()
    if groups:
        write_table(table, printed(table), out / "groups")
    return table


def _as_name(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return "".join(letter if letter.isalnum() or letter in "._" else "_" for letter in text).strip("_") or "default"


def _plain(value: Any) -> Any:
    told = tell_files(value)
    return getattr(told, "name", told)
