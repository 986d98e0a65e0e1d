"""What each trial of a study came to: one JSON file a trial, written whole; its table is made of them when asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import InvalidRun
from ...files import json_text, plain_name, read_json, write_json
from ...plain_files import check_plain
from ...version import __version__
from .result import Result
from .score_table import COLUMNS, read_scores, write_scores


class TrialFiles:
    """The trials of a study, in the folder trials/ of the study's own.

    Each names what it depends on, so that what is asked otherwise is measured again. A trial that could not be leaves
    its reason as a note, and is tried again whenever the study is.

    Args:
        folder: the study's; it need not exist yet.

    Raises:
        InvalidRun: a link stands among what belongs to trials; see `check_plain`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        check_plain(self.folder, "trials", self.database.name)

    @property
    def database(self) -> Path:
        """The file of the table."""
        return self.folder / "results.sqlite"

    def holds(self, name: str, asked: Mapping[str, Any]) -> bool:
        """Return whether a trial is done that depended on just this.

        What could not be measured may be able to be in another version of nervecord.
        """
        try:
            held = self._read(self._file(name))
        except InvalidRun:
            return False
        if held["asked"] != json.loads(json_text(asked)) or held["note"]:
            return False
        return held["version"] == __version__ or not any(each["result"]["missing"] for each in held["results"])

    def put(
        self,
        name: str,
        asked: Mapping[str, Any],
        about: Mapping[str, Any],
        results: Sequence[tuple[str, Result]] = (),
        curve: Sequence[tuple[int, str, float]] = (),
        note: str = "",
    ) -> None:
        """Write what a trial came to, in place of what it came to before.

        Args:
            name: of the trial.
            asked: what it depends on, as JSON types.
            about: columns of the table that are the same in all of its rows.
            results: each with its stage: untrained, trained or finetuned.
            curve: evaluations in training: environment step, metric, mean.
            note: why it could not be.
        """
        if unknown := about.keys() - COLUMNS.keys():
            raise InvalidRun(f"scores have no column {min(unknown)!r}; known: {', '.join(COLUMNS)}")
        held = [{"stage": stage, "result": result.to_json()} for stage, result in results]
        write_json(
            self._file(name),
            {"trial": name, "asked": asked, "version": __version__, "note": note, "about": about, "results": held,
             "curve": [list(point) for point in curve]},
        )  # fmt: skip

    def table(self, study: str | None = None) -> pd.DataFrame:
        """Return a table with the columns `COLUMNS`, each value in its own unit: every row, or those of a study.

        It holds every trial, and those that an earlier version kept in results.sqlite alone.

        Raises:
            InvalidRun: a file is damaged.
        """
        files = sorted((self.folder / "trials").glob("*.json"))
        trials = [self._read(file) for file in files]
        old = read_scores(self.database)
        rows: list[Any] = old[~old["source"].isin([trial["trial"] for trial in trials])].to_dict("records")
        rows += [row for trial in trials for row in _rows(trial)]
        found = pd.DataFrame(rows, columns=list(COLUMNS))
        found["note"] = found["note"].astype(object).where(found["note"].notna(), None)
        return found if study is None else found[found["study"] == study]

    def write_table(self) -> None:
        """Write the table as results.sqlite; see `write_scores`."""
        write_scores(self.database, self.table())

    def _file(self, name: str) -> Path:
        return self.folder / "trials" / f"{plain_name(name)}.json"

    def _read(self, path: Path) -> dict[str, Any]:
        held: Any = read_json(path, f"{self.folder} is damaged")
        if not isinstance(held, dict) or not all(isinstance(held.get(name), kind) for name, kind in _FIELDS.items()):
            raise InvalidRun(f"{path} is damaged: it is not a trial; remove it, and the same command measures it anew")
        for each in held["results"]:
            Result.from_json(each["result"], str(path))
        return held


# Fields of a config that came after the first stored trials, with what they were before: these count as they did.
_LATER: Mapping[str, Any] = {"train_only": []}
_FIELDS = {"trial": str, "asked": dict, "version": str, "note": str, "about": dict, "results": list, "curve": list}


def asked_of(config: Any, **measured: Any) -> dict[str, Any]:
    """Return what a trial depends on: its run's config, by its checksum, and what is measured of it."""
    plain = json.loads(json_text(config.to_json()))
    told = json.dumps({name: value for name, value in plain.items() if _LATER.get(name, ...) != value}, sort_keys=True)
    return {"config": hashlib.sha256(told.encode()).hexdigest(), **measured}


def _rows(trial: Mapping[str, Any]) -> list[dict[str, Any]]:
    about = {**trial["about"], "source": trial["trial"]}
    if trial["note"]:
        return [{**about, "note": trial["note"]}]
    rows = [
        {**about, "stage": "training", "body": about.get("trained_on"), "step": step, "metric": metric, "value": value}
        for step, metric, value in trial["curve"]
    ]
    for each in trial["results"]:
        result = Result.from_json(each["result"], trial["trial"])
        rows += [{**about, "stage": each["stage"], **row} for row in result.rows()]
    return rows
