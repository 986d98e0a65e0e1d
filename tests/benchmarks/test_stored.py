"""Trials that are stored as an archive: the same bytes for the same trials, and the same table."""

import pandas as pd
import pytest
from nervecord.benchmarks.results.stored import results, store, stored
from nervecord.benchmarks.results.tables import StudyArguments
from nervecord.errors import InvalidOption
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.trial_files import TrialFiles, asked_of


def test_stored_trials_make_the_same_table_and_are_the_same_bytes(tmp_path):
    study = TrialFiles(tmp_path / "study")
    for seed in (1, 0):
        about = {"study": "curves", "agent": "NCAP", "seed": seed}
        study.put(f"curves/{seed}", {"seed": seed}, about, curve=[(0, "return", 3.0 + seed)])
    one, other = tmp_path / "one.tar.xz", tmp_path / "other.tar.xz"
    store(study.folder, one)
    with stored(one) as folder:
        files = TrialFiles(folder)
        pd.testing.assert_frame_equal(files.table(), study.table())
        assert files.holds("curves/1", {"seed": 1})
        store(folder, other)
    assert one.read_bytes() == other.read_bytes()


def test_what_is_not_there_is_refused_in_one_line(tmp_path):
    with pytest.raises(InvalidOption, match=r"has no trials/\*\.json"):
        store(tmp_path, tmp_path / "none.tar.xz")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidOption, match="does not exist"), stored(tmp_path / "none.tar.xz"):
        pass


def test_a_page_is_made_from_the_folder_that_ran_and_later_from_what_was_stored_of_it(tmp_path):
    out, page = tmp_path / "out", tmp_path / "page.md"

    def run(folder):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "0.json").write_text("{}", encoding="utf-8")
        (folder / "weights").write_text("", encoding="utf-8")

    with results(StudyArguments(out, page=page), "study", run, ("sub/*.json",)) as folder:
        assert folder == out
    with results(StudyArguments(page=page), "study", run, ("sub/*.json",)) as folder:
        assert folder != out
        assert [path.relative_to(folder).as_posix() for path in folder.rglob("*.*")] == ["sub/0.json"]
    with pytest.raises(InvalidOption, match="give the folder of the runs, or --page"):
        results(StudyArguments(), "study", run).__enter__()


def test_trials_that_were_stored_before_a_config_had_more_fields_are_still_asked_for():
    asked = asked_of(RunConfig("mlp", "ppo", seed=3, steps=500_000))
    # As nervecord 0.1.0 asked before train_only.
    assert asked["config"] == "85245aaccbe21a1b8d7f8f61ed72b4ae468a5fe512a2cd1acda5d1ec805b90ec"
