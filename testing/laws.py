"""What all checks share: a broken law is one line, and what is compared says how it differs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import ContractBroken, UnknownName
from ..registry import Registry


@dataclasses.dataclass(frozen=True)
class Laws:
    """The laws of one thing.

    Attributes:
        subject: what it is, such as "circuit follower".
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
        """Take any exception inside as a broken law.

        Raises:
            ContractBroken: there was one.
        """
        try:
            yield
        except ContractBroken:
            raise
        except Exception as error:
            # Whatever the code of another raises: that it raises is what was found.
            found = f"{type(error).__name__}: {error}"
            raise ContractBroken(self.subject, law, found, right) from error


@contextlib.contextmanager
def named(registry: Registry[Any], thing: Any, kind: str) -> Iterator[str]:
    """Yield the name of a registered thing, or one under which another is registered meanwhile.

    Args:
        registry: where `thing` belongs.
        thing: a name, or what an entry point of the registry's group would name.
        kind: what it is, in words ("circuit").

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
    """Say in words how values differ by more than a tolerance in their own units; an empty string where they do not."""
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
    """Return the place of the first true value, as an index."""
    first = np.argwhere(where)[0]
    return f"[{', '.join(str(int(index)) for index in first)}]" if len(first) else "its only value"
