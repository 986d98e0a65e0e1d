"""The command line: `nervecord COMMAND`; one line and exit status 2 for a user's mistake."""

from __future__ import annotations

import contextlib
import errno
import signal
import sys
from typing import Any

from ..errors import NervecordError
from ..files import json_text
from ..training.learning.stopping import signals_raise
from ..version import __version__
from .brick_commands import Bricks
from .nas_commands import Nas
from .parsing import parse
from .printing import text
from .result_commands import Export, Gallery, Import, Play, Probe, Record, Render, Report, Results
from .run_commands import Curriculum, Evaluate, Resume, Train, Transfer
from .study_commands import Ablate, Compare, Reproduce, Route, Sweep
from .surroundings import check_arguments, drop_output, open_streams, variable_at_fault
from .tool_commands import Bench, Demo, Doctor, Names
from .worm_commands import Worm

COMMANDS: dict[str, dict[str, type[Any]]] = {
    "Begin": {"demo": Demo, "list": Names, "doctor": Doctor},
    "Train": {"train": Train, "resume": Resume, "curriculum": Curriculum},
    "Measure": {
        "evaluate": Evaluate,
        "transfer": Transfer,
        "record": Record,
        "probe": Probe,
        "bricks": Bricks,
        "results": Results,
    },
    "Look": {"render": Render, "play": Play, "report": Report, "gallery": Gallery},
    "Study many runs": {
        "sweep": Sweep,
        "ablate": Ablate,
        "compare": Compare,
        "reproduce": Reproduce,
        "route": Route,
        "nas": Nas,
    },
    "Share": {"export": Export, "import": Import},
    "Compare with others": {"worm": Worm, "bench": Bench},
}

# A machine that fails in the middle, and no mistake in where to write.
_FAILING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(arguments: list[str] | None = None) -> None:
    """Run one command; exit 0, or 2 with one line for a mistake, or 128 + the signal that stopped it (Ctrl-C: 130).

    With --json a mistake is one object on stdout: {"error": {"kind", "message", "status"}}.
    """
    open_streams()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        try:
            _run(arguments)
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


def _run(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        print(__version__)
        return
    command: Any = None
    as_json = "--json" in arguments
    try:
        check_arguments(arguments)
        command = parse(COMMANDS, arguments)
        command.check()
        with signals_raise():
            result = command.run()
    except BrokenPipeError:
        raise
    except NervecordError as error:
        wrong = variable_at_fault(error) or str(error)
        sys.exit(_complain(type(error).__name__, wrong, 2, as_json))
    except OSError as error:
        if command is None and not error.filename:
            raise  # help that cannot be printed
        reason = str(error.strerror or error).splitlines()[0]
        if error.filename and error.errno not in _FAILING:
            sys.exit(_complain("OSError", f"cannot use {error.filename}: {reason}", 2, as_json))
        where = f": {error.filename}" if error.filename else ""
        lost = "no completed work was lost; run the same command again to continue"
        sys.exit(_complain("OSError", f"{reason}{where}; {lost}", 1, as_json))
    except KeyboardInterrupt as stopped:
        goes_on = "; run the same command again to continue" if command and command.goes_on else ""
        number = getattr(stopped, "signal", signal.SIGINT)
        how = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
        sys.exit(_complain("Interrupted", f"{how}{goes_on}", 128 + number, as_json))
    except Exception as error:
        if (variable := variable_at_fault(error)) is None:
            raise
        sys.exit(_complain("WrongEnvironment", variable, 2, as_json))
    print(json_text(result) if command.json else text(result))


def _complain(kind: str, line: str, status: int, as_json: bool) -> int:
    if as_json:
        print(json_text({"error": {"kind": kind, "message": line, "status": status}}))
        sys.stdout.flush()
        return status
    # After SIGHUP, the terminal is gone.
    with contextlib.suppress(OSError):
        print(f"nervecord: {line}", file=sys.stderr)
    return status
