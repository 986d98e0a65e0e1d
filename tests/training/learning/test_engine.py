"""Tasks on workers: all done once, also when a worker is killed in the middle."""

import http.server
import os
import re
import socket
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from nervecord.errors import InvalidOption, MissingDependency, NervecordError, Unreachable, WorkersLost
from nervecord.training.learning import engine
from nervecord.training.learning.engine import run_tasks
from nervecord.training.learning.training import train
from nervecord.training.learning.workers import WorkerPool
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from nervecord.training.studies.sweeps import Sweep, sweep
from tasks import (
    KILL,
    break_awkwardly,
    die,
    die_once,
    either,
    fail_as_it_begins,
    misname,
    refuse,
    sleep,
    square,
    threads,
)

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


def test_a_task_that_always_kills_its_worker_is_named_and_the_others_go_on():
    pool = WorkerPool(1)
    outcomes = dict(pool.run([("bad", (die, ())), ("good", (square, (3,)))]))
    pool.close()
    assert isinstance(outcomes["bad"], WorkersLost)
    assert str(outcomes["bad"]).startswith("workers died 4 times in a row on bad; see whether memory runs out")
    assert outcomes["good"] == 9


@pytest.mark.parametrize(
    ("function", "arguments", "kind", "words"),
    [
        (refuse, (3,), NervecordError, "no 3"),
        (square, ("x",), TypeError, "can't multiply"),
        (break_awkwardly, (), RuntimeError, "Awkward: the axle: rust"),
        (misname, (), InvalidOption, "unknown circuit 'spring'.*workers are new processes"),
    ],
)
def test_an_error_in_a_task_comes_out_with_its_story_and_ends_no_other(function, arguments, kind, words):
    outcomes = dict(run_tasks(either, {"bad": (function, arguments), "good": (square, (3,))}, workers=1))
    assert type(outcomes["bad"]) is kind
    assert re.search(words, str(outcomes["bad"]))
    assert function.__name__ in outcomes["bad"].__notes__[0]
    assert outcomes["good"] == 9


def test_an_error_as_a_worker_begins_comes_out():
    pool = WorkerPool(2, (fail_as_it_begins, ()))
    with pytest.raises(NervecordError, match="no room"):
        list(pool.run([("a", (square, (1,)))]))
    pool.close()


def test_whoever_leaves_early_ends_the_workers_at_once():
    pool = WorkerPool(2)
    outcomes = pool.run([("short", (square, (2,))), *((str(i), (sleep, (600,))) for i in range(4))])
    assert next(outcomes) == ("short", 4)
    pids, begin = pool.pids, time.monotonic()
    pool.close()
    assert len(pids) == 2
    assert time.monotonic() - begin < 50  # and not the minutes for which they would sleep
    assert not any(map(runs, pids))


def test_a_training_on_a_worker_that_no_signal_reaches_is_asked_to_end_and_writes_a_checkpoint(tmp_path, monkeypatch):
    # Longer than a test's patience, and no checkpoint is due before the end.
    config = RunConfig(body="swimmer4", steps=640_000_000, episode_steps=100, checkpoint_every=640_000_000)
    pool, table = WorkerPool(2), tmp_path / "run" / "metrics.csv"
    next(pool.run([("long", (train, (config, tmp_path / "run", False))), ("short", (square, (2,)))]))
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and not (table.exists() and table.stat().st_size > 1000):
        time.sleep(0.02)
    with monkeypatch.context() as windows:
        windows.setattr(sys, "platform", "win32")
        pool.close()
    assert Run(tmp_path / "run").progress[0] > 0


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"engine": "slurm"}, "give local or ray"),
        ({"address": "10.0.0.1:6379"}, "give --engine ray"),
        ({"engine": "ray", "address": ""}, "address is ''; give HOST:PORT"),
    ],
)
def test_wrong_options_are_one_line(options, message):
    with pytest.raises(InvalidOption, match=message):
        dict(run_tasks(square, {"a": (1,)}, **options))


def test_a_missing_ray_names_its_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"\[ray\]"):
        engine.start_ray(1, None)


def test_a_ray_address_without_a_port_is_refused():
    pytest.importorskip("ray", reason="Ray is not installed: pip install nervecord[ray]")
    with pytest.raises(InvalidOption, match="give ray://HOST:PORT"):
        engine.start_ray(None, "ray://nowhere")


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_ray_address_at_which_nobody_answers_is_said_at_once(scheme):
    pytest.importorskip("ray", reason="Ray is not installed: pip install nervecord[ray]")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{closed.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(Unreachable, match=f"no Ray cluster answers at {address}"):
            dict(run_tasks(square, {"a": (1,)}, engine="ray", address=address))
    assert time.monotonic() - begin < 30


def test_a_service_that_is_not_ray_is_said_at_once():
    pytest.importorskip("ray", reason="Ray is not installed: pip install nervecord[ray]")
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    begin = time.monotonic()
    with pytest.raises(Unreachable, match="what answers is not Ray"):
        engine.start_ray(None, f"127.0.0.1:{server.server_port}")
    server.shutdown()
    assert time.monotonic() - begin < 30


@pytest.mark.release
@pytest.mark.slow
def test_a_sweep_on_ray_is_the_sweep_here_although_a_worker_is_killed(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install nervecord[ray]")
    # Long enough that there is a middle, on a busy machine too.
    base = {**BASE, "steps": 16_000}
    plan = Sweep(base, {"seed": [0, 1], "circuit_options": [{}, {"init": "uniform"}]}, episodes=2)
    here = sweep(plan, tmp_path / "here", workers=1, progress=False)
    killed = []

    def kill_one_worker_in_the_middle() -> None:
        deadline = time.time() + 600
        while time.time() < deadline and not killed:
            began = [path for path in (tmp_path / "ray").glob("*/checkpoints/*") if path.name.isdigit()]
            for entry in Path("/proc").glob("[0-9]*") if began else ():
                try:
                    words = (entry / "cmdline").read_bytes()
                    if words.startswith(b"ray::measure"):
                        os.kill(int(entry.name), KILL)
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
