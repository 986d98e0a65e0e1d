"""What test_engine has its workers do: here, where a worker finds them without importing torch."""

import os
import signal
from pathlib import Path

from nervecord.errors import NervecordError


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
        os.kill(os.getpid(), signal.SIGKILL)
    return 7


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
