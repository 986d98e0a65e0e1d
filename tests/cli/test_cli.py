"""The command line says in one line what is wrong, where to look, and only what is true."""

import functools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from nervecord import extras
from nervecord.circuits import CIRCUITS, GRU, load_graph, register_circuit
from nervecord.cli.main import COMMANDS, main
from nervecord.cli.printing import run_told, table_text, text
from nervecord.errors import MissingDependency
from nervecord.pages.reports import report
from nervecord.training.learning.training import train
from nervecord.training.rollouts.evaluation import evaluate
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from nervecord.version import __version__

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
        ("train --stepz 3", "unrecognized options: --stepz, 3; did you mean --steps? (see nervecord train --help)"),
        ("train --steps 1.5", "'1.5'; give a whole number, such as 320000, 320k or 1e6 (see nervecord train --help)"),
        ("train --evaluate-every often", "error parsing --evaluate-every"),
        ("worm foo", "unrecognized options: foo; available subcommands: connectome, compare, propagate, fit, posture"),
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
        ("render WORM --view 4d", "unknown view '4d'; did you mean '3d'?"),
        ("evaluate EXPORT", "is an exported agent; nervecord import"),
        ("evaluate nowhere", "nowhere is no run folder: config.json is missing; there is no folder nowhere here"),
        ("evaluate halv", "config.json is missing; did you mean half?"),
        ("evaluate ncap_plus", "config.json is missing; did you mean agent:ncap-plus?"),
        ("evaluate runs/ncap", "config.json is missing; there is no folder"),
        ("evaluate WORM --silence B_d_0,B_v_0", "give several with spaces between them"),
        ("damage --joints 0,4", "error parsing --joints: cannot read '0,4'; give values with spaces between them"),
        ("evaluate held.nc", "held.nc is a recording; nervecord probe held.nc reads it; give the folder of a run"),
        ("resume FILE", "FILE is a file; give the folder of a run"),
        ("evaluate HALF", "HALF is no run folder: config.json is damaged (Unterminated string"),
        ("evaluate WORM --body swimmer4 swimmer12", "swimmer12; for several bodies: nervecord transfer RUN --bodies"),
        ("train --body swimer:5 --out x", "N is any number from 3 to 100 in swimmerN"),
        ("train --body swimer:5 --out x", "of your own: a MuJoCo XML file, or an entry point of nervecord.bodies"),
        ("train --task mine.py:Sideways --out x", "of your own: an entry point of nervecord.tasks"),
        ("train --randomize link_mass=2:1 --out x", "link_mass is 2 to 1, and low is above high; give 1 and 2"),
        ("train --config unquoted.toml", 'text has quotes, as in circuit = "ncap"'),
        ("report WORM nowhere --out both.html", "nowhere is no run folder"),
        ("resume WORM --device meta", "device 'meta' cannot be used here"),
        ("evaluate a\udcffb", r"a\udcffb is not UTF-8; rename the file or folder"),
        ("train --steps 1.5k7", "'1.5k7'; give a whole number, such as 320000, 320k or 1e6"),
        ("train --steps 1e1000000000", "'1e1000000000'; give a whole number"),
        ("render WORM --seconds 0", "seconds is 0.0; give a number above 0, or leave it out"),
        ("render WORM --seconds -3", "seconds is -3.0; give a number above 0"),
        ("record WORM --out rec.txt", "unknown recording format '.txt'; known: .nc"),
        ("probe FILE.nc", "cannot be read as a recording"),
        ("import WORM", "is a run already; use it as it is"),
        ("probe WORM --episodes 0", "episodes is 0; give a whole number, 1 or more"),
        ("evaluate WORM --episodes 0", "episodes is 0; give a whole number, 1 or more"),
        ("transfer WORM --episodes 0 --finetune 100", "episodes is 0; give a whole number, 1 or more"),
        ("compare WORM WORM --episodes 0 --out x", "episodes is 0; give a whole number, 1 or more"),
        ("compare WORM WORM --labels fast --out x", "label 'fast' is for no group; give GROUP=LABEL"),
        ("compare WORM WORM --labels ncap=a ncap=b --out x", "group 'ncap' is given two labels; give it one"),
        ("train --circuit-options period=50 period=60 --out x", "option 'period' is given two values; give it one"),
        ("bench --zones --repeats 0", "repeats is 0; give a whole number, 1 or more"),
        ("bench --learn --seeds 0", "seeds is 0; give a whole number, 1 or more"),
        ("bench --learn --limit 0", "limit is 0.0; give seconds, more than 0"),
        ("ablate --episodes 0 --out x", "episodes is 0; give a whole number, 1 or more"),
        (
            "evaluate WORM --reward com --algorithm sac",
            "--algorithm, --reward would have no effect: they are about a zip file that SB3 saved, and WORM is none",
        ),
        ("ablate --circuit mlp --out x", "ablate takes ncap; mlp has no such parts to leave out"),
        ("worm compare WORM hub", "is a folder; nervecord record WORM --out rec.nc records a run"),
        ("play WORM --port 99999", "port is 99999; give a whole number from 1 to 65535, or 0 for a free one"),
        ("play WORM --port -1", "port is -1; give a whole number from 1 to 65535"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_would_be_right(arguments, words, worm, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "empty.xml").write_text("", encoding="utf-8")
    (tmp_path / "corrupt.xml").write_text("<mujoco>\n<worldbody>\n<body>\n</worldbody></mujoco>", encoding="utf-8")
    (tmp_path / "free.xml").write_text(UNLIMITED, encoding="utf-8")
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "config.json").write_text(
        '{"library_name": "nervecord", "format": 3, "holds": "run"}', encoding="utf-8"
    )
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text('{"asked": {"circ', encoding="utf-8")
    (tmp_path / "held.nc").write_text("", encoding="utf-8")
    (tmp_path / "unquoted.toml").write_text("circuit = ncap", encoding="utf-8")
    places = {"WORM": str(worm.path), "FILE": "file", "EXPORT": "export", "HALF": "half"}
    named = [functools.reduce(lambda text, place: text.replace(*place), places.items(), word)
             for word in (*arguments.split(), words)]  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        main(named[:-1])
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert named[-1] in line
    assert line.count("\n") == 1
    assert {path.parent.name for path in tmp_path.rglob("config.json")} == {"export", "half"}


