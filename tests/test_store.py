"""The store: one tidy table, whole sources or none."""

import sqlite3

import pandas as pd
import pytest
from nervecord.errors import InvalidRun
from nervecord.training.runs.scores import COLUMNS, Store


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "folder" / "results.sqlite")


def test_pandas_reads_it_in_one_line(store):
    store.put("run-0", [{"study": "curves", "episode": 0, "metric": "return", "value": 1.5}])
    table = pd.read_sql("SELECT * FROM scores", sqlite3.connect(store.path))
    assert list(table.columns) == list(COLUMNS)
    assert table.loc[0, ["source", "study", "metric", "value"]].tolist() == ["run-0", "curves", "return", 1.5]
    assert table["body"].isna().all()


def test_a_source_that_writes_again_replaces_its_rows_and_no_others(store):
    store.put("a", [{"value": 1.0}, {"value": 2.0}])
    store.put("b", [{"value": 3.0}])
    store.put("a", [{"value": 4.0}])
    assert store.read()[["source", "value"]].values.tolist() == [["b", 3.0], ["a", 4.0]]
    assert store.sources() == {"a", "b"}


def test_a_failed_write_leaves_what_was_there(store):
    store.put("a", [{"value": 1.0}])
    with pytest.raises(InvalidRun, match="cannot be used as a store"):
        store.put("a", [{"value": 2.0}, {"value": object()}])
    assert store.read()["value"].tolist() == [1.0]


def test_studies_are_read_apart_and_nothing_is_an_empty_table(store):
    assert store.read().empty
    assert store.sources() == set()
    store.put("a", [{"study": "x", "value": 1.0}, {"study": "y", "value": 2.0}])
    assert store.read("y")["value"].tolist() == [2.0]


def test_mistakes_are_one_line(store, tmp_path):
    with pytest.raises(InvalidRun, match="no column 'valeu'"):
        store.put("a", [{"valeu": 1.0}])
    (tmp_path / "text").write_text("no database, but long enough to be looked at as one by SQLite" * 20)
    with pytest.raises(InvalidRun, match="cannot be used as a store"):
        Store(tmp_path / "text").read()
