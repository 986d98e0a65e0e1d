"""Allowed values of options, declared with the option and checked before any work starts."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_MOST_BITS = 63
_MOST_SINGLE = 3.4e38  # largest value in single precision, which weights, rewards and observations have


@dataclasses.dataclass(frozen=True)
class Number:
    """A number in a range.

    Attributes:
        low, high: bounds of the range.
        is_whole: whether only integers are allowed.
        above: whether `low` itself is excluded.
        also: further allowed values, such as None.
        none: how a user writes None.
    """

    low: float
    high: float = math.inf
    is_whole: bool = False
    above: bool = False
    also: tuple[Any, ...] = ()
    none: str = "null"

    def takes(self, value: Any) -> bool:
        """Return whether a value is one of these."""
        if any(value is other or (isinstance(other, str) and value == other) for other in self.also):
            return True
        # A bool is an int to Python, and a mistake where a number is meant.
        is_number = isinstance(value, numbers.Integral if self.is_whole else numbers.Real)
        if not is_number or isinstance(value, bool) or not _is_held(value):
            return False
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        what = "a whole number" if self.is_whole else "a number"
        low = f" above {self.low:g}" if self.above else f" from {self.low:g}"
        bounds = low if self.above else f", {self.low:g} or more"
        if self.high < math.inf:
            bounds = f"{low} to {self.high:.10g}"
        others = "".join(f", or {other or self.none}" for other in self.also)
        return f"{what}{bounds}{others}"


@dataclasses.dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    values: tuple[Any, ...]

    def takes(self, value: Any) -> bool:
        """Return whether a value is one of these."""
        return any(type(value) is type(known) and value == known for known in self.values)

    def __str__(self) -> str:
        return " or ".join({None: "null", True: "true", False: "false"}.get(value, str(value)) for value in self.values)


@dataclasses.dataclass(frozen=True)
class Instance:
    """A value of one of a few types.

    Attributes:
        types: the Python types.
        words: a description of the value for users, with an example.
    """

    types: type | tuple[type, ...]
    words: str

    def takes(self, value: Any) -> bool:
        """Return whether a value is one of these."""
        return isinstance(value, self.types)

    def __str__(self) -> str:
        return self.words


@dataclasses.dataclass(frozen=True)
class OfType:
    """A value of an annotated type: numbers, text, choices, and lists of them; other annotations allow any value."""

    annotation: Any

    def takes(self, value: Any) -> bool:
        """Return whether a value is one of these."""
        return _is_of(value, self.annotation)

    def __str__(self) -> str:
        return _type_in_words(self.annotation)


@dataclasses.dataclass(frozen=True)
class ListOf:
    """Any number of values of one sort.

    Attributes:
        item: the values allowed in the list.
        example: an example, as a user writes it.
    """

    item: Number | Instance | OneOf
    example: str = "[64,64]"

    def takes(self, value: Any) -> bool:
        """Return whether a value is one of these."""
        return isinstance(value, list | tuple) and all(map(self.item.takes, value))

    def __str__(self) -> str:
        return f"a list, such as {self.example}, each {self.item}"


Allowed = Number | OneOf | Instance | OfType | ListOf


FLAG = OneOf((True, False))
COUNT = Number(1, is_whole=True)
PATH = Instance((str, os.PathLike), "a path")
PATH_OR_NONE = Instance((str, os.PathLike, NoneType), "a path, or leave it out")
DEVICE = Instance(str, "a device as torch names it, such as cpu or cuda:0")
TEXT_OR_NONE = Instance((str, NoneType), "text, or leave it out")


def checked(
    error: type[Exception], **allowed: Allowed
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Make a function refuse arguments that are not allowed, before anything else.

        @checked(InvalidOption, episodes=COUNT)
        def evaluate(run, episodes=20): ...

    Args:
        error: what is raised, with the line of `wrong_value`.
        allowed: what an argument may be, by its name; the others may be anything.
    """

    def wrap(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        signature = inspect.signature(function)
        if unknown := allowed.keys() - signature.parameters.keys():
            raise TypeError(f"{function.__qualname__} takes no {', '.join(unknown)}")

        @functools.wraps(function)
        def door(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            if wrong := wrong_value(signature.bind(*args, **kwargs).arguments, allowed):
                raise error(wrong)
            return function(*args, **kwargs)

        return door

    return wrap


def option(default: Any, allowed: Allowed) -> Any:
    """Return a dataclass field with a default and its allowed values, which `allowed_values` reads."""
    return dataclasses.field(default=default, metadata={"allowed": allowed})


def allowed_values(kind: Any) -> dict[str, Allowed]:
    """Return the allowed values of each `option` of a dataclass, by name."""
    return {each.name: each.metadata["allowed"] for each in dataclasses.fields(kind) if "allowed" in each.metadata}


def wrong_value(values: Mapping[str, Any], allowed: Mapping[str, Any]) -> str | None:
    """Return an error message for the first value that is not allowed, with the right values; None if all are."""
    for name, value in values.items():
        if name in allowed and not allowed[name].takes(value):
            return f"{name} is {told(value)}{_too_large(value)}; give {allowed[name]}"
    return None


def not_plain(name: str, value: Any) -> str | None:
    """Return an error message for the first part of a value that JSON or single precision cannot represent, or None."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                return f"{name} has the key {told(key)}; give keys that are text"
            if wrong := not_plain(f"{name} {key}", item):
                return wrong
        return None
    if isinstance(value, list | tuple):
        return next((wrong for item in value if (wrong := not_plain(name, item))), None)
    if value is None or isinstance(value, bool | str):
        return None
    if isinstance(value, int | float):
        return None if _is_held(value) else f"{name} is {told(value)}{_too_large(value)}; give a finite number"
    return f"{name} is {told(value)}; give text, a number, true or false, or a list or table of them"


def plain(value: Any) -> Any:
    """Return a value with NumPy's numbers and arrays as Python's, and paths as text."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.tolist() if hasattr(value, "tolist") else value


def told(value: Any) -> str:
    """Return a value as one short line for error messages."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python writes no whole number of more than 4300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 120 else f"{text[:60]}...{text[-20:]}"


def up_to(most: int) -> str:
    """Return the range of whole numbers from 1 for error messages: "1", or "1 to 8"."""
    return "1" if most <= 1 else f"1 to {most}"


def _is_held(number: Any) -> bool:
    """Return whether an integer fits 64 bits, or another number single precision; False for NaN and infinity."""
    if isinstance(number, numbers.Integral):
        return -(2**_MOST_BITS) <= number < 2**_MOST_BITS
    return bool(abs(number) <= _MOST_SINGLE)


def _too_large(value: Any) -> str:
    if not isinstance(value, numbers.Real) or _is_held(value):
        return ""
    if isinstance(value, numbers.Integral):
        return ", too large for 64 bits"
    return ", too large for single precision" if math.isfinite(value) else ""


def _is_of(value: Any, annotation: Any) -> bool:
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in arguments)
    if origin in (Union, UnionType):
        return any(_is_of(value, each) for each in arguments)
    if origin is Mapping or origin is dict:
        return isinstance(value, Mapping)
    if origin in (Sequence, list, tuple):
        if not isinstance(value, list | tuple):
            return False
        if origin is tuple and arguments and arguments[-1] is not ...:
            return len(value) == len(arguments) and all(map(_is_of, value, arguments))
        return not arguments or all(_is_of(item, arguments[0]) for item in value)
    # A bool is an int to Python, and a mistake where a number is meant.
    if origin in (int, float):
        return isinstance(value, origin | int) and not isinstance(value, bool) and _is_held(value)
    if origin in (bool, str, None, type(None)):
        return isinstance(value, origin or type(None))
    return True


def _type_in_words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin in (Sequence, list) and arguments:
        return f"a list of {_type_in_words(arguments[0])}, such as [8,8]"
    if origin in (Sequence, list, tuple) and not arguments:
        return "a list"
    if annotation is bool:
        return str(FLAG)
    return inspect.formatannotation(annotation)
