"""What tests have other processes do: here, where those find it without importing torch."""

import os
import signal
import sys
import time
from pathlib import Path

from nervecord.errors import InvalidRun, NervecordError, UnknownName
from nervecord.training.runs.lock import hold
from nervecord.training.runs.shipped import folder_of

# Ends a process at once; on Windows, any signal does.
if sys.platform == "win32":
    KILL = signal.SIGTERM
else:
    KILL = signal.SIGKILL


def square(x: int) -> int:
    return x * x


def refuse(x: int) -> int:
    raise NervecordError(f"no {x}")


def threads() -> str:
    return os.environ["OMP_NUM_THREADS"]


def die_once(marker: str) -> int:
    """Kill the worker at the first call, return at the second."""
    path = Path(marker)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), KILL)
    return 7


def die() -> None:
    os.kill(os.getpid(), KILL)


def either(function, arguments):
    return function(*arguments)


def misname() -> None:
    raise UnknownName("circuit", "spring", ["ncap"])


class Awkward(Exception):
    """An error that pickle cannot put together again."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


def break_awkwardly() -> None:
    raise Awkward("the axle", "rust")


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def fail_as_it_begins() -> None:
    raise NervecordError("no room")


def race_for_a_lock(folder: str, gate, wins) -> None:
    """Hold a folder again and again, and note when it is entered and left."""
    gate.wait()
    for _ in range(40):
        try:
            with hold(Path(folder)):
                wins.put((time.monotonic(), "in"))
                time.sleep(0.0005)
                wins.put((time.monotonic(), "out"))
        except InvalidRun:
            pass


def open_at_once(barrier, results) -> None:
    """Open an agent that comes with the package as soon as all processes are there."""
    barrier.wait(300)
    results.put(str(folder_of("agent:relay")))
