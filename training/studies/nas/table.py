"""A table of trained architectures, and how it is queried: after the API of NAS-Bench-201, with the field's terms here.

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
        valid: mean return of the validation episodes, no unit.
        latency: seconds of a control step in training, physics and learning included.
        cost: seconds that the training took.
        used_time: seconds of all since `reset_time`.
    """

    valid: float
    latency: float
    cost: float
    used_time: float


class ArchitectureTable:
    """Every architecture of a search space on several bodies, trained from many seeds.

    `table[3]` is the fourth architecture, `len(table)` their number. Returns are means over episodes and have no unit.
    Time is processor time of the machine that trained, in seconds; of a part of a training, the share of its steps.

    Args:
        space: the architectures.
        rows: one for each run, with the columns architecture, body, seed, weights (how many are trained), seconds,
            test and unseen (at the end of training, unseen the mean over bodies that no run trained on), and
            valid_STEP for each number of environment steps at which runs were validated.
        about: how and with which versions it was made, as JSON types.
        seed: of the random choices of `random` and `simulate_train_eval`.

    Attributes:
        space: of the table's architectures, which may lack some where it was made of a part.
        bodies: names.
        seeds: of the runs.
        steps: environment steps, rising.
        used_time: seconds that `simulate_train_eval` has cost since `reset_time`.
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
        """Read the file that `write` wrote.

        Raises:
            InvalidRun: it is no table, a damaged one, or one of another version.
        """
        path = Path(path)
        try:
            with errors_of(path):
                first, _, text = gzip.decompress(path.read_bytes()).decode().partition("\n")
            about = json.loads(first.removeprefix("# "))
            held = about.pop("format")
        except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise InvalidRun(f"{path} is no table of architectures; give a .csv.gz that nas make wrote") from error
        if held != FORMAT:
            raise InvalidRun(
                f"{path} is a table of format {held!r} and this version of nervecord reads {FORMAT}; make it anew with "
                f"nervecord nas make, or install nervecord {about.get('nervecord')}"
            )
        try:
            if about.pop("sha256") != _checksum(about, text):
                raise InvalidRun(f"{path} is damaged: its checksum is another; fetch it again, or make it anew")
            space = SearchSpace(**about.pop("space"))
            return cls(space, pd.read_csv(io.StringIO(text)), about, seed)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRun(f"{path} is damaged: {error}; fetch it again, or make it anew") from error

    def write(self, path: Path) -> None:
        """Write the table as a compressed CSV file whose first line, after a #, tells in JSON what it is."""
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
        """Return a metric of every run on a body; NaN where the table has none.

        Args:
            body: its name.
            metric: valid, test or unseen, which are returns without a unit; seconds; weights, how many are trained.
            step: environment steps of training; None is the last. Test and unseen are measured at the last alone.

        Raises:
            UnknownName: the table has no such body or metric.
            InvalidOption: it has no such step.
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
        """Return the mean over seeds of a metric at the last step, in its unit; NaN where the table has no run."""
        values = self.scores(body, metric)
        counts = (~np.isnan(values)).sum(1)
        return np.nansum(values, 1) / np.where(counts, counts, np.nan)

    def query_index_by_arch(self, architecture: str) -> int:
        """Return the index of an architecture, in whatever order its choices are written; -1 if it is not there."""
        try:
            return self._index(architecture)
        except NervecordError:
            return -1

    def query_meta_info_by_index(self, index: int) -> pd.DataFrame:
        """Return every run of an architecture, a row each, with the columns of the file; returns have no unit.

        Raises:
            InvalidOption: there is no such index.
        """
        return self._rows.loc[[self._named(index)]].dropna(how="all").reset_index()

    def get_more_info(
        self, index: int, body: str, step: int | None = None, seed: int | None = None
    ) -> dict[str, float | int]:
        """Return what an architecture came to on a body: the means over its seeds, or one seed's own values.

        Args:
            index: of the architecture.
            body: its name.
            step: environment steps of training; None is the last.
            seed: of one run; None takes the mean over all.

        Returns:
            step, seeds (how many runs), weights, seconds, latency (seconds of a control step) and valid; at the last
            step also test and unseen. Returns have no unit.

        Raises:
            UnknownName: the table has no such body.
            InvalidOption: it has no such index, step or seed, or no such run.
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
        """Return what `get_more_info` does as a table, a row for each architecture and body, the best of a body first.

        Where the table has no run there is no row.

        Args:
            architecture, body: of one row alone; None takes all.
            step, seed: see `get_more_info`.

        Raises:
            UnknownName, InvalidOption: the table has not what is asked for.
        """
        which = range(len(self)) if architecture is None else [self._index(architecture)]
        parts = []
        for name in self.bodies if body is None else [body]:
            has_runs = ~np.isnan(self.scores(name, "valid", step)).all(1)
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
        """Return what training an architecture once would have shown, from one of its seeds at random; time is counted.

        Args:
            architecture: to train.
            body: its name.
            step: environment steps of training; None is the last.
            rng: draws the seed; None is the table's own.

        Raises:
            UnknownName, InvalidOption: the table has not what is asked for.
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
        """Count the time used from 0."""
        self.used_time = 0.0

    def find_best(self, body: str, metric: str = "test") -> tuple[int, float]:
        """Return the index of the architecture with the highest mean over seeds on a body, and that mean, no unit.

        Args:
            body: its name.
            metric: valid, test or unseen, all at the last step.

        Raises:
            UnknownName: the table has no such body or metric.
            InvalidOption: it has none of that metric.
        """
        means = self.means(body, metric)
        if np.isnan(means).all():
            raise InvalidOption(f"this table has no {metric} on {body}; its plan measures none")
        index = int(np.nanargmax(means))
        return index, float(means[index])

    def random(self) -> int:
        """Return the index of an architecture at random."""
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
    """Open a table that comes with nervecord, by its name, or a file that `make_table` wrote.

    Args:
        table: prior, cells, cells-ppo, or a path.
        seed: of the table's random choices.

    Raises:
        UnknownName: there is no such table or file.
        InvalidRun: it is no table, one of another version, or one that this installation lacks.
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
