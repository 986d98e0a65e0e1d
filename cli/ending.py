"""How a program ends: one line and an exit status for a mistake, for a machine that fails, and for a signal."""

from __future__ import annotations

import contextlib
import errno
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple

from ..errors import NervecordError
from ..files import json_text
from ..training.learning.stopping import signals_raise
from .surroundings import drop_output, open_streams, variable_at_fault

# A machine that fails in the middle, and no mistake in where to write.
_FAILING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Program(NamedTuple):
    """What a command line asks for.

    Attributes:
        run: does it, and returns what is left to print, if anything is.
        goes_on: whether the same command, given again, goes on from where this one was interrupted.
    """

    run: Callable[[], str | None]
    goes_on: bool = False


def run_to_end(parse: Callable[[], Program], as_json: bool = False) -> None:
    """Run a program; exit 0, or 2 with one line for a mistake, or 128 + the signal that stopped it (Ctrl-C: 130).

    Args:
        parse: returns the program, or prints help and exits.
        as_json: a mistake is one object on stdout: {"error": {"kind", "message", "status"}}.
    """
    open_streams()
    try:
        try:
            _run(parse, as_json)
        finally:
            # Help leaves by an exit, and what it has printed may still be in Python's hands.
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has left, as head does, and needs no words; Windows has no name for the number.
        drop_output()
        sys.exit(128 + getattr(signal, "SIGPIPE", 13))
    except OSError as error:
        _complain("OSError", f"cannot write to standard output: {error.strerror or error}", 1, as_json=False)
        drop_output()
        sys.exit(1)


def _run(parse: Callable[[], Program], as_json: bool) -> None:
    program = None
    try:
        program = parse()
        with signals_raise():
            left = program.run()
    except BrokenPipeError:
        raise
    except NervecordError as error:
        wrong = variable_at_fault(error) or str(error)
        sys.exit(_complain(type(error).__name__, wrong, 2, as_json))
    except OSError as error:
        if program is None and not error.filename:
            raise  # help that cannot be printed
        reason = str(error.strerror or error).splitlines()[0]
        if error.filename and error.errno not in _FAILING:
            sys.exit(_complain("OSError", f"cannot use {error.filename}: {reason}", 2, as_json))
        where = f": {error.filename}" if error.filename else ""
        lost = "no completed work was lost; run the same command again to continue"
        sys.exit(_complain("OSError", f"{reason}{where}; {lost}", 1, as_json))
    except KeyboardInterrupt as stopped:
        goes_on = "; run the same command again to continue" if program and program.goes_on else ""
        number = getattr(stopped, "signal", signal.SIGINT)
        how = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
        sys.exit(_complain("Interrupted", f"{how}{goes_on}", 128 + number, as_json))
    except Exception as error:
        if (variable := variable_at_fault(error)) is None:
            raise
        sys.exit(_complain("WrongEnvironment", variable, 2, as_json))
    if left is not None:
        print(left)


def _complain(kind: str, line: str, status: int, as_json: bool) -> int:
    if as_json:
        print(json_text({"error": {"kind": kind, "message": line, "status": status}}))
        sys.stdout.flush()
        return status
    # After SIGHUP, the terminal is gone.
    with contextlib.suppress(OSError):
        print(f"nervecord: {line}", file=sys.stderr)
    return status
