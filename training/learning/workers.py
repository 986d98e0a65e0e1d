"""Worker processes on this machine: replaced when they die, ended when the process that started them ends."""

from __future__ import annotations

import _thread
import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from ...errors import InvalidOption, NervecordError, UnknownName, WorkersLost

# Workers may die when memory is full or a machine fails; a task on which they die again and again is a bug.
RETRIES = 3
# Seconds that a worker in the middle of a training may take to its next checkpoint.
GRACE = 30.0
_FRESH = (
    "workers are new processes and do not have the names that a notebook or `python -c` registered; "
    "register them in a package with an entry point, or in a script with an `if __name__ == '__main__'` guard"
)

Task = tuple[Callable[..., Any], tuple[Any, ...]]


class WorkerPool:
    """Processes that each do one task at a time, on one core.

    A worker that dies is replaced and its task starts again. When this process dies in any way, its workers
    end at once, so that none continues beside those of a restarted process.

    Args:
        workers: number of processes.
        begin: a function that each new process calls first.
    """

    def __init__(self, workers: int, begin: Task | None = None) -> None:
        self._most, self._begin = workers, pickle.dumps(begin)
        self._workers: list[_Worker] = []
        self._lost_at_start = 0

    @property
    def pids(self) -> list[int]:
        """The processes' ids."""
        return [worker.process.pid or 0 for worker in self._workers]

    def run(self, tasks: Iterable[tuple[Any, Task]]) -> Iterator[tuple[Any, Any]]:
        """Run all tasks; yield each one's key with its return value or its exception, in the order of completion.

        A task on which workers keep dying yields a WorkersLost.

        Raises:
            WorkersLost: workers end before they get a task.
            Exception: any exception of `begin`.
        """
        left, lost = deque(tasks), Counter[Any]()
        # Left over from a generator that was not exhausted.
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
                        yield worker.key, WorkersLost(f"{times}; see whether memory runs out, and give fewer workers")
                elif worker.task:
                    worker.task = None
                    yield worker.key, answer[1]
                elif answer[0]:
                    worker.is_ready, self._lost_at_start = True, 0
                else:
                    raise answer[1]

    def _hand_out(self, left: deque[tuple[Any, Task]]) -> list[_Worker]:
        """Give tasks to idle workers; wait, and return the workers that have sent something."""
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
        # Does not count a worker that a signal ended.
        if 0 < status < 128:
            raise WorkersLost(
                f"a worker ended at its start (exit status {status}; see above); workers import the script that "
                "starts them, so that script must start them under `if __name__ == '__main__':`"
            )
        self._lost_at_start += 1
        if self._lost_at_start > RETRIES:
            times = f"workers died {self._lost_at_start} times in a row as they started"
            raise WorkersLost(f"{times}; see whether memory runs out, and give fewer workers")

    def close(self) -> None:
        """End the workers at once; those in the middle of a training write a checkpoint first."""
        for worker in self._workers:
            worker.ask_to_end()
        deadline = time.monotonic() + GRACE
        try:
            for worker in self._workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            # Runs also when a second Ctrl-C interrupts the wait.
            for worker in list(self._workers):
                self._drop(worker)

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        worker.asking.close()


class _Worker:
    """A process and its present task."""

    def __init__(self, begin: bytes) -> None:
        # Spawned: a fork would copy MuJoCo's and torch's threads in a broken state.
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        asked, self.asking = context.Pipe(duplex=False)
        # Daemonic: Python ends them at exit if nobody closes the pool.
        self.process = context.Process(target=_work, args=(there, asked, begin), daemon=True)
        self.is_ready = False
        self.key: Any = None
        self.task: Task | None = None
        _start_deaf(self.process)
        there.close()
        asked.close()

    def ask_to_end(self) -> None:
        """Let the process end at its next safe point, at once if it has no task."""
        if sys.platform == "win32" and self.task:
            # terminate() gives a process of Windows no time, as no signal reaches it.
            self.asking.close()
        else:
            self.process.terminate()

    def give(self, key: Any, task: Task) -> None:
        self.key, self.task = key, task
        # A worker that has died is detected by the end of its connection.
        with contextlib.suppress(ConnectionError):
            self.connection.send(task)

    def receive(self) -> tuple[bool, Any] | None:
        """Return the result of `attempt` in the process; None if the process has died."""
        try:
            answer: tuple[bool, Any] = self.connection.recv()
        except (EOFError, OSError):
            return None
        return answer


def _start_deaf(process: Any) -> None:
    """Start a process that ignores Ctrl-C, which a terminal sends to all processes; its parent ends it instead."""
    if sys.platform == "win32":  # which masks no signals; the process ignores it once it runs
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
    """Limit this process to one thread each for MuJoCo, torch and BLAS."""
    os.environ["OMP_NUM_THREADS"] = "1"


def attempt(function: Callable[..., Any], *arguments: Any) -> tuple[bool, Any]:
    """Return whether a call succeeded, and its return value or its exception, in a form that can be pickled."""
    try:
        return True, function(*arguments)
    except Exception as error:
        return False, _sendable(error)


def _sendable(error: Exception) -> Exception:
    """Return an error that another process can unpickle, with its traceback as a note."""
    story = "".join(traceback.format_exception(error))
    # Pickle misses a class of __main__; the registries miss a name registered there.
    if isinstance(error, UnknownName) or (isinstance(error, AttributeError) and "__main__" in str(error)):
        error = InvalidOption(f"{error}; {_FRESH}")
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


def _work(connection: Connection, asked: Connection, begin: bytes) -> None:
    """Run a worker process: call `begin`, then tasks until the connection ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # A process that a signal ends leaks its semaphores (tqdm has some), and Python warns of that.
    signal.signal(signal.SIGTERM, _leave)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, _leave)
    threading.Thread(target=_end_with_parent, args=(asked,), daemon=True).start()
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


def _end_with_parent(asked: Connection) -> None:
    """End this process when its parent ends; when the parent closes `asked`, do in it what SIGTERM would."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    if parent.sentinel not in wait([parent.sentinel, asked]):
        _thread.interrupt_main(signal.SIGTERM)
        wait([parent.sentinel])
    os._exit(1)
