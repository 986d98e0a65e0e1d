"""The environment of a command: standard streams that may be closed, full or broken, and environment variables."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import NervecordError

# The variables that libraries read while they are imported.
_READ_ON_IMPORT = {"mujoco": "MUJOCO_GL", "matplotlib": "MPLBACKEND"}


class _LossyStream:
    """Standard error that ignores failed writes, so that a log on a full disk ends no training.

    A reader that has left ends the command, as it does for standard output.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _ignored():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with _ignored():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _ignored() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        pass


def open_streams() -> None:
    """Replace closed standard streams with the null device, and let open ones accept any character.

    Otherwise a file opened while stderr is closed would get its number, and receive the libraries' messages.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if not isinstance(sys.stderr, _LossyStream):
        sys.stderr = _LossyStream(sys.stderr)


def drop_output() -> None:
    """Discard output that could not be written, so that Python does not try again and report an error at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)


@contextlib.contextmanager
def no_renderer() -> Iterator[None]:
    """Let MuJoCo be imported whatever MUJOCO_GL is, for what draws nothing."""
    wanted = os.environ.get("MUJOCO_GL")
    os.environ["MUJOCO_GL"] = "disable"
    try:
        yield
    finally:
        del os.environ["MUJOCO_GL"]
        if wanted is not None:
            os.environ["MUJOCO_GL"] = wanted


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse arguments that cannot be decoded, such as file names in another encoding.

    Raises:
        NervecordError: an argument cannot be decoded; names the first.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            shown = argument.encode(errors="backslashreplace").decode()
            raise NervecordError(f"{shown} is not UTF-8; rename the file or folder, or give a link to it") from error


def variable_at_fault(error: BaseException | None) -> str | None:
    """Return in one line which environment variable made an import fail; None if none did."""
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            library = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
            name = _READ_ON_IMPORT.get(library, "")
            if trace.tb_frame.f_code.co_name == "<module>" and (value := os.environ.get(name)):
                reason = " ".join(str(error).partition(";")[0].split())
                return f"{name} is {value!r}, with which {library} cannot be imported ({reason}); unset {name}"
            trace = trace.tb_next
        error = error.__cause__
    return None
