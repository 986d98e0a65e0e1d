"""A name-to-object registry that also discovers entry points of other packages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib import metadata
from typing import Any, Generic, NamedTuple, TypeVar

from .errors import BrokenPlugin

Value = TypeVar("Value")


class Line(NamedTuple):
    """A built-in entry of a registry, imported when its name is first looked up.

    Attributes:
        where: "package.module:name", as in an entry point.
        doc: one line for listings, which need no import.
    """

    where: str
    doc: str


class Registry(MutableMapping[str, Value], Generic[Value]):
    """A mapping from names to objects, including entry points of other packages, which are imported on first use.

    Names registered by this package or in the running process take precedence over entry points.

    Args:
        group: group of the entry points, such as "nervecord.bodies".
        held: initial entries.
        adopt: function that converts a registered object, given the object and its name, to a value of the registry;
            by default the object itself.
        lines: built-in entries, imported on first use.
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
        """Return the value of a name.

        Raises:
            KeyError: there is no such name.
            BrokenPlugin: its entry point cannot be imported, or is of the wrong type.
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
        """Register an object temporarily, as an entry point of that name would; the previous entry is restored on exit.

        Raises:
            Exception: the error of `adopt` for an object of the wrong kind.
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
        """Return every name with one line for listings; for a broken plug-in, its error message."""
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
        """Return all entries except broken plug-ins."""
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
