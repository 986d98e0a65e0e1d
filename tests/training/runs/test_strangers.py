"""Folders of strangers: nothing in them leads a command out of them, neither to read nor to write."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from nervecord.cli.main import main
from nervecord.errors import InvalidRun
from nervecord.files import write_text
from nervecord.training.learning.curricula import CurriculumRun
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.lock import hold
from nervecord.training.runs.run import Run
from nervecord.training.runs.trial_files import TrialFiles
from systems import make_pipe

RUNS = Path(__file__).parents[2] / "reference" / "runs"
ENTRIES = ("config.json", "versions.json", "metrics.csv", "evaluation.json", "checkpoints", "history", "lock.json",
           "tensorboard", "results", "film.mp4", "notes.txt", ".report.html.partial", ".evaluation.json.partial",
           "history/000000000000.safetensors", "checkpoints/000000006000", "results/a/b/c")  # fmt: skip


@pytest.fixture
def run(tmp_path) -> Path:
    return shutil.copytree(RUNS / "es-ncap", tmp_path / "run")


@pytest.fixture
def secret(tmp_path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "id_rsa").write_text("SECRET", encoding="utf-8")
    return tmp_path / "home" / "id_rsa"


def place(run: Path, name: str) -> Path:
    """Return where something of that name belongs, with nothing there."""
    path = run / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("name", ENTRIES)
def test_a_link_in_a_run_is_refused_in_one_line(run, secret, name):
    place(run, name).symlink_to(secret.parent if name in ("checkpoints", "history", "results") else secret)
    with pytest.raises(InvalidRun, match=r"is a link, .*put a copy in its place, or give --trust") as caught:
        Run(run)
    assert str(run / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "film.mp4", "results/a/evaluation.json"])
def test_a_pipe_in_a_run_is_refused_before_it_is_opened(run, name):
    make_pipe(place(run, name))
    with pytest.raises(InvalidRun, match="is a pipe, a socket or a device; remove it"):
        Run(run)


def test_a_run_may_be_reached_by_a_link_and_links_in_it_be_trusted(run, tmp_path, capsys):
    (tmp_path / "shared").symlink_to(run)
    assert Run(tmp_path / "shared").done
    shutil.move(run / "checkpoints", tmp_path / "scratch")
    (run / "checkpoints").symlink_to(tmp_path / "scratch")
    assert Run(run, trust=True).done
    with pytest.raises(SystemExit) as caught:
        main(["resume", str(run)])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert f"{run / 'checkpoints'} is a link" in said
    main(["resume", str(run), "--trust", "--json"])
    assert '"done": true' in capsys.readouterr().out


def test_a_gallery_trusts_what_it_is_told_to(run, tmp_path, capsys):
    shutil.move(run / "config.json", tmp_path / "elsewhere.json")
    (run / "config.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(SystemExit):
        main(["gallery", str(run), "--out", str(tmp_path / "g.html")])
    assert "config.json is a link" in capsys.readouterr().err
    main(["gallery", str(run), "--out", str(tmp_path / "g.html"), "--trust"])
    assert (tmp_path / "g.html").is_file()


def test_every_command_on_runs_refuses_links(run, secret, tmp_path, capsys):
    (run / "film.mp4").symlink_to(secret)
    before = sorted(tmp_path.rglob("*"))
    for command in (
        ["evaluate"], ["transfer"], ["record", "--out", f"{tmp_path}/r.nc"], ["probe"], ["results"], ["report"],
        ["render", "--out", f"{tmp_path}/f.mp4"], ["play"], ["export", "--out", f"{tmp_path}/e"], ["resume"],
        ["gallery", "--out", f"{tmp_path}/g.html"], ["compare", "--out", f"{tmp_path}/c"], ["demo"],
        ["import", "--out", f"{tmp_path}/i"],
    ):  # fmt: skip
        with pytest.raises(SystemExit) as caught:
            main([command[0], str(run), *command[1:]])
        said = capsys.readouterr().err
        assert caught.value.code == 2, command
        assert "film.mp4 is a link" in said or "is a run already" in said, (command, said)
    assert sorted(tmp_path.rglob("*")) == before
    assert secret.read_text(encoding="utf-8") == "SECRET"


def test_only_what_is_a_run_is_looked_through(tmp_path, secret):
    (tmp_path / "config.json").write_text('{"format": 3, "holds": "something else", "asked": {}}', encoding="utf-8")
    (tmp_path / "link").symlink_to(secret)
    with pytest.raises(InvalidRun, match="holds a something else"):
        Run(tmp_path)


def test_what_is_beginning_and_what_is_locked_is_no_link(tmp_path, secret):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock.json").symlink_to(secret)
    with pytest.raises(InvalidRun, match=r"lock.json is a link"):
        Run.create(tmp_path / "run", RunConfig())
    with pytest.raises(InvalidRun, match=r"lock.json is a link"), hold(tmp_path / "run"):
        pass
    (tmp_path / "run" / "lock.json").unlink()
    (tmp_path / "run" / ".config.json.partial").symlink_to(secret)
    (tmp_path / "run" / "versions.json").symlink_to(secret)
    assert Run.create(tmp_path / "run", RunConfig()).progress == (0, False)
    assert secret.read_text(encoding="utf-8") == "SECRET"


def test_studies_and_curricula_refuse_links_too(tmp_path, secret):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "trials").symlink_to(secret.parent)
    with pytest.raises(InvalidRun, match="trials is a link"):
        TrialFiles(tmp_path / "sweep")
    memory = shutil.copytree(RUNS / "curriculum-ctrnn", tmp_path / "memory")
    (memory / "metrics.csv").unlink()
    (memory / "metrics.csv").symlink_to(secret)
    with pytest.raises(InvalidRun, match=r"metrics.csv is a link"):
        CurriculumRun(memory)


def test_a_file_that_is_written_replaces_links_and_writes_through_none(tmp_path, secret):
    (tmp_path / ".page.partial").symlink_to(secret)
    (tmp_path / "page").symlink_to(secret)
    write_text(tmp_path / "page", "written")
    assert secret.read_text(encoding="utf-8") == "SECRET"
    assert (tmp_path / "page").read_text(encoding="utf-8") == "written"
    assert not (tmp_path / "page").is_symlink()
    assert not os.path.lexists(tmp_path / ".page.partial")


@pytest.mark.skipif(sys.platform != "win32", reason="junctions are of Windows")
def test_a_junction_is_a_link(run, tmp_path):
    import _winapi

    (tmp_path / "home").mkdir()
    _winapi.CreateJunction(str(tmp_path / "home"), str(place(run, "history")))
    with pytest.raises(InvalidRun, match="history is a link"):
        Run(run)
