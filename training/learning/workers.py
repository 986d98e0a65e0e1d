"""Worker processes on this machine: replaced when they die, ended when the process that started them ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from ...errors import InvalidRun, NervecordError, UnknownName

# A worker may be lost to a full memory or a machine that goes; one that is lost again and again is a bug.
RETRIES = 3
# What a worker in the middle of a training may take to its next checkpoint, seconds.
GRACE = 30.0
_FRESH = (
    "workers are started fresh and do not know what a notebook or `python -c` registered; "
    "put it in a package with an entry point, or in a script that guards its work by `if __name__ == '__main__'`"
)

Task = tuple[Callable[..., Any], tuple[Any, ...]]


class WorkerPool:
    """Processes that each do one task at a time, on one core.

    A worker that dies is replaced and its task starts again. When this process dies, however it does, its
    workers end at once, so that none trains beside a successor's.

    Args:
        workers: processes at a time.
        begin: what each new process does first.
    """

    def __init__(self, workers: int, begin: Task | None = None) -> None:
        self._most, self._begin = workers, pickle.dumps(begin)
        self._workers: list[_Worker] = []
        self._lost_at_start = 0

    @property
    def pids(self) -> list[int]:
        """The processes' numbers."""
        return [worker.process.pid or 0 for worker in self._workers]

    def run(self, tasks: Iterable[tuple[Any, Task]]) -> Iterator[tuple[Any, Any]]:
        """Do every task; yield its key with what it returned, or with the exception that it raised, as they end.

        The exception of a task on which workers keep dying is an InvalidRun.

        Raises:
            InvalidRun: workers end before they have a task.
            Exception: what `begin` raised.
        """
        left, lost = deque(tasks), Counter[Any]()
        # Of a run that was not gone through to its end.
        for worker in [worker for worker in self._workers if worker.task]:
            self._drop(worker)
        while left or any(worker.task for worker in self._workers):
            for worker in self._hand_out(left):
                answer = worker.receive()
                if answer is None:
                    self._drop(worker)
                    if worker.task is None:
                        self._count_lost_start(worker)
                    elif lost[worker.key] < RETRIES:
                        lost[worker.key] += 1
                        left.appendleft((worker.key, worker.task))
                    else:
                        times = f"workers died {RETRIES + 1} times in a row on {worker.key}"
                        yield worker.key, InvalidRun(f"{times}; see whether memory runs out, and give fewer workers")
                elif worker.task:
                    worker.task = None
                    yield worker.key, answer[1]
                elif answer[0]:
                    worker.is_ready, self._lost_at_start = True, 0
                else:
                    raise answer[1]

    def _hand_out(self, left: deque[tuple[Any, Task]]) -> list[_Worker]:
        """Give tasks to the workers that have none; return those that have something to say, as soon as some do."""
        working = sum(bool(worker.task) for worker in self._workers)
        while len(self._workers) < min(self._most, working + len(left)):
            self._workers.append(_Worker(self._begin))
        for worker in self._workers:
            if left and worker.is_ready and not worker.task:
                worker.give(*left.popleft())
        waited = [worker for worker in self._workers if worker.task or not worker.is_ready]
        heard = wait([worker.connection for worker in waited])
        return [worker for worker in waited if worker.connection in heard]

    def _count_lost_start(self, worker: _Worker) -> None:
        status = worker.process.exitcode or 0
        # Not one that a signal ended.
        if 0 < status < 128:
            raise InvalidRun(
                f"a worker ended as it started (exit status {status}; see above); workers import the script that "
                "starts them, which must do so under `if __name__ == '__main__':`"
            )
        self._lost_at_start += 1
        if self._lost_at_start > RETRIES:
            times = f"workers died {self._lost_at_start} times in a row as they started"
            raise InvalidRun(f"{times}; see whether memory runs out, and give fewer workers")

    def close(self) -> None:
        """End the workers at once; those in the middle of a training write a checkpoint first."""
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + GRACE
        try:
            for worker in self._workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            # Also when a second Ctrl-C ends the wait.
            for worker in list(self._workers):
                self._drop(worker)

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.connection.close()


class _Worker:
    """A process, and what it is doing."""

    def __init__(self, begin: bytes) -> None:
        # Fresh: a fork would copy MuJoCo's and torch's threads half alive.
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        # Daemonic: this process ends them on its way out, should nobody close the pool.
        self.process = context.Process(target=_work, args=(there, begin), daemon=True)
        self.is_ready = False
        self.key: Any = None
        self.task: Task | None = None
        _start_deaf(self.process)
        there.close()

    def give(self, key: Any, task: Task) -> None:
        self.key, self.task = key, task
        # One that has died is found by its end of the connection.
        with contextlib.suppress(ConnectionError):
            self.connection.send(task)

    def receive(self) -> tuple[bool, Any] | None:
        """Return what `attempt` did there; None if the process has died."""
        try:
            answer: tuple[bool, Any] = self.connection.recv()
        except (EOFError, OSError):
            return None
        return answer


def _start_deaf(process: Any) -> None:
    """Start a process to which Ctrl-C, which a terminal sends to all of them, means nothing: its parent ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        process.start()
        return
    # It would let the signal through again as it starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take_one_core() -> None:
    """Keep this process to one core: MuJoCo's threads, torch's and BLAS's."""
    os.environ["OMP_NUM_THREADS"] = "1"


def attempt(function: Callable[..., Any], *arguments: Any) -> tuple[bool, Any]:
    """Return whether a call succeeded, and what it returned or the exception that it raised, fit to be sent."""
    try:
        return True, function(*arguments)
    except Exception as error:
        return False, _sendable(error)


def _sendable(error: Exception) -> Exception:
    """Return an error that another process can read; what a traceback would show is a note."""
    story = "".join(traceback.format_exception(error))
    # A class of __main__ is missed by pickle, a name by the registries.
    if isinstance(error, UnknownName) or (isinstance(error, AttributeError) and "__main__" in str(error)):
        error = InvalidRun(f"{error}; {_FRESH}")
    elif isinstance(error, NervecordError) and not _survives_pickle(error):
        error = NervecordError(str(error))
    elif not _survives_pickle(error):
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(story)
    return error


def _survives_pickle(error: Exception) -> bool:
    try:
        return str(pickle.loads(pickle.dumps(error))) == str(error)
    except Exception:
        return False


def _work(connection: Connection, begin: bytes) -> None:
    """Do what a worker does, from its first moment to its last."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # A process that a signal ends leaves its semaphores (tqdm has some), and Python prints a warning of that.
    signal.signal(signal.SIGTERM, _leave)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    take_one_core()
    connection.send(attempt(_begin, begin))
    while True:
        try:
            packed = connection.recv_bytes()
        except EOFError:
            return
        result = attempt(_do, packed)
        try:
            packed = pickle.dumps(result)
        except Exception as error:
            packed = pickle.dumps((False, _sendable(error)))
        connection.send_bytes(packed)


def _leave(number: int, _frame: Any) -> None:
    raise SystemExit(128 + number)


def _begin(packed: bytes) -> None:
    begin: Task | None = pickle.loads(packed)
    if begin is not None:
        begin[0](*begin[1])


def _do(packed: bytes) -> Any:
    function, arguments = pickle.loads(packed)
    return function(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
