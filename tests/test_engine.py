"""Tasks on workers: all done once, also when a worker is killed in the middle."""

import os
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from nervecord.errors import InvalidRun, MissingDependency, NervecordError
from nervecord.training.learning import engine
from nervecord.training.learning.engine import run_tasks
from nervecord.training.studies.sweeps import Sweep, sweep
from tasks import die, die_once, refuse, square, threads

BASE = {"body": "swimmer4", "steps": 6400, "episode_steps": 100, "checkpoint_every": 400,
        "algorithm_options": {"n_envs": 8}}  # fmt: skip


def test_every_task_is_done_once():
    done = list(run_tasks(square, {str(x): (x,) for x in range(7)}, workers=2))
    assert sorted(done) == [(str(x), x * x) for x in range(7)]


def test_a_long_queue_does_not_stop_half_way():
    # A pool that renews its workers does, in Python 3.11.
    assert len(dict(run_tasks(square, {str(i): (i,) for i in range(200)}, workers=2))) == 200


def test_a_worker_has_one_core():
    assert dict(run_tasks(threads, {"a": ()}, workers=1)) == {"a": "1"}


def test_a_killed_worker_is_replaced_and_its_task_starts_again(tmp_path):
    tasks = {"dies": (str(tmp_path / "marker"),)}
    assert dict(run_tasks(die_once, tasks, workers=2)) == {"dies": 7}


def test_a_task_that_always_kills_its_worker_is_named():
    with pytest.raises(InvalidRun, match=r"workers died 4 times in a row on bad"):
        dict(run_tasks(die, {"bad": ()}, workers=1))


def test_an_error_in_a_task_comes_out():
    with pytest.raises(NervecordError, match="no 3"):
        dict(run_tasks(refuse, {"a": (3,)}, workers=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"engine": "slurm"}, "give 'local' or 'ray'"),
        ({"address": "10.0.0.1:6379"}, "give --engine ray"),
    ],
)
def test_wrong_options_are_one_line(options, message):
    with pytest.raises(InvalidRun, match=message):
        dict(run_tasks(square, {"a": (1,)}, **options))


def test_a_missing_ray_names_its_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"\[ray\]"):
        engine.start_ray(1, None)


def test_a_sweep_on_ray_is_the_sweep_here_although_a_worker_is_killed(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install nervecord[ray]")
    # Long enough that there is a middle, on a busy machine too.
    base = {**BASE, "steps": 16_000}
    plan = Sweep(base, {"seed": [0, 1], "circuit_options": [{}, {"init": "uniform"}]}, episodes=2)
    here = sweep(plan, tmp_path / "here", workers=2, progress=False)
    killed = []

    def kill_one_worker_in_the_middle() -> None:
        deadline = time.time() + 120
        while time.time() < deadline and not killed:
            began = [path for path in (tmp_path / "ray").glob("*/checkpoints/*") if path.name.isdigit()]
            for entry in Path("/proc").glob("[0-9]*") if began else ():
                try:
                    words = (entry / "cmdline").read_bytes()
                    if words.startswith(b"ray::measure"):
                        os.kill(int(entry.name), signal.SIGKILL)
                        killed.append(entry.name)
                        break
                except (FileNotFoundError, ProcessLookupError):
                    continue
            time.sleep(0.01)

    killer = threading.Thread(target=kill_one_worker_in_the_middle)
    killer.start()
    there = sweep(plan, tmp_path / "ray", workers=2, engine="ray", progress=False)
    killer.join()
    assert killed, "no worker was there to kill"
    pd.testing.assert_frame_equal(here, there)
    assert len(there) == 4
