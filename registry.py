"""A name-to-object registry that also discovers entry points of other packages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib import metadata
from typing import Any, Generic, NamedTuple, TypeVar

from .errors import BrokenPlugin

Value = TypeVar("Value")


class Line(NamedTuple):
    """One of this package's own, imported when its name is first looked up.

    Attributes:
        where: "package.module:name", as in an entry point.
        doc: its line for listings, which then import nothing.
    """

    where: str
    doc: str


class Registry(MutableMapping[str, Value], Generic[Value]):
    """Things by name; an entry point of the registry's group is imported when its name is first looked up.

    What this package or the running process registers wins over an entry point of the same name.

    Args:
        group: of the entry points, such as "nervecord.bodies".
        held: what is known from the start.
        adopt: makes a value of what is registered, by an entry point, a line or in Python, called with it and its name;
            by default it is one.
        lines: what this package brings, to be imported when it is needed.
    """

    def __init__(
        self,
        group: str,
        held: dict[str, Value] | None = None,
        adopt: Callable[[Any, str], Value] | None = None,
        lines: Mapping[str, Line] | None = None,
    ) -> None:
        self.group = group
        self._held = dict(held or {})
        self._adopt = adopt
        self._lines = dict(lines or {})
        self._given: set[str] = set()  # in this process, and so not what a line of this package's says
        self._entry_points: dict[str, metadata.EntryPoint] | None = None

    def __getitem__(self, name: str) -> Value:
        """Return the value of that name.

        Raises:
            KeyError: no such name.
            BrokenPlugin: its entry point cannot be imported, or does not hold what it should.
        """
        if name not in self._held:
            point = self._found()[name]
            try:
                value = point.load()
                self._held[name] = self._adopt(value, name) if self._adopt else value
            except Exception as error:
                # Whatever another package does on import is its own fault, and none of the rest's.
                owner = point.dist.name if point.dist else "nervecord" if name in self._lines else "an unknown package"
                reason = str(error).splitlines()[0] if str(error) else "no reason given"
                raise BrokenPlugin(
                    f"{name!r} of {self.group} ({point.value} in {owner}) cannot be used: "
                    f"{type(error).__name__}: {reason}; update or uninstall {owner}"
                ) from error
        return self._held[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._held or name in self._found())

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self._lines, *self._held, *self._found()))

    def __len__(self) -> int:
        return len(set(self))

    def __setitem__(self, name: str, value: Value) -> None:
        self._held[name] = self._adopt(value, name) if self._adopt else value
        self._given.add(name)

    def __delitem__(self, name: str) -> None:
        del self._held[name]
        self._given.discard(name)

    @contextlib.contextmanager
    def holding(self, name: str, value: Any) -> Iterator[None]:
        """Hold for a while what an entry point of that name would name; what had the name before has it again after.

        Raises:
            Exception: what the registry says of a value that is not of its kind.
        """
        before = self._held.get(name)
        self._held[name] = self._adopt(value, name) if self._adopt else value
        try:
            yield
        finally:
            del self._held[name]
            if before is not None:
                self._held[name] = before

    def docs(self, doc: Callable[[Value], str]) -> dict[str, str]:
        """Return every name with its line for listings; of one that is broken, why."""
        found = {}
        for name in self:
            if name in self._lines and name not in self._given:
                found[name] = self._lines[name].doc
                continue
            try:
                found[name] = doc(self[name])
            except BrokenPlugin as error:
                found[name] = str(error)
        return found

    def working(self) -> dict[str, Value]:
        """Return what can be used; leave out broken entry points."""
        found = {}
        for name in self:
            try:
                found[name] = self[name]
            except BrokenPlugin:
                continue
        return found

    def _found(self) -> dict[str, metadata.EntryPoint]:
        if self._entry_points is None:
            self._entry_points = {point.name: point for point in metadata.entry_points(group=self.group)}
            for name, line in self._lines.items():
                self._entry_points[name] = metadata.EntryPoint(name, line.where, self.group)
        return self._entry_points