@pytest.mark.parametrize("terminal", [{}, {"FORCE_COLOR": "1"}, {"TERM": "dumb"}, {"COLUMNS": "40"}])
def test_a_parsers_box_becomes_one_line(terminal, monkeypatch, capsys):
    for name, value in terminal.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main(["train", "--steps", "many"])
    line = capsys.readouterr().err
    assert "'many'; give a whole number, such as 320000, 320k or 1e6" in line
    assert line.count("\n") == 1
    assert line.isascii()
    assert "\x1b" not in line


@pytest.mark.parametrize("steps", ["4e2", "0.4k"])
def test_steps_may_be_written_short(steps, tmp_path, capsys):
    main(["train", "--steps", steps, "--episode-steps", "50", "--algorithm-options", "n_envs=8", "--out",
          str(tmp_path / "run"), "--json"])  # fmt: skip
    assert json.loads(capsys.readouterr().out)["config"]["steps"] == 400


def test_nervecord_alone_says_what_each_command_is_for_in_groups(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    said = capsys.readouterr().out
    assert stopped.value.code == 0
    for title, group in COMMANDS.items():
        below = said.partition(f"\n{title}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in below.splitlines()] == list(group)
        assert all(len(line.split()) > 3 for line in below.splitlines())


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [("evaluate nowhere --json", "InvalidRun"), ("trian --json", "UnknownName"), ("list --json", "NervecordError"),
     ("train --circuit nope --json", "UnknownName")],
)  # fmt: skip
def test_a_mistake_is_json_for_who_asked_for_json(arguments, kind, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments.split())
    error = json.loads(capsys.readouterr().out)["error"]
    assert (stopped.value.code, error["status"], error["kind"]) == (2, 2, kind)
    assert "\n" not in error["message"]


def test_a_training_ends_with_what_is_asked_next(worm, capsys):
    main(["resume", str(worm.path)])
    out = capsys.readouterr().out
    said = out.partition("\nnext\n")[2].splitlines()
    commands = [line.split()[1] for line in said]
    assert commands == ["evaluate", "render", "probe", "transfer", "report"]
    assert all(str(worm.path) in line for line in said)
    assert re.search(r"^training_return  +[\d.]+ while exploring", out, re.MULTILINE)
    assert not re.search(r"^return", out, re.MULTILINE)
    config = out.partition("run ")[0].splitlines()
    assert {"start", "protect", "bodies", "control_dt", "train_only"} <= {
        line.split()[0] for line in config if line.endswith(" none")
    }
    assert "()" not in out


def test_a_grown_circuit_is_trained_as_is_told_in_what_it_was_trained_in(tmp_path, capsys):
    there = {
        "task_options": {"reward": "com"}, "episode_steps": 40, "arena": {"name": "open", "medium": {"density": 900}},
    }  # fmt: skip
    run = train(RunConfig("mlp", steps=320, algorithm_options={"n_envs": 8}, **there), tmp_path / "a run", False)
    main(["bricks", str(run.path), "--grow", "2", "--out", str(tmp_path / "grown")])
    told = next(line for line in capsys.readouterr().out.splitlines() if line.endswith("trains all of it"))
    main([*shlex.split(told.partition("  trains")[0])[1:], "--steps", "320", "--algorithm-options", "n_envs=8"])
    before, after = run.config.to_json(), Run(tmp_path / "grown-trained").config.to_json()
    assert after["task_options"]["reward"] == "com"
    assert [after[name] for name in ("episode_steps", "arena")] == [before[name] for name in ("episode_steps", "arena")]


def test_a_run_without_a_whole_episode_has_no_training_return():
    assert run_told({"steps": 64, "training_return": None}) == {"steps": 64}


def test_numbers_of_an_evaluation_have_their_units(worm, capsys):
    main(["evaluate", str(worm.path), "--episodes", "2"])
    assert re.search(r"^net_speed  +[\d.]+ \[.*\] m/s \(n = 2\)$", capsys.readouterr().out, re.MULTILINE)


def test_every_command_of_the_overview_has_a_whole_sentence(capsys):
    with pytest.raises(SystemExit):
        main([])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert len(lines) > 20
    assert [line for line in lines if not line.endswith(".")] == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [(797.346, "797.3"), (0.0394712, "0.03947"), (12345.678, "12346"), (320000.0, "320000"), (-3.0, "-3"),
     (9999.7, "10000"), (-9999.97, "-10000"), (9999.4, "9999"), (1e-9, "1e-09"), (float("nan"), "nan"),
     (1e20, "1e+20")],
)  # fmt: skip
def test_numbers_are_rounded_alike_alone_and_in_tables(value, shown):
    assert text({"a": value}) == f"a  {shown}"
    if value == value:
        assert table_text(pd.DataFrame({"a": [value], "b": ["x"]})).splitlines()[-1].split() == [shown, "x"]


