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
from .parsing import parse
from .result_commands import (
    Bench,
    Demo,
    Doctor,
    Export,
    Gallery,
    Import,
    Names,
    Play,
    Probe,
    Record,
    Render,
    Report,
    Results,
)
from .run_commands import Curriculum, Evaluate, Resume, Train, Transfer
from .study_commands import Ablate, Compare, Reproduce, Sweep
from .worm_commands import Worm

COMMANDS: tuple[type[Any], ...] = (
    Train, Resume, Evaluate, Transfer, Ablate, Sweep, Compare, Reproduce, Curriculum, Record, Probe, Render, Play,
    Results, Report, Gallery, Export, Import, Demo, Bench, Names, Worm, Doctor,
)  # fmt: skip

# A machine that fails in the middle, and no mistake in where to write.
_FAILING = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def main(arguments: list[str] | None = None) -> None:
    """Run one command; exit 0, or 2 with one line for a mistake, or 128 + the signal that stopped it (Ctrl-C: 130)."""
    commands = {kind.__name__.lower(): kind for kind in COMMANDS}
    # A class called List would hide the type.
    commands["list"] = commands.pop("names")
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments == ["--version"]:
        print(__version__)
        return
    command: Any = None
    try:
        command = parse(commands, arguments)
        with signals_raise():
            result = command.run()
    except NervecordError as error:
        sys.exit(_complain(str(error), 2))
    except OSError as error:
        reason = str(error.strerror or error).splitlines()[0]
        if error.filename and error.errno not in _FAILING:
            sys.exit(_complain(f"cannot use {error.filename}: {reason}", 2))
        where = f": {error.filename}" if error.filename else ""
        sys.exit(_complain(f"{reason}{where}; no completed work was lost; run the same command again to continue", 1))
    except KeyboardInterrupt as stopped:
        goes_on = "; run the same command again to continue" if command and command.goes_on else ""
        number = getattr(stopped, "signal", signal.SIGINT)
        how = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
        sys.exit(_complain(f"{how}{goes_on}", 128 + number))
    print(json_text(result) if command.json else _text(result))


# How empty values are printed.
_WORDS = {"None": "", "[]": "none"}


def _complain(line: str, status: int) -> int:
    # After SIGHUP, the terminal is gone.
    with contextlib.suppress(OSError):
        print(f"nervecord: {line}", file=sys.stderr)
    return status


def _text(value: Any, indent: str = "") -> str:
    if not isinstance(value, dict):
        return f"{indent}{value}"
    width = max((len(str(key)) for key in value), default=0)
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and not item:
            continue
        if isinstance(item, dict):
            lines += [f"{indent}{key}", _text(item, indent + "  ")]
        elif isinstance(item, list) and len(item) > 1:
            lines += [f"{indent}{key}", *(f"{indent}  {line}" for line in item)]
        else:
            shown = item[0] if isinstance(item, list) and item else item
            lines.append(f"{indent}{key:<{width}}  {_WORDS.get(str(shown), shown)}".rstrip())
    return "\n".join(lines)
