"""One training at a time in a folder: refused in one line, and free again as soon as its holder is gone."""

import contextlib
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from nervecord.errors import InvalidRun
from nervecord.training.learning.curricula import CurriculumConfig, CurriculumRun, curriculum
from nervecord.training.learning.training import train
from nervecord.training.runs import lock
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.lock import hold
from nervecord.training.runs.run import Run
from tasks import race_for_a_lock

CONFIG = RunConfig(body="swimmer4", steps=800, episode_steps=50, algorithm_options={"n_envs": 4})
HOLDER = """
import sys, time
from pathlib import Path
from nervecord.training.runs.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds tmp_path."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_training_is_refused_in_one_line_and_hurts_nothing(tmp_path, holder):
    held = json.loads((tmp_path / "lock.json").read_text(encoding="utf-8"))
    assert held["pid"] == holder.pid
    with pytest.raises(InvalidRun) as refused, hold(tmp_path):
        pass
    line = str(refused.value)
    assert f"is being trained by process {holder.pid} on {socket.gethostname()} since {held['since']}" in line
    assert "or give another --out" in line
    assert "\n" not in line
    assert json.loads((tmp_path / "lock.json").read_text(encoding="utf-8")) == held


def test_a_lock_is_free_at_once_when_its_holder_is_killed(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / "lock.json").exists()
    begin = time.monotonic()
    with hold(tmp_path):
        assert json.loads((tmp_path / "lock.json").read_text(encoding="utf-8"))["pid"] == os.getpid()
    assert time.monotonic() - begin < 20  # and not the minutes after which a silent holder counts as dead
    assert not (tmp_path / "lock.json").exists()


def test_where_no_open_file_can_be_removed_the_lock_goes_once_it_is_closed(tmp_path, monkeypatch):
    """Windows keeps what a reader or a scanner has open; what stays there then is nobody's lock."""
    monkeypatch.setattr(lock, "_lock", lambda _: True)
    monkeypatch.setattr(sys, "platform", "win32")
    opened, close, removed = set(), os.close, Path.unlink

    def note(path: str, *options: int) -> int:
        opened.add(descriptor := os_open(path, *options))
        return descriptor

    def remove(path: Path) -> None:
        if opened:
            raise PermissionError(13, "in use", str(path))
        removed(path)

    os_open = os.open
    monkeypatch.setattr(os, "open", note)
    monkeypatch.setattr(os, "close", lambda descriptor: (opened.discard(descriptor), close(descriptor)))
    monkeypatch.setattr(Path, "unlink", remove)
    with hold(tmp_path):
        assert (tmp_path / "lock.json").stat().st_size > 0
    assert not (tmp_path / "lock.json").exists()
    with hold(tmp_path):
        opened.add("a scanner's")
    assert (tmp_path / "lock.json").read_bytes() == b""


def test_a_holder_that_is_just_ending_is_waited_for(tmp_path, holder):
    threading.Timer(0.5, holder.kill).start()
    with hold(tmp_path):
        pass


COURSE = CurriculumConfig("gru", updates=4, batch_size=8, evaluate_every=2, evaluation_sequences=8,
                          circuit_options={"units": 4})  # fmt: skip


@pytest.mark.parametrize(
    ("begin", "go"),
    [(lambda path: Run.create(path, CONFIG), lambda path: train(CONFIG, path, progress=False)),
     (lambda path: CurriculumRun.create(path, COURSE), lambda path: curriculum(COURSE, path, progress=False))],
    ids=["run", "curriculum"],
)  # fmt: skip
def test_what_is_trained_elsewhere_is_not_trained_here(begin, go, tmp_path):
    begin(tmp_path)
    with hold(tmp_path), pytest.raises(InvalidRun, match="is being trained by process"):
        go(tmp_path)
    assert go(tmp_path).done
    # A run that is done is read, and needs no lock.
    with hold(tmp_path):
        assert go(tmp_path).done


def test_no_two_processes_ever_hold_one_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    gate, wins = context.Barrier(3), context.SimpleQueue()
    processes = [context.Process(target=race_for_a_lock, args=(str(tmp_path), gate, wins)) for _ in range(3)]
    for process in processes:
        process.start()
    events = []
    while any(process.is_alive() for process in processes) or not wins.empty():
        if not wins.empty():
            events.append(wins.get())
        else:
            time.sleep(0.001)
    events = [what for _, what in sorted(events)]
    assert len(events) > 80
    assert events == ["in", "out"] * (len(events) // 2)


def left_behind(folder: Path) -> Path:
    """A lock of another machine, whose kernel's locks are not seen here."""
    path = folder / "lock.json"
    path.write_text(json.dumps({"pid": 7, "host": "elsewhere", "since": "2026-01-01 00:00:00+00:00"}), encoding="utf-8")
    return path


@contextlib.contextmanager
def signs_of_life(path: Path):
    """Give them from another thread, again and again: on a busy machine a single one may come late."""
    over = threading.Event()

    def give():
        while not over.wait(0.05):
            os.utime(path)

    thread = threading.Thread(target=give)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_holder_on_another_machine_is_known_by_its_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_SILENCE", 2.0)
    path = left_behind(tmp_path)
    told = r"by process 7 on elsewhere since 2026.*stop it or"
    with signs_of_life(path), pytest.raises(InvalidRun, match=told), hold(tmp_path):
        pass
    with hold(tmp_path):
        assert json.loads(path.read_text(encoding="utf-8"))["host"] == socket.gethostname()


def test_a_holder_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT", 0.1)
    with hold(tmp_path):
        before, deadline = (tmp_path / "lock.json").stat().st_mtime_ns, time.monotonic() + 60
        while (tmp_path / "lock.json").stat().st_mtime_ns == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_where_the_system_has_no_locks_signs_of_life_decide(tmp_path, monkeypatch, holder):
    monkeypatch.setattr(lock, "_SILENCE", 1.5)
    monkeypatch.setattr(lock.fcntl, "flock", _no_locks)
    told = f"by process {holder.pid}"
    with signs_of_life(tmp_path / "lock.json"), pytest.raises(InvalidRun, match=told), hold(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with hold(tmp_path):
        pass


def _no_locks(*_):
    raise OSError(95, "Operation not supported")


def test_a_damaged_lock_is_no_obstacle(tmp_path):
    (tmp_path / "lock.json").write_bytes(b"\xff[")
    with hold(tmp_path):
        pass
