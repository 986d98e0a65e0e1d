"""Weights that are held, so that what follows from them is computed once; and weights that are yet to come."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

from torch import nn

_Found = TypeVar("_Found")
# What is kept for each module whose weights are held: by the method that found it.
_HELD: ContextVar[Mapping[nn.Module, dict[Any, Any]]] = ContextVar("weights held", default=MappingProxyType({}))
_TO_COME: ContextVar[bool] = ContextVar("weights to come", default=False)


@contextlib.contextmanager
def weights_held(*agents: object) -> Iterator[None]:
    """Promise that no weight changes inside the block, so that what is `of_weights` is computed once.

    Rollouts do, between two updates. Nothing is kept in a circuit itself, nor after the block.

    Args:
        agents: modules with circuits among theirs; what is none, such as a model of SB3's, is passed over.
    """
    inside = [each for agent in agents if isinstance(agent, nn.Module) for each in agent.modules()]
    token = _HELD.set({**_HELD.get(), **{each: {} for each in inside}})
    try:
        yield
    finally:
        _HELD.reset(token)


def of_weights(method: Callable[[Any], _Found]) -> Callable[[Any], _Found]:
    """Let a method of a module that takes no arguments and depends on weights alone run once while they are held."""

    @functools.wraps(method)
    def held(self: nn.Module) -> _Found:
        kept = _HELD.get().get(self)
        if kept is None:
            return method(self)
        if method not in kept:
            kept[method] = method(self)
        found: _Found = kept[method]
        return found

    return held


@contextlib.contextmanager
def weights_to_come() -> Iterator[None]:
    """Say that circuits built inside the block are given their weights and buffers afterwards, as saved ones are."""
    token = _TO_COME.set(True)
    try:
        yield
    finally:
        _TO_COME.reset(token)


def are_weights_to_come() -> bool:
    """Whether a circuit that is built now need not take time to find its weights."""
    return _TO_COME.get()
