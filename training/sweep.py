"""Many runs from one file: the product of what varies, in local processes, resumable at any point."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import multiprocessing
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from ..errors import InvalidRun, NervecordError, UnknownName
from .config import RunConfig
from .evaluate import evaluate
from .folder import write_whole
from .train import train

_FIELDS = {field.name for field in dataclasses.fields(RunConfig)}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What a sweep is.

    Attributes:
        base: fields of every run's `RunConfig`, over its defaults.
        vary: for some fields, the values whose product is run.
        episodes: of each run's evaluation.
    """

    base: Mapping[str, Any]
    vary: Mapping[str, list[Any]]
    episodes: int = 20

    def __post_init__(self) -> None:
        for name in [*self.base, *self.vary]:
            if name not in _FIELDS:
                raise UnknownName("field of a run", name, sorted(_FIELDS))
        for name, values in self.vary.items():
            if not isinstance(values, list) or not values:
                raise InvalidRun(f"vary.{name} is {values!r}; give a list of values, such as [0, 1, 2]")

    @classmethod
    def read(cls, path: str | Path) -> Sweep:
        """Read a TOML file with the tables `base` and `vary`.

        Raises:
            InvalidRun: it cannot be read, or holds something else.
        """
        try:
            values = tomllib.loads(Path(path).read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise InvalidRun(f"{path} cannot be read: {error}") from error
        if unknown := values.keys() - {"base", "vary", "episodes"}:
            raise UnknownName("part of a sweep", min(unknown), ["base", "episodes", "vary"])
        return cls(values.get("base", {}), values.get("vary", {}), values.get("episodes", 20))

    def configs(self) -> dict[str, RunConfig]:
        """Return every run's config by the name of its folder.

        Raises:
            NervecordError: a value is wrong; nothing is run.
        """
        found = {}
        for values in itertools.product(*self.vary.values()):
            chosen = dict(zip(self.vary, values, strict=True))
            name = "-".join(_as_name(value) for value in values) or "run"
            found[name] = RunConfig(**{**self.base, **chosen})
        return found


def sweep(plan: Sweep | str | Path, out: str | Path, workers: int = 1, progress: bool = True) -> pd.DataFrame:
    """Run what is not done yet, each run a folder in `out`, and write results.csv as runs finish.

    A run that cannot be (an algorithm without memory for a circuit that has one) or that fails keeps its
    reason in the table; the others go on. Started again, it does what is left.

    Returns:
        One row per run: its name, what varies, the means over its evaluation's episodes, and a note.

    Raises:
        InvalidRun, UnknownName: the plan is wrong; nothing is run.
    """
    plan = plan if isinstance(plan, Sweep) else Sweep.read(plan)
    out = Path(out)
    configs = plan.configs()
    if workers < 1:
        raise InvalidRun(f"workers is {workers}; give 1 or more")
    rows: dict[str, dict[str, Any]] = {}
    # Fresh processes: a fork would copy MuJoCo's and torch's threads half alive.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        jobs = {pool.submit(_run, config, out / name, plan.episodes): name for name, config in configs.items()}
        for job in tqdm(concurrent.futures.as_completed(jobs), total=len(jobs), desc="sweep", unit="run",
                        disable=not progress):  # fmt: skip
            name = jobs[job]
            varied = {field: _plain(getattr(configs[name], field)) for field in plan.vary}
            rows[name] = {"run": name, **varied, **job.result()}
            table = pd.DataFrame([rows[name] for name in configs if name in rows])
            write_whole(out / "results.csv", lambda partial, table=table: table.to_csv(partial, index=False))  # type: ignore[misc]
    return table


def _run(config: RunConfig, path: Path, episodes: int) -> dict[str, Any]:
    """Train and evaluate one run; a mistake becomes a note."""
    try:
        run = train(config, path, progress=False)
        found = evaluate(run, episodes)
    except NervecordError as error:
        return {"note": str(error)}
    return {**{name: interval.mean for name, interval in found.intervals.items()}, "note": ""}


def _as_name(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return "".join(letter if letter.isalnum() or letter in "._" else "_" for letter in text).strip("_") or "default"


def _plain(value: Any) -> Any:
    return getattr(value, "name", value)
