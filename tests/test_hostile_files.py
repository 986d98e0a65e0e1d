"""A small part of what tests/hostile_files.py tries, and a check that it notices what it should."""

import os
import random
import shutil
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("limits of processes are not on Windows", allow_module_level=True)
import hostile_files
from nervecord.circuits import CIRCUITS, make_circuit
from nervecord.errors import CircuitMismatch, InvalidOption, InvalidRun
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.resolution import Resolved


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    hostile_files.make_whole(folder)
    return folder


def test_hostile_files_are_refused_or_do_no_harm(whole):
    told = []
    assert hostile_files.attack(whole, tries=10, minutes=0, seed=2, patience=120, told=told.append) == []
    assert told == ["10 tried, 0 wrong"]


def test_what_is_whole_is_not_refused_and_harm_is_noticed(whole, tmp_path):
    (home := tmp_path / "home").mkdir()
    secret = home / "id_rsa"
    secret.write_text(hostile_files.SECRET, encoding="utf-8")
    run = shutil.copytree(whole / "run", tmp_path / "run")
    assert hostile_files.run_apart(["results", str(run)], home, 60) == ""
    assert hostile_files.run_apart(["worm", "connectome", str(whole / "graph.graphml")], home, 60) == ""
    (run / "metrics.csv").unlink()
    (run / "metrics.csv").symlink_to(secret)
    assert "opened" in hostile_files.run_apart(["gallery", str(run), "--trust", "--out", str(tmp_path / "g")], home, 60)
    before = hostile_files.contents(home)
    (tmp_path / "page.html").write_text("<svg onload=x></svg><script>PWNED</script>", encoding="utf-8")
    assert "runs <svg onload>" in hostile_files.wrong_with(tmp_path, home, before, [])
    (tmp_path / "page.html").write_text(hostile_files.SECRET, encoding="utf-8")
    assert "holds what is private" in hostile_files.wrong_with(tmp_path, tmp_path / "none", {}, [])
    secret.write_text("", encoding="utf-8")
    assert "wrote outside" in hostile_files.wrong_with(tmp_path, home, before, [])
    os.mkfifo(tmp_path / "pipe.csv")
    assert "waits" in hostile_files.run_apart(["worm", "connectome", str(tmp_path / "pipe.csv")], home, 0.5)


@pytest.mark.parametrize("resolved", ["no names", ["ab"], 3, {"agent": "no names"}])
def test_what_a_run_came_to_is_names_and_values(resolved):
    with pytest.raises(InvalidRun, match="of another version"):
        Resolved.from_json(resolved, RunConfig())


@pytest.mark.parametrize("name", ["connectome", "mlp"])
def test_a_stored_config_names_no_file_as_a_graph(whole, name):
    held = RunConfig(name).to_json() | {"circuit_options": {"graph": str(whole / "graph.graphml")}}
    with pytest.raises(InvalidRun, match="where a run holds a graph's content"):
        RunConfig.from_json(held)


@pytest.mark.parametrize(
    ("name", "options"),
    [("mlp", {"hidden": (20_000, 20_000)}), ("mlp", {"hidden": [64] * 10_000}), ("ctm", {"d_model": 10**6}),
     *((name, {"units": 100_000}) for name in ("gru", "lstm", "ctrnn", "elm", "ltc", "cfc"))],
)  # fmt: skip
def test_a_circuit_of_too_many_weights_is_refused_before_it_is_drawn(name, options):
    assert name in CIRCUITS
    with pytest.raises(CircuitMismatch, match="weights; 8,388,608 are the most"):
        make_circuit(name, {"joint_pos": 5}, 5, options)


def test_an_episode_longer_than_memory_is_refused():
    with pytest.raises(InvalidOption, match="give a whole number from 1 to 1000000"):
        RunConfig.from_json(RunConfig().to_json() | {"episode_steps": 10**12})


def test_the_same_seed_makes_the_same(whole, tmp_path):
    made = []
    for each in ("one", "two"):
        (tmp_path / each).mkdir()
        rng = random.Random("3 4")
        made.append(hostile_files.prepare(whole, tmp_path / each, tmp_path / "home", rng)[0])
    assert made[0].replace("one", "two") == made[1].replace("one", "two")
