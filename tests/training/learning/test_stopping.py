"""Ctrl-C, SIGTERM and SIGHUP: a checkpoint, one line, the right exit status, and nobody left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import kill_runs
import pytest
from nervecord import RunConfig, train
from nervecord.training.learning.stopping import Stop, Stopped, signals_raise, stopping
from nervecord.training.learning.workers import WorkerPool
from nervecord.training.runs.run import Run
from tasks import sleep

# Longer than a test's patience, and no checkpoint is due before the end: one that is there was written to stop.
LONG = ("train", "--body", "swimmer4", "--steps", "640000000", "--episode-steps", "100",
        "--checkpoint-every", "640000000", "--algorithm-options", "n_envs=16")  # fmt: skip


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_waits_for_a_safe_point_and_then_goes_to_whom_it_went_before(number):
    heard = []
    before = signal.signal(number, lambda received, _: heard.append(received))
    try:
        with pytest.raises(Stopped) as stopped, stopping() as stop:  # noqa: PT012
            stop.check()
            send(number)
            heard.append("went on")
            assert stop.requested
            stop.check()
        assert heard == ["went on", number]
        assert stopped.value.signal == number
        assert signal.getsignal(number) is not before
    finally:
        signal.signal(number, before)


def test_a_second_signal_stops_at_once_but_not_an_echo_of_the_first():
    with pytest.raises(KeyboardInterrupt), stopping() as stop:  # noqa: PT012
        send(signal.SIGINT)
        send(signal.SIGINT)
        assert stop.requested
        time.sleep(0.6)
        send(signal.SIGINT)
        pytest.fail("went on")


def test_a_signal_that_came_too_late_for_a_safe_point_is_not_forgotten():
    with pytest.raises(KeyboardInterrupt), stopping():
        send(signal.SIGINT)


def test_errors_come_out_as_they_are():
    with pytest.raises(ValueError, match="mine"), stopping():
        raise ValueError("mine")


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_raise(), stopping() as stop:
            send(signal.SIGHUP)
            assert not stop.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_between_the_look_for_it_and_the_stop_loses_no_update(tmp_path, monkeypatch):
    looks = []

    def look(stop: Stop) -> bool:
        found = stop._signal is not None
        looks.append(found)
        if len(looks) == 3:  # after one generation, and before that has a checkpoint
            send(signal.SIGINT)
        return found

    monkeypatch.setattr(Stop, "requested", property(look))
    config = RunConfig(body="swimmer4", steps=64_000, episode_steps=20, checkpoint_every=64_000)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", progress=False)
    run = Run(tmp_path / "run")
    assert run.progress == (run.metrics()["step"].max(), False)
    assert run.progress[0] > 0


def test_another_thread_leaves_signals_alone():
    found = []

    def look() -> None:
        with stopping():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


def wait_for(what, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_training_told_to_stop_writes_a_checkpoint_and_says_one_line(tmp_path):
    out = tmp_path / "run"
    process = kill_runs.start(kill_runs.Kind(LONG), out)
    wait_for(lambda: (out / "checkpoints").exists() and (out / "metrics.csv").read_text().count("\n") > 20)
    os.kill(process.pid, signal.SIGINT)
    said = json.loads(process.communicate(timeout=600)[0])["error"]
    assert said["message"] == "interrupted; run the same command again to continue"
    assert process.returncode == 128 + signal.SIGINT
    step, done = Run(out).progress
    assert 0 < step < 640_000_000
    assert not done
    assert not (out / "lock.json").exists()


def test_a_script_that_sigterm_would_have_ended_is_ended_by_it(tmp_path):
    script = """
from nervecord import RunConfig, train
train(RunConfig(body="swimmer4", steps=640_000_000, episode_steps=100, checkpoint_every=640_000_000,
                algorithm_options={"n_envs": 16}), "run", progress=False)
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
    table = tmp_path / "run" / "metrics.csv"
    wait_for(lambda: table.exists() and table.read_text().count("\n") > 20)
    process.terminate()
    assert process.wait(600) == -signal.SIGTERM
    assert Run(tmp_path / "run").progress[0] > 0


@pytest.mark.slow
def test_a_sweep_told_to_stop_ends_its_trainings_with_checkpoints(tmp_path):
    (tmp_path / "plan.toml").write_text(kill_runs.PLAN.replace("6400", "64000000").replace("= 400", "= 32000000"))
    words = [sys.executable, "-c", "from nervecord.cli.main import main; main()", "sweep",
             str(tmp_path / "plan.toml"), "--out", str(tmp_path / "sweep"), "--workers", "2", "--json"]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
    tables = [tmp_path / "sweep" / seed / "metrics.csv" for seed in "01"]
    wait_for(lambda: all(table.exists() and table.read_text().count("\n") > 20 for table in tables))
    os.killpg(process.pid, signal.SIGTERM)
    output, error = process.communicate(timeout=600)
    assert process.returncode == 128 + signal.SIGTERM
    assert "\n" not in json.loads(output)["error"]["message"]
    assert "Traceback" not in error.decode()
    assert kill_runs.none_left(process.pid)
    assert all(Run(table.parent).progress[0] > 0 for table in tables)


PARENT = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from nervecord.training.learning.workers import WorkerPool
from tasks import sleep
if __name__ == "__main__":
    pool = WorkerPool(2)
    tasks = pool.run([(str(i), (sleep, (600 * i,))) for i in range(4)])
    next(tasks)
    print(*pool.pids, flush=True)
    next(tasks)
"""


def test_workers_end_when_their_parent_is_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    words = [sys.executable, str(tmp_path / "parent.py"), str(Path(__file__).parents[2])]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, process_group=0)
    assert len(process.stdout.readline().split()) == 2
    process.kill()
    process.wait()
    assert kill_runs.none_left(process.pid)


def test_a_pool_that_nobody_closes_does_not_keep_python_from_its_end(tmp_path):
    (tmp_path / "parent.py").write_text(
        PARENT.replace("    next(tasks)\n", "", 2).replace("print", "next(tasks); print")
    )
    words = [sys.executable, str(tmp_path / "parent.py"), str(Path(__file__).parents[2])]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, process_group=0)
    assert process.wait(600) == 0
    assert kill_runs.none_left(process.pid)


def test_an_idle_worker_that_is_killed_is_replaced():
    pool = WorkerPool(1)
    try:
        assert list(pool.run([("a", (sleep, (0,)))])) == [("a", None)]
        os.kill(pool.pids[0], signal.SIGKILL)
        time.sleep(0.2)
        assert list(pool.run([("b", (sleep, (0,)))])) == [("b", None)]
    finally:
        pool.close()


# The other kinds, and hundreds of stops, are the script's.
@pytest.mark.release
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ppo", "workers"])
def test_what_is_stopped_at_random_moments_ends_as_if_it_was_not(kind, tmp_path):
    kill_runs.kill_many(kind, tmp_path, kills=2)
