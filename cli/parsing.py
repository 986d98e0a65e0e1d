"""Parse the command line; errors of the parser tyro become one line."""

from __future__ import annotations

import contextlib
import decimal
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import tyro

from ..errors import NervecordError, UnknownName

_THOUSANDS = {"k": 10**3, "K": 10**3, "M": 10**6}
_MOST_DIGITS = 28  # that Decimal keeps
_Made = TypeVar("_Made")


def _whole(text: str) -> int:
    times = _THOUSANDS.get(text[-1:], 1)
    with contextlib.suppress(ArithmeticError):
        # Decimal, so that no digit of a large number is lost; 1e1000000000 has too many to be written out.
        number = decimal.Decimal(text if times == 1 else text[:-1]) * times
        if number.is_finite() and number.adjusted() < _MOST_DIGITS and number == number.to_integral_value():
            return int(number)
    raise ValueError(f"{text!r}; give a whole number, such as 320000, 320k or 1e6")


Steps = Annotated[
    int,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda texts: _whole(texts[0]),
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""A number of steps, which may be written 1e6 or 320k."""


def parse(groups: Mapping[str, Mapping[str, Any]], arguments: Sequence[str]) -> Any:
    """Parse arguments into a command; print help and exit on --help or without arguments.

    Raises:
        NervecordError: the arguments are invalid.
    """
    commands = {name: kind for group in groups.values() for name, kind in group.items()}
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        print(_overview(groups))
        raise SystemExit(0)
    if name not in commands:
        raise UnknownName("command", name, commands)
    rest = list(arguments[1:])
    return parsed(commands[name].prepared(rest), rest, f"nervecord {name}")


def parsed(kind: Callable[..., _Made], arguments: Sequence[str], program: str) -> _Made:
    """Parse arguments into the options of a class or function and call it; print help and exit on --help.

    Args:
        kind: to be called; has annotations and a docstring.
        arguments: of the command line.
        program: its name, as it is typed.

    Raises:
        NervecordError: the arguments are invalid.
    """
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(kind, args=arguments, prog=program)
    except SystemExit as stop:
        if not stop.code:
            raise
        wrong = _in_one_line(told.getvalue())
        if re.match(r"unrecognized options: (?!-)", wrong) and (instead := getattr(kind, "too_many", "")):
            wrong = f"{wrong}; {instead}"
        raise NervecordError(f"{wrong} (see {program} --help)") from stop


def _overview(groups: Mapping[str, Mapping[str, Any]]) -> str:
    width = max(len(name) for group in groups.values() for name in group)
    lines = []
    for title, group in groups.items():
        lines += [f"{title}:"]
        lines += [f"  {name:<{width}}  {(kind.__doc__ or '').splitlines()[0]}" for name, kind in group.items()]
        lines += [""]
    return "\n".join([
        "usage: nervecord COMMAND [options]",
        "",
        "Neural-circuit policies for embodied control. Begin with: nervecord train",
        "",
        *lines,
        "nervecord COMMAND --help lists a command's options; nervecord --version prints the version.",
    ])  # fmt: skip


def _in_one_line(box: str) -> str:
    """Return what is wrong of tyro's box: its first paragraph, and the option or the commands that may be meant."""
    lines = re.sub(r"\x1b\[[\d;]*m", "", box).splitlines()
    # The title stands in the border, or above a rule where the terminal has no such characters.
    has_border = any(line.startswith("╭") for line in lines)
    rows = [line.strip("│ ") for line in lines if line[:1] not in ("╭", "╰")]
    parts = re.split(r"\s[─-]{4,}(?:\s|$)", " ".join(rows))[0 if has_border else 1 :]
    wrong, *more = (" ".join(part.split()).rstrip(".") for part in parts or [box])
    wrong = wrong[:1].lower() + wrong[1:].partition(". Got errors")[0]
    # What tyro says of an option that takes several values, such as of --joints 0,4.
    several = r"Could not find valid parse for arguments: \[(.*)\]$"
    wrong = re.sub(several, r"cannot read \1; give values with spaces between them", wrong)
    for part in more:
        if near := re.match(r"Perhaps you meant: (--[\w-]+)", part):
            return f"{wrong}; did you mean {near[1]}?"
        if part.startswith("Available"):
            return f"{wrong}; {part.lower()}"
    return wrong
