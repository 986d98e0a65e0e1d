"""One tidy table of everything that was measured, in one SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import InvalidRun

# Column and type, in the order in which they are read.
COLUMNS = {
    "source": "TEXT",
    "study": "TEXT",
    "agent": "TEXT",
    "circuit": "TEXT",
    "algorithm": "TEXT",
    "reward": "TEXT",
    "trained_on": "TEXT",
    "seed": "INTEGER",
    "weights": "INTEGER",
    "step": "INTEGER",
    "stage": "TEXT",
    "body": "TEXT",
    "episode": "INTEGER",
    "metric": "TEXT",
    "value": "REAL",
    "note": "TEXT",
}


class Store:
    """Scores on disk: one row per run, body, stage, episode and metric.

        pandas.read_sql("SELECT * FROM scores", sqlite3.connect("results.sqlite"))

    Columns: source (what wrote the row: a run's name), study, agent (its label), circuit, algorithm,
    reward, trained_on (body), seed, weights (how many are trained), step (environment steps trained so
    far), stage (untrained, training, trained, finetuned), body (tested on), episode (from 0; none where
    the value is a mean), metric (return, net_speed in m/s, ...), value, note (why there is no value).

    Args:
        path: of the file, which need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def put(self, source: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the rows of one source in place of those it wrote before, all of them or none.

        Raises:
            InvalidRun: a column is unknown, or the file is no store.
        """
        filled = [dict.fromkeys(COLUMNS) | dict(row) | {"source": source} for row in rows]
        if unknown := {name for row in filled for name in row} - COLUMNS.keys():
            raise InvalidRun(f"scores have no column {min(unknown)!r}; known: {', '.join(COLUMNS)}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as connection:
            columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
            connection.execute(f"CREATE TABLE IF NOT EXISTS scores ({columns})")
            connection.execute("CREATE INDEX IF NOT EXISTS by_source ON scores (source)")
            connection.execute("DELETE FROM scores WHERE source = ?", (source,))
            places = ", ".join(f":{name}" for name in COLUMNS)
            connection.executemany(f"INSERT INTO scores VALUES ({places})", filled)

    def read(self, study: str | None = None) -> pd.DataFrame:
        """Return the table with the columns `COLUMNS`, each value in its own unit: every row, or those of a study.

        Raises:
            InvalidRun: the file is no store.
        """
        if not self.path.exists():
            return pd.DataFrame(columns=list(COLUMNS))
        where, values = ("", ()) if study is None else (" WHERE study = ?", (study,))
        with self._open() as connection:
            return pd.read_sql(f"SELECT * FROM scores{where} ORDER BY rowid", connection, params=values)

    def sources(self) -> set[str]:
        """Return the names of all sources that have written."""
        if not self.path.exists():
            return set()
        with self._open() as connection:
            return {name for (name,) in connection.execute("SELECT DISTINCT source FROM scores")}

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # SQLite writes ahead: a process killed in the middle leaves what was there before.
        try:
            with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
                yield connection
        except (sqlite3.Error, pd.errors.DatabaseError) as error:
            raise InvalidRun(f"{self.path} cannot be used as a store of scores: {error}") from error
