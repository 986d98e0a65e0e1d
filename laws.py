"""Functions of all checks of plug-ins: a broken law is raised as one line, with the difference of compared values."""

from __future__ import annotations

import contextlib
import dataclasses
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from .errors import ContractBroken, NervecordError, UnknownName
from .registry import Registry


@dataclasses.dataclass(frozen=True)
class Laws:
    """The laws of one checked object.

    Attributes:
        subject: the object in words, such as "circuit follower".
    """

    subject: str

    def hold(self, law: str, holds: Any, found: str, right: str) -> None:
        """Raise where a law does not hold.

        Raises:
            ContractBroken: it does not.
        """
        if not holds:
            raise ContractBroken(self.subject, law, found, right)

    def alike(self, law: str, found: Any, expected: Any, right: str, within: float = 0.0, what: str = "") -> None:
        """Raise where values differ by more than a tolerance, in the values' own units; NaN equals NaN.

        Raises:
            ContractBroken: they do.
        """
        if differs := difference(found, expected, within):
            raise ContractBroken(self.subject, law, f"{what} {differs}", right)

    @contextlib.contextmanager
    def asking(self, law: str, right: str) -> Iterator[None]:
        """Turn any exception inside the block into a broken law.

        Raises:
            ContractBroken: there was one.
        """
        try:
            yield
        except ContractBroken:
            raise
        except Exception as error:
            # Any exception of the checked code is the fault to report.
            raise ContractBroken(self.subject, law, raised(error), right) from error


def raised(error: Exception) -> str:
    """Return what an exception of a plug-in's code says in one line, and the last line of that code that it passed."""
    reason = " ".join(str(error).split()) or "no reason given"
    found = reason if isinstance(error, NervecordError) else f"{type(error).__name__}: {reason}"
    places = [
        f" ({Path(frame.f_code.co_filename).name}:{line})"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] not in (__package__, "torch")
    ]
    return found + (places[-1] if places else "")


@contextlib.contextmanager
def named(registry: Registry[Any], thing: Any, kind: str) -> Iterator[str]:
    """Yield a registered name as it is; register another object under a name for the duration of the block.

    Args:
        registry: the registry of `thing`.
        thing: a name, or the object of an entry point of the registry's group.
        kind: the kind of object, in words ("circuit").

    Raises:
        UnknownName: there is no such name.
        ContractBroken: it is not what the registry holds.
    """
    if isinstance(thing, str):
        if thing not in registry:
            raise UnknownName(kind, thing, registry)
        yield thing
        return
    name = getattr(thing, "__name__", type(thing).__name__)
    with contextlib.ExitStack() as stack:
        with Laws(f"{kind} {name}").asking(
            f"an entry point of {registry.group} names it", "see docs/guides for what one names"
        ):
            stack.enter_context(registry.holding(name, thing))
        yield name


def difference(found: Any, expected: Any, within: float = 0.0) -> str:
    """Describe how values differ by more than a tolerance, in their own units; an empty string if they do not."""
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping) or found.keys() != expected.keys():
            there = sorted(map(str, found)) if isinstance(found, Mapping) else found
            return f"holds {there} where {sorted(map(str, expected))} is expected"
        for name, value in expected.items():
            if differs := difference(found[name], value, within):
                return f"{name} {differs}"
        return ""
    if isinstance(expected, list | tuple):
        if len(found) != len(expected):
            return f"holds {len(found)} values where {len(expected)} are expected"
        pairs = zip(found, expected, strict=True)
        return next((differs for one, other in pairs if (differs := difference(one, other, within))), "")
    if not isinstance(expected, Tensor | np.ndarray | float | np.generic):
        return "" if found == expected else f"is {found!r} where {expected!r} is expected"
    one, other = _array(found), _array(expected)
    if one.shape != other.shape:
        return f"is of shape {one.shape} where {other.shape} is expected"
    if one.dtype.kind not in "fc" or not one.size:
        same = np.array_equal(one, other)
        return "" if same else f"is {one.tolist()!s:.60} where {other.tolist()!s:.60} is expected"
    lost = np.isnan(one) != np.isnan(other)
    if lost.any():
        return f"is {'not a number' if np.isnan(one[lost]).all() else 'a number'} at {_place(lost)}"
    with np.errstate(invalid="ignore"):
        apart = np.where((one == other) | np.isnan(one), 0.0, np.abs(one - other))
    if apart.max() <= within:
        return ""
    return f"differs by {apart.max():.3g} at {_place(apart == apart.max())}"


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _place(where: np.ndarray) -> str:
    """Return the index of the first true value, in words."""
    first = np.argwhere(where)[0]
    return f"[{', '.join(str(int(index)) for index in first)}]" if len(first) else "its only value"
