"""The scores of a study, as one tidy table in an SQLite file that is always written and read as a whole.

SQLite locks parts of a file while it writes, which network file systems support badly or not at all. The database is
therefore built in memory and written like any other file.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from ...errors import InvalidRun, OutputExists, UnknownName
from ...files import write_csv, write_whole

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


def write_scores(path: Path, scores: pd.DataFrame) -> None:
    """Write scores with the columns `COLUMNS`, each value in its own unit, as the table `scores` of an SQLite file.

        pandas.read_sql("SELECT * FROM scores", sqlite3.connect("results.sqlite"))

    Columns: source (name of the run that wrote the row), study, agent (its label), circuit, algorithm,
    reward, trained_on (body), seed, weights (how many are trained), step (environment steps trained so
    far), stage (untrained, training, trained, finetuned), body (tested on), episode (from 0; none where
    the value is a mean), metric (return, net_speed in m/s, ...), value, note (why there is no value).
    """
    packed = _database("scores", COLUMNS, scores[list(COLUMNS)])
    if not (path.exists() and path.read_bytes() == packed):
        write_whole(path, lambda partial: partial.write_bytes(packed))


def read_scores(path: str | Path, study: str | None = None) -> pd.DataFrame:
    """Return the rows of all studies, or of one, with the columns `COLUMNS`; a missing file gives an empty table.

    Raises:
        InvalidRun: the file does not contain scores.
    """
    path = Path(path)
    if not path.exists():
        return pd.DataFrame(columns=list(COLUMNS))
    where, values = ("", ()) if study is None else (" WHERE study = ?", (study,))
    with _opened(path) as connection:
        return pd.read_sql(f"SELECT * FROM scores{where} ORDER BY rowid", connection, params=values)


def write_results(table: pd.DataFrame, path: Path) -> Path:
    """Write a table with the columns of `Results.table`, each value in its own unit, as .csv or .sqlite.

    Raises:
        OutputExists: the path exists.
        UnknownName: another format.
    """
    if path.suffix not in (".csv", ".sqlite"):
        raise UnknownName("format of a table", path.suffix or path.name, [".csv", ".sqlite"])
    if path.exists():
        raise OutputExists(f"{path} exists; give another --out")
    if path.suffix == ".csv":
        write_csv(path, table)
    else:
        numbers = {"step": "INTEGER", "is_stale": "INTEGER", "episode": "INTEGER", "value": "REAL"}
        packed = _database("results", {name: numbers.get(name, "TEXT") for name in table.columns}, table)
        write_whole(path, lambda partial: partial.write_bytes(packed))
    return path


def _database(name: str, columns: Mapping[str, str], table: pd.DataFrame) -> bytes:
    """Return the bytes of an SQLite file with one table with columns of these types."""
    plain = table.astype(object)
    rows = plain.where(plain.notna(), None).values.tolist()
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        typed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
        connection.execute(f"CREATE TABLE {name} ({typed})")
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", rows)
        connection.commit()
        return connection.serialize()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            if content := path.read_bytes():  # no bytes are an empty database to SQLite, and a MemoryError in Python
                connection.deserialize(content)
            yield connection
    except (sqlite3.Error, pd.errors.DatabaseError) as error:
        raise InvalidRun(f"{path} has no readable scores: {' '.join(str(error).split())}") from error
