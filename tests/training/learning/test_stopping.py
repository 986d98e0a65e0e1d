"""Ctrl-C, SIGTERM and SIGHUP in one process: handled at safe points, then by whom they would have been."""

import os
import signal
import sys
import threading
import time

import pytest
from nervecord import RunConfig, train
from nervecord.training.learning.stopping import Stop, Stopped, signals_raise, stopping
from nervecord.training.learning.workers import WorkerPool
from nervecord.training.runs.run import Run
from tasks import KILL, sleep

SIGNALS = [signal.SIGTERM, signal.SIGINT]
if sys.platform != "win32":
    SIGNALS.append(signal.SIGHUP)


def send(number: int) -> None:
    # Not os.kill, which on Windows ends a process by any signal.
    signal.raise_signal(number)


@pytest.mark.parametrize("number", SIGNALS)
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
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with signals_raise(), stopping() as stop:
            send(signal.SIGTERM)
            assert not stop.requested
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


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


def test_an_idle_worker_that_is_killed_is_replaced():
    pool = WorkerPool(1)
    try:
        assert list(pool.run([("a", (sleep, (0,)))])) == [("a", None)]
        os.kill(pool.pids[0], KILL)
        time.sleep(0.2)
        assert list(pool.run([("b", (sleep, (0,)))])) == [("b", None)]
    finally:
        pool.close()
