"""What follows from weights alone, computed once where many control steps are run with the same weights."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from torch import nn

_Found = TypeVar("_Found")
_KEPT = "_kept_while_held"  # in the dictionary of an instance, past what torch does with a module's attributes


@contextlib.contextmanager
def weights_held(*agents: object) -> Iterator[None]:
    """Promise that no weight changes inside the block, so that what is `of_weights` is computed once.

    Rollouts do, between two updates. Outside such a block nothing is kept in a circuit.

    Args:
        agents: modules with circuits among theirs; what is none, such as a model of SB3's, is passed over.
    """
    inside = [each for agent in agents if isinstance(agent, nn.Module) for each in agent.modules()]
    before = [each.__dict__.get(_KEPT) for each in inside]
    for each in inside:
        each.__dict__[_KEPT] = {}
    try:
        yield
    finally:
        for each, kept in zip(inside, before, strict=True):
            each.__dict__[_KEPT] = kept


def of_weights(method: Callable[[Any], _Found]) -> Callable[[Any], _Found]:
    """Let a method of a module that takes no arguments and depends on weights alone run once while they are held."""

    @functools.wraps(method)
    def held(self: nn.Module) -> _Found:
        kept = self.__dict__.get(_KEPT)
        if kept is None:
            return method(self)
        if method not in kept:
            kept[method] = method(self)
        found: _Found = kept[method]
        return found

    return held