class Interrupted(GRU):
    """Is stopped by Ctrl-C as it acts, once it is said to be."""

    now = False

    def step_features(self, *arguments):
        if self.now:
            raise KeyboardInterrupt
        return super().step_features(*arguments)


def test_only_what_goes_on_says_so_when_it_is_interrupted(tmp_path, capsys, monkeypatch):
    train_it = ["train", "--circuit", "interrupted", "--episode-steps", "20", "--algorithm-options", "n_envs=2",
                "--circuit-options", "units=2", "--out", str(tmp_path / "run")]  # fmt: skip
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


def test_the_package_is_the_command_line_where_no_script_is_on_the_path():
    words = [sys.executable, "-m", "nervecord", "--version"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == __version__


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


def test_help_lists_and_mistakes_load_no_heavy_library():
    lists = [f"list {kind}" for kind in ("bodies", "arenas", "senses", "tasks", "circuits", "algorithms", "probes")]
    mistakes = ["trian", "train --stepz 3", "evaluate nowhere", "train --circuit nope", "report nowhere", "list nope"]
    code = f"""
import contextlib, io, sys
from nervecord.cli.main import main
for line in {["", "--help", "train --help", "evaluate --help", *lists, *mistakes]!r}:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
        main(line.split())
    heavy = {{"torch", "pandas", "matplotlib", "scipy", "networkx", "numba"}}
    if line in ("", "--help"):
        heavy.add("mujoco")
    print(line, sorted(heavy & set(sys.modules)), "swimmer6-eel" in out.getvalue())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    assert [line for line in said if "[]" not in line] == []
    assert "list bodies [] True" in said


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
