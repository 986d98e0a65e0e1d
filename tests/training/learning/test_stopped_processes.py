"""Processes that are told to stop: a checkpoint, one line, the right exit status, and nobody left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no signals from process to process", allow_module_level=True)
import kill_runs
from nervecord.training.runs.run import Run

# Longer than a test's patience, and no checkpoint is due before the end: one that is there was written to stop.
LONG = ("train", "--body", "swimmer4", "--steps", "640000000", "--episode-steps", "100",
        "--checkpoint-every", "640000000", "--algorithm-options", "n_envs=16")  # fmt: skip


def wait_for(what, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_training_told_to_stop_writes_a_checkpoint_and_says_one_line(tmp_path):
    out = tmp_path / "run"
    process = kill_runs.start(kill_runs.Kind(LONG), out)
    wait_for(
        lambda: (out / "checkpoints").exists() and (out / "metrics.csv").read_text(encoding="utf-8").count("\n") > 20
    )
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
    wait_for(lambda: table.exists() and table.read_text(encoding="utf-8").count("\n") > 20)
    process.terminate()
    assert process.wait(600) == -signal.SIGTERM
    assert Run(tmp_path / "run").progress[0] > 0


@pytest.mark.slow
def test_a_sweep_told_to_stop_ends_its_trainings_with_checkpoints(tmp_path):
    (tmp_path / "plan.toml").write_text(
        kill_runs.PLAN.replace("6400", "64000000").replace("= 400", "= 32000000"), encoding="utf-8"
    )
    words = [sys.executable, "-c", "from nervecord.cli.main import main; main()", "sweep",
             str(tmp_path / "plan.toml"), "--out", str(tmp_path / "sweep"), "--workers", "2", "--json"]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
    tables = [tmp_path / "sweep" / seed / "metrics.csv" for seed in "01"]
    wait_for(lambda: all(table.exists() and table.read_text(encoding="utf-8").count("\n") > 20 for table in tables))
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
    (tmp_path / "parent.py").write_text(PARENT, encoding="utf-8")
    words = [sys.executable, str(tmp_path / "parent.py"), str(Path(__file__).parents[2])]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, process_group=0)
    assert len(process.stdout.readline().split()) == 2
    process.kill()
    process.wait()
    assert kill_runs.none_left(process.pid)


def test_a_pool_that_nobody_closes_does_not_keep_python_from_its_end(tmp_path):
    (tmp_path / "parent.py").write_text(
        PARENT.replace("    next(tasks)\n", "", 2).replace("print", "next(tasks); print"), encoding="utf-8"
    )
    words = [sys.executable, str(tmp_path / "parent.py"), str(Path(__file__).parents[2])]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, process_group=0)
    assert process.wait(600) == 0
    assert kill_runs.none_left(process.pid)


# The other kinds, and hundreds of stops, are the script's.
@pytest.mark.release
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ppo", "workers"])
def test_what_is_stopped_at_random_moments_ends_as_if_it_was_not(kind, tmp_path):
    kill_runs.kill_many(kind, tmp_path, kills=2)
