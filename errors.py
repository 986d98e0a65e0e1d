"""What a user can get wrong, each as one line that says what was wrong and what would be right."""

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
        kind: what was looked up, in words ("body", "circuit").
        name: the name that was asked for.
        known: the names that exist; the nearest are shown first.
        hint: how one adds a name of one's own.
    """

    def __init__(self, kind: str, name: Any, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
        ordered = near + [item for item in known if item not in near]
        guess = f"did you mean {near[0]!r}? " if near else ""
        added = f"; {hint}" if hint else ""
        super().__init__(f"unknown {kind} {told(name)}; {guess}known: {', '.join(ordered)}{added}")


class InvalidOption(NervecordError, ValueError):
    """An option or argument that is out of range, of another type, or does not go with another one."""


class InvalidBody(NervecordError, ValueError):
    """A body that cannot be built: a field out of range, or XML that is no chain of hinges."""


class InvalidArena(NervecordError, ValueError):
    """An impossible arena, such as a medium of negative density, or an argument that it does not take."""


class InvalidTask(NervecordError, ValueError):
    """A task argument that is out of range or does not fit the body."""


class InvalidArgument(InvalidTask, TypeError):
    """A keyword that neither task nor environment takes, or an argument of another type.

    Libraries find out by TypeError, and by Python's own words, which keywords an environment takes.
    """


class InvalidAction(NervecordError, ValueError):
    """Actions of the wrong shape, or with NaN in them."""


class NotReady(NervecordError):
    """Environments that are closed, or that are stepped before their first reset."""


class CircuitMismatch(NervecordError):
    """A circuit, its weights or its state that do not fit the body or the batch they are used with."""


class InvalidRun(NervecordError):
    """What lies on disk is no run, or an incomplete, damaged or locked one, of another version or configuration."""


class WorkersLost(NervecordError, RuntimeError):
    """Worker processes that could not start, or that died more often than they are started again."""


class Unreachable(NervecordError, ConnectionError):
    """A service that does not answer, such as a Ray cluster or a model hub."""


class TrainingDiverged(NervecordError):
    """A loss or gradient is not finite."""


class InvalidRecording(NervecordError):
    """A recording that is too short, constant or not finite for what a probe needs."""


class InvalidFilm(NervecordError, ValueError):
    """A film that cannot be made as it is asked for: a size, a rate or a speed out of range, or nothing to draw."""


class OutputExists(NervecordError):
    """A file that would be overwritten; nothing is."""


class BrokenPlugin(NervecordError):
    """A plug-in's entry point that cannot be imported or is of the wrong type."""


class MissingDependency(NervecordError, ImportError):
    """A missing library, system package or encoder; the message has the install command."""


class ContractBroken(NervecordError, AssertionError):
    """A plug-in does not do what its contract asks; `nervecord.testing` raises it.

    Args:
        subject: whose it is, such as "circuit follower".
        law: what the contract asks, as a claim.
        found: what is so instead.
        right: what to do about it.
    """

    def __init__(self, subject: str, law: str, found: str, right: str) -> None:
        found = " ".join(found.split())
        super().__init__(f'{subject} breaks "{law}": {found}; {right}')
