"""The results of a run, which can be read, filtered and added, but not changed."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import pandas as pd

from ...errors import InvalidRun
from ...files import LONGEST_NAME, write_json
from .old_results import old_results
from .result import FINETUNED, KINDS, TRAINED, Result, Weights

FOLDER = "results"
_COLUMNS = (
    "what", "name", "agent", "body", "step", "is_stale", "interventions", "episode", "metric", "value", "unit", "note",
    "version", "when",
)  # fmt: skip
_log = logging.getLogger(__name__)


class Results(Sequence[Result]):
    """All measurements of a run, oldest first.

    Each result is one JSON file, in a folder of results/ with a readable name for its weights and conditions, such as
    results/swimmer6-step-320000-20-episodes-KEY/evaluation.json. Files are never changed. Repeating a measurement with
    the same outcome adds no file; with another outcome, as by another version, a second file is added and takes
    precedence. A damaged file is left out, and a warning names it.

        run.results.current.where("evaluation").best.intervals["return"]

    Args:
        path: folder of the run.
        last: function that returns the weights of its last checkpoint, or None.
        held: the results; by default all in the folder.
    """

    def __init__(self, path: Path, last: Callable[[], Weights | None], held: Sequence[Result] | None = None) -> None:
        self.path = path
        self._find_last = last
        if held is not None:
            self._held = list(held)

    @functools.cached_property
    def _held(self) -> list[Result]:
        found = []
        for file in sorted((self.path / FOLDER).glob("*/*.json")):
            try:
                found.append(_read(file))
            except InvalidRun as error:
                _log.warning("nervecord: %s; the other results are used", error)
        return [*old_results(self.path), *sorted(found, key=lambda result: result.when)]

    @functools.cached_property
    def last(self) -> Weights | None:
        """The weights of the run's last checkpoint."""
        return self._find_last()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Result]:
        return iter(self._held)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> Result | Results:
        return self._only(self._held[index]) if isinstance(index, slice) else self._held[index]

    def where(
        self,
        what: str | tuple[str, ...] | None = None,
        name: str | None = None,
        agent: str | None = None,
        weights: Weights | None = None,
        **conditions: Any,
    ) -> Results:
        """Return the results of a kind (or one of several), a name, an agent, weights and conditions.

        Conditions are as `Result` holds them, such as `body="swimmer4"`.
        """
        asked = {"name": name, "agent": agent}
        kinds = KINDS if what is None else (what,) if isinstance(what, str) else what
        return self._only([
            result for result in self
            if result.what in kinds
            and all(value is None or getattr(result, field) == value for field, value in asked.items())
            and (weights is None or result.weights.are(weights))
            and all(result.conditions.get(key) == value for key, value in conditions.items())
        ])  # fmt: skip

    @property
    def own(self) -> Results:
        """The results of the trained agent without interventions."""
        return self._only([result for result in self if not result.interventions])

    @property
    def current(self) -> Results:
        """The results of the last checkpoint's weights without interventions."""
        return self._only([result for result in self.own if result.weights.are(self.last)])

    def films(self, body: str | None = None) -> Results:
        """Return the mp4 films, except those that a later film has replaced.

        With `body`, only films of the agent without interventions on that body.
        """
        last = {name: film for film in self.where("film") for name in film.files}
        found = self._only([film for film in last.values() if self.file(film, ".mp4") is not None])
        return found if body is None else found.own.where(body=body)

    @property
    def best(self) -> Result | None:
        """The result with most episodes, and the newest of these; missing results come last."""
        ordered = sorted(self, key=lambda result: (not result.missing, result.episodes))
        return ordered[-1] if ordered else None

    @property
    def shown(self) -> Result | None:
        """The best result without interventions, of the last weights or otherwise of the latest weights measured.

        Callers should state whether it `is_stale`.
        """
        if (found := self.current.best) is not None:
            return found
        own = self.own
        steps = [-1 if result.weights.step is None else result.weights.step for result in own]
        return own._only([each for each, step in zip(own, steps, strict=True) if step == max(steps)]).best

    def is_stale(self, result: Result) -> bool:
        """Return whether the run has been trained further since a result was measured."""
        return result.agent in (TRAINED, FINETUNED) and not result.weights.are(self.last)

    def told(self, result: Result) -> str:
        """Return a text that says that a result is stale; "" if it is not."""
        if not self.is_stale(result):
            return ""
        measured = "at a step not noted" if result.weights.step is None else f"at step {result.weights.step:,}"
        if self.last is None or result.weights.step == self.last.step:
            return f"stale: measured {measured}, of other weights"
        return f"stale: measured {measured}, trained on to {self.last.step:,}"

    def file(self, result: Result, suffix: str) -> Path | None:
        """Return the file of a result with this suffix; None if there is none in the run's folder."""
        for name in result.files:
            # A stranger's result may name any file of this machine.
            path, run = (self.path / name).resolve(), self.path.resolve()
            if name.endswith(suffix) and path.is_file() and path.is_relative_to(run):
                return path
        return None

    def add(self, result: Result, files: Mapping[str, Callable[[Path], Any]] | None = None) -> Result:
        """Add a result, and return it as stored; if it cannot be written, log a warning.

        Args:
            result: the result.
            files: for each suffix, a function that writes a file of the result to a path.
        """
        kept = keep(result, self.path / FOLDER / f"{_label(result)}-{result.key}", self.path, files)
        if "_held" in vars(self) and not any(kept is each for each in self._held):
            self._held.append(kept)
        return kept

    def listed(self) -> pd.DataFrame:
        """Return one row per result: its kind, and its mean return or why there is none."""
        rows = [
            {
                "what": each.what, "name": each.name, "agent": each.agent, "body": each.body, "step": each.weights.step,
                "is_stale": self.is_stale(each), "interventions": interventions_told(each), "episodes": each.episodes,
                "return": each.intervals["return"].mean if "return" in each.values else None, "note": each.missing,
                "version": each.version, "when": each.when[:19],
            }
            for each in self
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def table(self) -> pd.DataFrame:
        """Return every value with the columns what, name, agent, body, step (in environment steps) and more.

        The others are is_stale, interventions (as text), episode, metric, value, unit ("" for a dimensionless metric),
        note, version and when.
        """
        rows = [
            {
                "what": each.what, "name": each.name, "agent": each.agent, "is_stale": self.is_stale(each),
                "interventions": interventions_told(each), "version": each.version, "when": each.when,
                "unit": each.numbers.get(row["metric"], {}).get("unit", ""), **row,
            }
            for each in self for row in each.rows()
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    def _only(self, held: Sequence[Result]) -> Results:
        chosen = Results(self.path, self._find_last, held)
        if "last" in vars(self):
            chosen.last = self.last
        return chosen


def keep(result: Result, folder: Path, root: Path, files: Mapping[str, Callable[[Path], Any]] | None = None) -> Result:
    """Write a result to a folder unless it says there what it says already, and return it as it is held there.

    Where it cannot be written, as in a folder of somebody else's, one line says so and the result is returned as it is.

    Args:
        result: what was measured.
        folder: where its file goes, NAME.json of a probe and else WHAT.json.
        root: the folder that paths of files in a result begin at.
        files: by suffix, what writes a file of the result to a path.
    """
    try:
        for stem in _stems(result.name if result.what == "probe" else result.what):
            path = folder / f"{stem}.json"
            if path.exists():
                # One that is damaged is said by whoever reads it; what was measured now is not lost to it.
                with contextlib.suppress(InvalidRun):
                    held = _read(path)
                    if held.says_the_same(result):
                        return held
                continue
            names = {folder / f"{stem}{suffix}": write for suffix, write in (files or {}).items()}
            folder.mkdir(parents=True, exist_ok=True)
            for name, write in names.items():
                write(name)
            inside = [name.relative_to(root).as_posix() for name in names]
            whole = dataclasses.replace(result, files=(*result.files, *inside))
            # Last, so that a result that is there has all its files.
            write_json(path, whole.to_json())
            return whole
    except OSError as error:
        told = " ".join(filter(None, (result.name, result.what)))
        _log.warning("nervecord: the %s is not kept: %s cannot be written (%s)", told, folder, error.strerror or error)
    return result


def _read(path: Path) -> Result:
    """Read the file of a result.

    Raises:
        InvalidRun: it is damaged.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidRun(f"{path} is damaged: {error}; remove it, and measure again") from error
    return Result.from_json(held, str(path))


def interventions_told(result: Result) -> str:
    """Return what was done to neurons, in words."""
    return "; ".join(
        " ".join(
            str(part)
            for part in (each["kind"], each["neuron"], each["value"] if each["kind"] != "silence" else "",
                         f"steps {each['start']} to {each['stop']}" if each["stop"] is not None else "")
            if part != ""
        )
        for each in result.interventions
    )  # fmt: skip


def _label(result: Result) -> str:
    """Return what a person reads in the name of a result's folder."""
    agent = [] if result.agent == TRAINED else [result.agent]
    step = [] if result.weights.step is None else [f"step-{result.weights.step}"]
    done = [f"{each['kind']}-{each['neuron']}" for each in result.interventions]
    parts = [result.body, *agent, *step, f"{result.episodes}-episodes", *done]
    # The key tells apart what is cut.
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts))[:LONGEST_NAME].strip("-.")


def _stems(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
