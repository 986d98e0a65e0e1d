"""A table of trained architectures, with an API like that of NAS-Bench-201.

Dong and Yang, NAS-Bench-201, ICLR 2020 (https://arxiv.org/abs/2001.00326), https://github.com/D-X-Y/NAS-Bench-201.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from ....errors import InvalidOption, InvalidRun, NervecordError, UnknownName
from ....files import errors_of, write_whole
from ....options import PATH, checked
from .plans import PLANS
from .spaces import SearchSpace

FORMAT = 1
SHIPPED = Path(__file__).with_name("tables")
METRICS = ("valid", "test", "unseen", "seconds", "weights")
_KEY = ["architecture", "body", "seed"]
_VALID = "valid_"


class Simulated(NamedTuple):
    """What one simulated training came to.

    Attributes:
        valid: mean return of the validation episodes.
        latency: seconds of a control step in training, physics and learning included.
        cost: seconds that the training took.
        used_time: seconds of all since `reset_time`.
    """

    valid: float
    latency: float
    cost: float
    used_time: float


class ArchitectureTable:
    """The scores of every architecture of a search space, on several bodies, with many seeds.

    `table[3]` is the fourth architecture, `len(table)` their number. Returns are means over episodes. Times are
    processor seconds of the machine that trained; the time of part of a training is proportional to its steps.

    Args:
        space: the search space.
        rows: one row per run, with the columns architecture, body, seed, weights (number of trained weights), seconds,
            test and unseen (returns at the end of training; unseen is the mean over bodies that no run trained on),
            and valid_STEP for each number of environment steps at which runs were validated.
        about: how and with which versions the table was made, as JSON types.
        seed: seed of `random` and `simulate_train_eval`.

    Attributes:
        space: the search space; a partial table lacks some of its architectures.
        bodies: names of the bodies.
        seeds: seeds of the runs.
        steps: environment steps of the validations, increasing.
        used_time: seconds spent by `simulate_train_eval` since `reset_time`.
    """

    def __init__(self, space: SearchSpace, rows: pd.DataFrame, about: Mapping[str, Any], seed: int = 0) -> None:
        self.space, self.about = space, about
        self.architectures = tuple(sorted(set(rows["architecture"]), key=space.index))
        self.bodies = tuple(dict.fromkeys(rows["body"]))
        self.seeds = tuple(sorted(map(int, set(rows["seed"]))))
        self.steps = tuple(int(name.removeprefix(_VALID)) for name in map(str, rows) if name.startswith(_VALID))
        self.used_time = 0.0
        self._places = {architecture: index for index, architecture in enumerate(self.architectures)}
        self._rng = np.random.default_rng(seed)
        every = pd.MultiIndex.from_product([self.architectures, self.bodies, self.seeds], names=_KEY)
        self._rows = rows.set_index(_KEY).reindex(every)
        shape = len(self.architectures), len(self.bodies), len(self.seeds)
        self._arrays = {name: self._rows[name].to_numpy(float).reshape(shape) for name in self._rows}

    @classmethod
    @checked(InvalidOption, path=PATH)
    def read(cls, path: str | Path, seed: int = 0) -> ArchitectureTable:
        """Read a file written by `write`.

        Raises:
            InvalidRun: the file is not a table, is damaged, or is of another version.
        """
        path = Path(path)
        try:
            with errors_of(path):
                first, _, text = gzip.decompress(path.read_bytes()).decode().partition("\n")
            about = json.loads(first.removeprefix("# "))
            held = about.pop("format")
        except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise InvalidRun(f"{path} is not a table of architectures; give a .csv.gz that nas make wrote") from error
        if held != FORMAT:
            raise InvalidRun(
                f"{path} is a table of format {held!r} and this version of nervecord reads {FORMAT}; make it again "
                f"with nervecord nas make, or install nervecord {about.get('nervecord')}"
            )
        try:
            if about.pop("sha256") != _checksum(about, text):
                raise InvalidRun(f"{path} is damaged: its checksum is another; fetch it again, or make it again")
            space = SearchSpace(**about.pop("space"))
            return cls(space, pd.read_csv(io.StringIO(text)), about, seed)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRun(f"{path} is damaged: {error}; fetch it again, or make it again") from error

    def write(self, path: Path) -> None:
        """Write the table as a compressed CSV file; its first line, after a #, is a JSON description."""
        rows = self._rows.dropna(how="all").reset_index().astype({"weights": int})
        text = rows.to_csv(index=False, lineterminator="\n")
        about = {**self.about, "space": dataclasses.asdict(self.space)}
        first = json.dumps({"format": FORMAT, **about, "sha256": _checksum(about, text)})
        packed = gzip.compress(f"# {first}\n{text}".encode(), mtime=0)
        write_whole(path, lambda partial: partial.write_bytes(packed))

    def __len__(self) -> int:
        return len(self.architectures)

    def __getitem__(self, index: int) -> str:
        return self.architectures[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.architectures)

    def scores(
        self, body: str, metric: str = "test", step: int | None = None
    ) -> Float[np.ndarray, "architectures seeds"]:
        """Return a metric of every run on a body; NaN where the table has no run.

        Args:
            body: name of the body.
            metric: "valid", "test" or "unseen" (returns), "seconds", or "weights" (number of trained weights).
            step: environment steps of training; None is the last. Test and unseen exist only at the last.

        Raises:
            UnknownName: the table has no such body or metric.
            InvalidOption: the table has no such step.
        """
        if body not in self.bodies:
            raise UnknownName("body of this table", body, self.bodies)
        if metric not in METRICS:
            raise UnknownName("metric of a table", metric, METRICS)
        last = self.steps[-1]
        step = last if step is None else step
        if step not in self.steps or (step != last and metric in ("test", "unseen")):
            able = self.steps if metric not in ("test", "unseen") else self.steps[-1:]
            raise InvalidOption(f"step is {step!r}; of {metric}, this table has {', '.join(map(str, able))}")
        values = self._arrays[f"{_VALID}{step}" if metric == "valid" else metric][:, self.bodies.index(body)]
        return values * step / last if metric == "seconds" else values.copy()

    def means(self, body: str, metric: str = "test") -> Float[np.ndarray, " architectures"]:
        """Return the mean over seeds of a metric at the last step; NaN where the table has no run."""
        values = self.scores(body, metric)
        counts = (~np.isnan(values)).sum(1)
        return np.nansum(values, 1) / np.where(counts, counts, np.nan)

    def query_index_by_arch(self, architecture: str) -> int:
        """Return the index of an architecture, whose choices may be written in any order; -1 if there is none."""
        try:
            return self._index(architecture)
        except NervecordError:
            return -1

    def query_meta_info_by_index(self, index: int) -> pd.DataFrame:
        """Return every run of an architecture, one row each, with the columns of the file.

        Raises:
            InvalidOption: there is no such index.
        """
        return self._rows.loc[[self._named(index)]].dropna(how="all").reset_index()

    def get_more_info(
        self, index: int, body: str, step: int | None = None, seed: int | None = None
    ) -> dict[str, float | int]:
        """Return the scores of an architecture on a body: means over seeds, or the values of one seed.

        Args:
            index: index of the architecture.
            body: name of the body.
            step: environment steps of training; None is the last.
            seed: seed of one run; None takes the mean over seeds.

        Returns:
            step, seeds (number of runs), weights, seconds, latency (seconds per control step) and valid; at the last
            step also test and unseen.

        Raises:
            UnknownName: the table has no such body.
            InvalidOption: the table has no such index, step, seed or run.
        """
        self._named(index)
        if seed is not None and seed not in self.seeds:
            raise InvalidOption(f"seed is {seed!r}; this table has {', '.join(map(str, self.seeds))}")
        step = self.steps[-1] if step is None else step
        metrics = [name for name in METRICS if step == self.steps[-1] or name not in ("test", "unseen")]
        found = {name: self.scores(body, name, step)[index] for name in metrics}
        taken = ~np.isnan(found["valid"]) & (np.array([seed is None or own == seed for own in self.seeds]))
        if not taken.any():
            raise self._lacks(index, body)
        means = {name: float(values[taken].mean()) for name, values in found.items()}
        weights = int(means.pop("weights"))
        return {
            "step": step,
            "seeds": int(taken.sum()),
            "weights": weights,
            "latency": means["seconds"] / step,
            **means,
        }

    def summary(
        self, architecture: str | None = None, body: str | None = None, step: int | None = None, seed: int | None = None
    ) -> pd.DataFrame:
        """Return the scores of `get_more_info` as a table, one row per architecture and body, the best of a body first.

        Combinations without a run are left out.

        Args:
            architecture, body: a single architecture or body; None takes all.
            step, seed: see `get_more_info`.

        Raises:
            UnknownName, InvalidOption: the table has no such entry.
        """
        which = range(len(self)) if architecture is None else [self._index(architecture)]
        parts = []
        for name in self.bodies if body is None else [body]:
            runs = ~np.isnan(self.scores(name, "valid", step))
            has_runs = runs[:, self.seeds.index(seed)] if seed in self.seeds else runs.any(1)
            rows = [
                {"architecture": self[index], "body": name, **self.get_more_info(index, name, step, seed)}
                for index in which
                if has_runs[index]
            ]
            if rows:
                table = pd.DataFrame(rows)
                by = "test" if "test" in table else "valid"
                parts.append(table.sort_values(by, ascending=False, kind="stable"))
        if not parts:
            raise self._lacks(which[0], body or " or ".join(self.bodies))
        return pd.concat(parts, ignore_index=True)

    def simulate_train_eval(
        self, architecture: str, body: str, step: int | None = None, rng: np.random.Generator | None = None
    ) -> Simulated:
        """Simulate training an architecture once: return the scores of a random seed, and add its time to `used_time`.

        Args:
            architecture: the architecture.
            body: name of the body.
            step: environment steps of training; None is the last.
            rng: random generator for the seed; None is the table's own.

        Raises:
            UnknownName, InvalidOption: the table has no such entry.
        """
        index = self._index(architecture)
        valid, seconds = (self.scores(body, name, step)[index] for name in ("valid", "seconds"))
        taken = np.flatnonzero(~np.isnan(valid))
        if not len(taken):
            raise self._lacks(index, body)
        run = int((rng or self._rng).choice(taken))
        self.used_time += float(seconds[run])
        latency = float(seconds[run]) / (step or self.steps[-1])
        return Simulated(float(valid[run]), latency, float(seconds[run]), self.used_time)

    def reset_time(self) -> None:
        """Reset `used_time` to 0."""
        self.used_time = 0.0

    def find_best(self, body: str, metric: str = "test") -> tuple[int, float]:
        """Return the index of the architecture with the highest mean over seeds on a body, and that mean.

        Args:
            body: name of the body.
            metric: "valid", "test" or "unseen", at the last step.

        Raises:
            UnknownName: the table has no such body or metric.
            InvalidOption: the table has no values of that metric.
        """
        means = self.means(body, metric)
        if np.isnan(means).all():
            raise InvalidOption(f"this table has no {metric} on {body}; its plan measures none")
        index = int(np.nanargmax(means))
        return index, float(means[index])

    def random(self) -> int:
        """Return the index of a random architecture."""
        return int(self._rng.integers(len(self)))

    def _index(self, architecture: str) -> int:
        written = self.space[self.space.index(architecture)]
        if written not in self._places:
            raise InvalidOption(f"this table has {len(self)} of the {len(self.space)} architectures, and not {written}")
        return self._places[written]

    def _named(self, index: int) -> str:
        if index not in range(len(self)):
            raise InvalidOption(f"index is {index!r}; give 0 to {len(self) - 1}")
        return self[index]

    def _lacks(self, index: int, body: str) -> InvalidOption:
        return InvalidOption(f"this table lacks runs of {self[index]} on {body}; nervecord nas make makes them")


def open_table(table: str | Path, seed: int = 0) -> ArchitectureTable:
    """Open a table that comes with nervecord, or a file written by `make_table`.

    Args:
        table: "prior", "cells", "cells-ppo", or a path.
        seed: seed of the table's random choices.

    Raises:
        UnknownName: there is no such table or file.
        InvalidRun: the file is not a table or is of another version, or this installation lacks the table.
    """
    if str(table) not in PLANS:
        if not Path(table).exists():
            raise UnknownName("table", str(table), PLANS, "or the path of a .csv.gz that nervecord nas make wrote")
        return ArchitectureTable.read(table, seed)
    shipped = SHIPPED / f"{table}.csv.gz"
    if not shipped.exists():
        raise InvalidRun(
            f"the table {table} does not come with this installation; nervecord nas make {table} --out runs/nas makes "
            f"it; then give runs/nas/{table}.csv.gz"
        )
    return ArchitectureTable.read(shipped, seed)


def _checksum(about: Mapping[str, Any], text: str) -> str:
    return hashlib.sha256(f"{json.dumps(about, sort_keys=True)}\n{text}".encode()).hexdigest()
