"""Agents that come with the package are runs, by their addresses, wherever the package lies."""

import multiprocessing
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nervecord import Run, RunConfig, evaluate, load_agent, render, resume, train
from nervecord.cli.main import main
from nervecord.envs.physics.lanes import cache_folder
from nervecord.errors import InvalidOption, InvalidRun, UnknownName
from nervecord.files import user_cache
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs import shipped
from nervecord.training.runs.shipped import SHIPPED, folder_of, shipped_names
from tasks import open_at_once

NAMES = ("along", "cpg", "ncap", "ncap-plus", "relay")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    # Compiled code stays where it is.
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache_folder().parents[1]))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return user_cache() / "agents"


def test_each_returns_what_its_card_says_and_fits_other_bodies():
    assert tuple(shipped_names()) == NAMES
    for name in NAMES:
        run = Run(f"agent:{name}")
        held = run.results.current.where("evaluation").best
        again = evaluate(run, 2).returns
        assert list(again) == pytest.approx(held.values["return"][:2], abs=1e-3)
        card = (run.path / "README.md").read_text(encoding="utf-8")
        assert f"--seed {run.config.seed} --out runs/{name}" in card
        assert f"| {run.config.seed} | {held.intervals['return'].mean:.1f} |" in card
        assert load_agent(name, body="swimmer9").n_weights == load_agent(f"agent:{name}").n_weights


def test_the_seed_that_is_shipped_is_the_one_of_the_median():
    for name in NAMES:
        card = (SHIPPED / name / "README.md").read_text(encoding="utf-8")
        table = card.partition("| seed |")[2].partition("\n\n")[0].splitlines()[2:]
        returns = {int(row.split("|")[1]): float(row.split("|")[2]) for row in table}
        assert sorted(returns) == [0, 1, 2, 3, 4]
        assert returns[Run(SHIPPED / name).config.seed] == sorted(returns.values())[2]


def test_what_is_measured_of_one_is_kept_beside_its_copy_and_not_in_the_package(cache):
    before = sorted(SHIPPED.rglob("*"))
    evaluate("agent:ncap", 1)
    assert [each.episodes for each in Run("agent:ncap").results.where(body="swimmer6", agent="trained")] == [20, 1]
    assert sorted(SHIPPED.rglob("*")) == before
    assert Run("agent:ncap").path.is_relative_to(cache)


def test_a_film_of_one_compiles_nothing():
    code = (
        "import sys\n"
        "from nervecord.cli.main import main\n"
        "main('render agent:ncap --seconds 0.1 --out worm.mp4'.split())\n"
        "print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert Path("worm.mp4").stat().st_size > 0


def test_a_film_is_of_the_episode_that_lanes_step_and_says_that_mujoco_stepped_it():
    run = Run("agent:ncap")
    render(run, run.path / "film.mp4", seconds=0.1)
    assert run.resolved.config.physics == "lanes"
    assert run.results.where("film").best.conditions["physics"] == "mujoco"
    lanes, mujoco = record(run, 1), record(run, 1, physics="mujoco")
    assert lanes.link_pos.shape == (1, 1000, 6, 2)
    np.testing.assert_allclose(mujoco.link_pos, lanes.link_pos, atol=1e-4)


def test_an_upgrade_is_copied_anew_and_leaves_the_old_one(monkeypatch, tmp_path):
    old = folder_of("agent:cpg")
    shutil.copytree(SHIPPED, tmp_path / "other")
    with (tmp_path / "other" / "cpg" / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write("1,more,1\n")
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path / "other")
    assert folder_of("agent:cpg") != old
    assert old.is_dir()


def test_processes_that_open_one_at_once_get_the_same_whole_copy():
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=open_at_once, args=(barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    (folder,) = {results.get(timeout=300) for _ in processes}
    for process in processes:
        process.join(300)
    assert [path.name for path in Path(folder).parent.iterdir()] == ["relay"]
    assert shipped._checksum(Path(folder)) == shipped._checksum(SHIPPED / "relay")


def test_files_that_are_read_only_in_the_package_are_copied_as_ones_that_can_be_written(monkeypatch, tmp_path):
    shutil.copytree(SHIPPED / "ncap", tmp_path / "read-only" / "ncap")
    for path in (tmp_path / "read-only").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path / "read-only")
    assert all(path.stat().st_mode & 0o200 for path in [folder_of("agent:ncap"), *folder_of("agent:ncap").rglob("*")])


def test_a_cache_that_cannot_be_written_is_said_once_and_stops_nothing(cache, caplog):
    cache.parent.parent.mkdir(parents=True)
    cache.parent.write_text("a file", encoding="utf-8")
    assert evaluate("agent:ncap", 1).n == 1
    assert Run("agent:ncap").path == Run("agent:ncap").path
    said = [record.message for record in caplog.records if "agent:ncap" in record.message]
    assert len(said) == 1
    assert str(cache.parent) in said[0]


def test_names_that_are_none_are_said_with_those_that_are():
    with pytest.raises(UnknownName, match=r"unknown agent 'ncap-pluss'; did you mean 'ncap-plus'\? known: .*along"):
        Run("agent:ncap-pluss")
    with pytest.raises(UnknownName, match=r"did you mean 'relay'.*or give the folder of a run"):
        load_agent("realy")
    for name in ("", "../ncap", "ncap/", "NCAP"):
        with pytest.raises(UnknownName):
            Run(f"agent:{name}")
    with pytest.raises(InvalidRun, match=r"config\.json is missing"):
        load_agent("runs/relay")


def test_a_folder_of_an_agents_name_is_not_guessed_at(tmp_path):
    (tmp_path / "relay").mkdir()
    with pytest.raises(InvalidOption, match=re.escape(f"give agent:relay or {tmp_path / 'relay'}")):
        load_agent("relay")
    assert load_agent("agent:relay").n_weights == 10


def test_one_is_not_trained_on_in_place_but_from_its_weights(tmp_path):
    with pytest.raises(InvalidOption, match="train --circuit ncap_plus --start agent:ncap-plus --out runs/mine"):
        resume("agent:ncap-plus")
    small = RunConfig(steps=400, episode_steps=50, algorithm_options={"n_envs": 8})
    with pytest.raises(InvalidOption, match=r"agent:new is the address of an agent.*give another --out"):
        train(small, "agent:new", progress=False)
    assert not list(tmp_path.glob("agent*"))
    command = "train --start agent:ncap --steps 400 --episode-steps 50 --algorithm-options n_envs=8 --out mine --json"
    main(command.split())
    own = Run("mine").history()[0]
    assert own.read_bytes() == (folder_of("agent:ncap") / "checkpoints" / "000000512000" / own.name).read_bytes()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("list agents", "agent:ncap-plus  ncap_plus of 11 weights, trained by cmaes; return 97"),
        ("list neurons agent:cpg", "cos_3"),
        ("evaluate agent:along --body swimmer4 --episodes 1", "return"),
        ("transfer agent:ncap --bodies swimmer4 --episodes 1", "swimmer4"),
        ("record agent:relay --episodes 1 --out relay.nc", "relay.nc"),
        ("probe agent:relay --probes gait --episodes 1", "frequency"),
        ("results agent:cpg", "swimmer20"),
        ("export agent:ncap-plus --no-film --out hub", "hub"),
    ],
)
def test_commands_take_an_address_where_they_take_a_run(command, said, capsys):
    main(command.split())
    assert said in capsys.readouterr().out
