"""The command line says in one line what is wrong, where to look, and only what is true."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from nervecord import extras
from nervecord.circuits import CIRCUITS, GRU, load_graph, register_circuit
from nervecord.cli.main import main
from nervecord.errors import MissingDependency
from nervecord.pages.reports import report
from nervecord.training.learning.training import train
from nervecord.training.rollouts.evaluation import evaluate
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run

SMALL = RunConfig(steps=400, episode_steps=50, algorithm_options={"n_envs": 8})
ROOT = '<joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/><joint name="turn" axis="0 0 1"/>'
UNLIMITED = f"""<mujoco><worldbody><body name="head">{ROOT}<geom type="capsule" size=".01" fromto="0 0 0 .1 0 0"/>
<body name="tail" pos=".1 0 0"><joint name="bend" axis="0 0 1"/>
<geom type="capsule" size=".01" fromto="0 0 0 .1 0 0"/></body></body></worldbody>
<actuator><motor joint="bend"/></actuator></mujoco>"""


@pytest.fixture(scope="module")
def worm(tmp_path_factory) -> Run:
    return train(SMALL, tmp_path_factory.mktemp("runs") / "worm", progress=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("trian", "unknown command 'trian'; did you mean 'train'?"),
        ("", "give one of train, resume,"),
        ("train --stepz 3", "unrecognized options: --stepz, 3; did you mean --steps? (see nervecord train --help)"),
        ("train --steps 1.5", "'1.5'; give a whole number, such as 320000 or 1e6 (see nervecord train --help)"),
        ("train --evaluate-every often", "error parsing --evaluate-every"),
        ("worm foo", "unrecognized options: foo; available subcommands: connectome, compare"),
        ("train --task parity", "parity is a task without a body: nervecord curriculum --task parity"),
        ("train --circuit mlp --circuit-options hidden=8", "hidden' of mlp is 8; give a list of int, such as [8,8]"),
        (
            "train --circuit mlp --start WORM --out x",
            "has circuit ncap, this run mlp; --start needs the same circuit",
        ),
        ("train --out FILE/x", "cannot use FILE/x: Not a directory"),
        ("train --body empty.xml", "empty: the XML is empty; give a planar body"),
        ("train --body corrupt.xml", "MuJoCo cannot compile the XML: XML parse error 14: Error=XML_ERROR_MISMATCHED"),
        ("train --body free.xml", "joint 'bend' has no limits; circuits sense angles relative to these"),
        ("render WORM --seconds 0", "seconds is 0; give a number above 0"),
        ("render WORM --seconds -3", "seconds is -3; give a number above 0"),
        ("record WORM --out rec.txt", "unknown recording format '.txt'; known: .nc"),
        ("probe FILE.nc", "is no recording that can be read"),
        ("import WORM", "is a run already; use it as it is"),
        ("probe WORM --episodes 0", "episodes is 0; give a whole number, 1 or more"),
        ("evaluate WORM --episodes 0", "episodes is 0; give a whole number, 1 or more"),
        ("transfer WORM --episodes 0 --finetune 100", "episodes is 0; give a whole number, 1 or more"),
        ("compare WORM WORM --episodes 0 --out x", "episodes is 0; give a whole number, 1 or more"),
        ("compare WORM WORM --labels fast --out x", "label 'fast' is for no group; give GROUP=LABEL"),
        ("compare WORM WORM --labels ncap=a ncap=b --out x", "group 'ncap' is given two labels; give it one"),
        ("ablate --episodes 0 --out x", "episodes is 0; give a whole number, 1 or more"),
        (
            "evaluate WORM --reward com --algorithm sac",
            "--algorithm, --reward would change nothing: they are about a zip file that SB3 saved, and WORM is none",
        ),
        ("ablate --circuit mlp --out x", "ablate takes ncap; mlp has no such parts to leave out"),
        ("worm compare WORM hub", "is a folder; nervecord record WORM --out rec.nc records a run"),
        ("play WORM --port 99999", "port is 99999; give 1 to 65535, or 0 for a free one"),
        ("play WORM --port -1", "port is -1; give 1 to 65535"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_would_be_right(arguments, words, worm, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty.xml").write_text("")
    (tmp_path / "corrupt.xml").write_text("<mujoco>\n<worldbody>\n<body>\n</worldbody></mujoco>")
    (tmp_path / "free.xml").write_text(UNLIMITED)
    named = [text.replace("WORM", str(worm.path)).replace("FILE", "file") for text in (*arguments.split(), words)]
    with pytest.raises(SystemExit) as stopped:
        main(named[: len(arguments.split())])
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert words.replace("WORM", str(worm.path)).replace("FILE", "file") in line
    assert line.count("\n") == 1
    assert not any(tmp_path.rglob("config.json"))


@pytest.mark.parametrize("terminal", [{}, {"FORCE_COLOR": "1"}, {"TERM": "dumb"}, {"COLUMNS": "40"}])
def test_a_parsers_box_becomes_one_line(terminal, monkeypatch, capsys):
    for name, value in terminal.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main(["train", "--steps", "many"])
    line = capsys.readouterr().err
    assert "'many'; give a whole number, such as 320000 or 1e6" in line
    assert line.count("\n") == 1
    assert line.isascii()
    assert "\x1b" not in line


def test_steps_may_be_written_with_an_exponent(tmp_path, capsys):
    main(["train", "--steps", "4e2", "--episode-steps", "50", "--algorithm-options", "n_envs=8", "--out",
          str(tmp_path / "run"), "--json"])  # fmt: skip
    assert json.loads(capsys.readouterr().out)["config"]["steps"] == 400


class Interrupted(GRU):
    """Is stopped by Ctrl-C as it acts, once it is said to be."""

    now = False

    def step_features(self, *arguments):
        if self.now:
            raise KeyboardInterrupt
        return super().step_features(*arguments)


def test_only_what_goes_on_says_so_when_it_is_interrupted(tmp_path, capsys, monkeypatch):
    train_it = ["train", "--circuit", "interrupted", "--episode-steps", "20", "--algorithm-options", "n_envs=2",
                "--circuit-options", "units=2", "--out", str(tmp_path / "run"), "--json"]  # fmt: skip
    register_circuit("interrupted", Interrupted, "a GRU that is interrupted")
    try:
        main([*train_it, "--steps", "40"])
        monkeypatch.setattr(Interrupted, "now", True)
        for words, goes_on in (([*train_it, "--steps", "80"], True), (["evaluate", str(tmp_path / "run")], False)):
            with pytest.raises(SystemExit) as stopped:
                main(words)
            assert stopped.value.code == 130
            assert ("to continue" in capsys.readouterr().err) is goes_on
    finally:
        del CIRCUITS["interrupted"]


def test_a_run_that_is_not_finished_is_called_so(worm, tmp_path, caplog):
    evaluate(worm, 2)
    assert "not finished" not in caplog.text
    config = RunConfig(steps=800, episode_steps=50, algorithm_options={"n_envs": 8})
    stopped = train(config, tmp_path / "run", progress=False, callback=lambda _: True)
    evaluate(stopped, 2)
    report(stopped)
    assert caplog.text.count("is not finished (400 of 800 steps); nervecord resume") == 2


def test_the_version_is_told_by_the_command_and_the_doctor(capsys):
    main(["--version"])
    version = capsys.readouterr().out.strip()
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", version)
    main(["doctor", "--json"])
    assert json.loads(capsys.readouterr().out)["packages"]["nervecord"] == version


def test_a_connectome_is_told_in_numbers_to_machines_and_in_words_to_people(capsys):
    main(["worm", "connectome", "ladder", "--json"])
    facts = json.loads(capsys.readouterr().out)
    graph = load_graph("ladder")
    assert sum(each["count"] for each in facts["cells"].values()) == len(graph.cells) == facts["whole"]["cells"]
    assert sum(each["contacts"] for each in facts["contacts"]) == len(graph.contacts)
    assert sum(each["synapses"] for each in facts["contacts"]) == sum(contact.count for contact in graph.contacts)
    assert sum(facts["whole"]["parts"]) == len(graph.cells)
    main(["worm", "connectome", "ladder"])
    assert re.search(r"\w+ -> \w+ +excites: \d+ synapses in \d+ contacts", capsys.readouterr().out)


def test_listing_bodies_builds_no_learner():
    code = "import sys; from nervecord.cli.main import main; main(['list', 'bodies']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert "swimmer6-eel" in done.stdout


def test_all_that_is_missing_is_named_at_once_with_the_command_for_this_checkout(monkeypatch, tmp_path):
    with pytest.raises(
        MissingDependency, match=r'^nosuch and nothere are not installed: pip install -e ".+\[calcium\]"'
    ):
        extras.require("nosuch.part", "calcium", "nothere", "numpy")
    monkeypatch.setattr(extras, "_ROOT", tmp_path)
    with pytest.raises(MissingDependency, match=r'^nothere is not installed: pip install "nervecord\[calcium\]"'):
        extras.require("numpy", "calcium", "nothere")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that nobody can write to is Linux's /proc")
@pytest.mark.parametrize(
    ("command", "out"),
    [("render", "/proc/a.mp4"), ("render", "/proc/a.webp"), ("record", "/proc/a.nc"), ("report", "/proc/a.html")],
)
def test_a_file_that_cannot_be_written_is_named_as_it_was_given(command, out, worm, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, str(worm.path), "--out", out])
    assert stopped.value.code == 2
    assert f"nervecord: cannot use {out}: No such file or directory\n" in capsys.readouterr().err
