"""Errors that a user's input can cause; each message is one line: what was wrong, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from .options import told


class NervecordError(Exception):
    """Base of every error that a user's input can cause; the command line prints it and exits 2."""


class UnknownName(NervecordError, LookupError):
    """An unknown name, with the closest known ones.

    Args:
        kind: kind of name, in words ("body", "circuit").
        name: the unknown name.
        known: names that exist; the closest are shown first.
        hint: how to add a new name.
    """

    def __init__(self, kind: str, name: Any, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
        ordered = near + [item for item in known if item not in near]
        guess = f"did you mean {near[0]!r}? " if near else ""
        added = f"; {hint}" if hint else ""
        super().__init__(f"unknown {kind} {told(name)}; {guess}known: {', '.join(ordered)}{added}")


class InvalidOption(NervecordError, ValueError):
    """An option or argument that is out of range, of the wrong type, or incompatible with another one."""


class InvalidBody(NervecordError, ValueError):
    """A body that cannot be built: a field out of range, or XML that is not a planar tree of hinges."""


class InvalidArena(NervecordError, ValueError):
    """An invalid arena, such as a medium of negative density or an unknown argument."""


class InvalidTask(NervecordError, ValueError):
    """A task argument that is out of range or does not fit the body."""


class InvalidArgument(InvalidTask, TypeError):
    """A keyword that neither the task nor the environment takes, or an argument of the wrong type.

    It is also a TypeError, worded as Python's own, because libraries use that to find out which keywords are accepted.
    """


class InvalidAction(NervecordError, ValueError):
    """Actions of the wrong shape, or not finite."""


class NotReady(NervecordError):
    """Environments that are closed, or stepped before their first reset."""


class CircuitMismatch(NervecordError):
    """A circuit, weights or state that do not fit the body, the batch or the options they are used with."""


class InvalidRun(NervecordError):
    """A folder or file that is not a run, or a run that is incomplete, damaged, in use, or of another version or
    config."""


class WorkersLost(NervecordError, RuntimeError):
    """Worker processes that could not start, or that died more often than they are restarted."""


class Unreachable(NervecordError, ConnectionError):
    """A service that does not answer, such as a Ray cluster or a model hub."""


class TrainingDiverged(NervecordError):
    """A loss, a gradient, weights or all motor commands of a training are not finite."""


class InvalidRecording(NervecordError):
    """A recording that cannot be read, or is too short, constant or not finite for a probe."""


class InvalidFilm(NervecordError, ValueError):
    """A film that cannot be made: its size, rate or speed is out of range, or there is nothing to draw."""


class OutputExists(NervecordError):
    """A file or folder that already exists; it is not overwritten."""


class BrokenPlugin(NervecordError):
    """A plug-in's entry point that cannot be imported or is of the wrong type."""


class MissingDependency(NervecordError, ImportError):
    """A missing library, system package or encoder; the message has the install command."""


class ContractBroken(NervecordError, AssertionError):
    """A plug-in that breaks its contract; raised by `nervecord.testing`, and where a user's own circuit is built.

    Args:
        subject: the plug-in, such as "circuit follower".
        law: the requirement of the contract, as a claim.
        found: what was found instead.
        right: how to fix it.
    """

    def __init__(self, subject: str, law: str, found: str, right: str) -> None:
        found = " ".join(found.split())
        super().__init__(f'{subject} breaks "{law}": {found}; {right}')
