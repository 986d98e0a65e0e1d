"""The commands of the studies: a mistake ends in one line and status 2, before anything runs."""

from pathlib import Path

import pytest
from nervecord.benchmarks import results
from nervecord.benchmarks.results.stored import store
from nervecord.training.runs.trial_files import TrialFiles
from study_commands import start

FOLDER = Path(results.__file__).parent
FILES = (path for path in FOLDER.rglob("*.py") if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8"))
STUDIES = {path.parent.name if path.stem == "__main__" else path.stem: path for path in sorted(FILES)}
WITH_PAGE = [name for name in STUDIES if name != "ctm"]
# What each of these takes beside its page.
FOLDERS = dict.fromkeys(("atlas", "worm_gait"), ("runs",))
# Those that are made from what is stored beside their page, where no folder is given.
OF_TRIALS = ("baselines", "connectome", "continual", "critical_periods", "hyperparameters", "ncap_plus", "relay")
ARCHIVES = {"relay": "relay"}  # a page of many studies has one archive for each
STORED = (
    *OF_TRIALS, "atlas_swimming", "bricks", "connectome_gains", "context", "learning", "memory", "replay", "rewiring",
    "spikes", "wiring",
)  # fmt: skip


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """Return a function that starts a study with arguments that are refused, and returns the line that says why."""

    def refuse(name: str, *arguments: str) -> str:
        there = sorted(tmp_path.rglob("*"))
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            with pytest.raises(SystemExit) as stop:
                start(patch, name, *arguments)
        told = capsys.readouterr()
        assert (stop.value.code, told.out, sorted(tmp_path.rglob("*"))) == (2, "", there)
        (line,) = told.err.splitlines()
        return line

    return refuse


def test_every_study_is_a_command_of_its_own():
    assert len(STUDIES) > 25
    assert {*FOLDERS, *STORED, *WITH_PAGE} <= STUDIES.keys()


@pytest.mark.parametrize("name", STUDIES)
def test_an_unknown_option_and_a_page_that_is_not_there_are_refused_in_one_line(name, refused):
    line = refused(name, *FOLDERS.get(name, ()), "--no-such-option", "1")
    assert line.startswith("nervecord: unrecognized options: --no-such-option")
    assert line.endswith(f"(see python -m nervecord.benchmarks.results.{name} --help)")
    if name in WITH_PAGE:
        line = refused(name, *FOLDERS.get(name, ()), "--page", "nowhere.md")
        assert line.startswith("nervecord: there is no page nowhere.md; give ")


@pytest.mark.parametrize("name", STORED)
def test_no_folder_and_nothing_that_is_stored_are_refused_in_one_line(name, refused, tmp_path):
    assert "give the folder of the runs, or --page" in refused(name)
    assert "--seeds is 0; give 1 or more" in refused(name, "runs", "--seeds", "0")
    (tmp_path / "page.md").write_text("", encoding="utf-8")
    assert "does not exist; give the folder of a study" in refused(name, "--page", "page.md")


@pytest.mark.parametrize("name", OF_TRIALS)
def test_what_is_stored_of_another_study_is_refused_in_one_line(name, refused, tmp_path):
    (tmp_path / "page.md").write_text("", encoding="utf-8")
    trials = TrialFiles(tmp_path / "page")
    trials.put("0", {}, {"study": "another", "agent": "ncap"}, curve=[(0, "return", 3.0)])
    store(trials.folder, tmp_path / "page" / f"{ARCHIVES.get(name, 'trials')}.tar.xz")
    assert "what is stored beside page.md is of another study" in refused(name, "--page", "page.md")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_needed_is_asked_for_in_one_line(name, refused):
    assert f"missing from python -m nervecord.benchmarks.results.{name}: " in refused(name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("spikes", "runs", "--parts", "swimm"), "invalid choice 'swimm' for argument '--parts'"),
        (("worm_gait", "runs", "--agents", "NCAPP"), "unknown agent of this study 'NCAPP'; did you mean 'NCAP"),
        (("memory", "runs", "--device", "gpu"), "device 'gpu' cannot be used here"),
        (("neurons",), "no run to measure; give one or more"),
        (("neurons", "runs"), "runs is no run folder"),
        (("ncap", "runs", "--page", "page.md"), "runs has no trials/*.json; give the folder of a study"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_a_study_lacks_is_named_in_one_line(arguments, words, refused, tmp_path):
    (tmp_path / "page.md").write_text("", encoding="utf-8")
    (tmp_path / "runs").mkdir()
    assert words in refused(*arguments)
