"""What Windows lacks: a test that asks for it is skipped there."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def make_pipe(path: Path) -> None:
    """Make a pipe in a folder, which hangs whoever opens it."""
    if sys.platform == "win32":
        pytest.skip("Windows has no pipes in folders")
    os.mkfifo(path)


def fork() -> int:
    """Fork this process; return 0 in the child, and the child's id here."""
    if sys.platform == "win32":
        pytest.skip("Windows has no fork")
    return os.fork()


def limit_of_files(size: int) -> Callable[[], None]:
    """Return what a process calls to fail in the middle of a write, as on a full disk: no file has more bytes."""
    if sys.platform == "win32":
        pytest.skip("Windows has no limit of a file's size")
    import resource

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit
