"""Windows of training in which a sense is missing, for the study of critical periods."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from ..errors import InvalidTask, UnknownName
from ..options import Instance, Number, wrong_value
from .senses import Layout

_FORM = re.compile(r"(?P<sense>[^\[\]:]+)(\[(?P<index>\d+(,\d+)*)\])?:(?P<start>\d+):(?P<stop>\d*)")
_FIELDS = {
    "sense": Instance(str, "the name of a sense"),
    "start": Number(0, is_whole=True),
    "stop": Number(1, is_whole=True, also=(None,), none="leave it out"),
}
_INDEX = {"index": Number(0, is_whole=True)}


@dataclasses.dataclass(frozen=True)
class Deficit:
    """A sense that reads zero from environment step `start` up to and without `stop`, summed over environments.

    Attributes:
        sense: name of the sense.
        start, stop: environment steps; a stop of None is the end of training, however long it goes on.
        index: which of its values read zero, from 0: one, or several, each once; None means all of them.
    """

    sense: str
    start: int
    stop: int | None = None
    index: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if wrong := wrong_value(vars(self), _FIELDS):
            raise InvalidTask(f"deficit: {wrong}")
        for name in ("start", "stop"):
            # JSON cannot write NumPy's integers.
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, int(value))
        object.__setattr__(self, "index", _indices(self.index))
        if self.stop is not None and not 0 <= self.start < self.stop:
            raise InvalidTask(
                f"deficit {self.sense}:{self.start}:{self.stop} is empty; give SENSE:START:STOP in environment steps, "
                "such as joint_pos:100000:200000"
            )

    def __str__(self) -> str:
        index = "" if self.index is None else f"[{','.join(map(str, self.indices))}]"
        return f"{self.sense}{index}:{self.start}:{'' if self.stop is None else self.stop}"

    @property
    def indices(self) -> tuple[int, ...]:
        """Which of the sense's values read zero; empty means all of them."""
        if self.index is None:
            return ()
        return (self.index,) if isinstance(self.index, int) else self.index

    def is_on(self, step: int) -> bool:
        """Say whether the sense is missing at an environment step."""
        return self.start <= step and (self.stop is None or step < self.stop)

    @classmethod
    def of(cls, given: str | Mapping[str, Any] | Deficit) -> Deficit:
        """Return a deficit from a `Deficit`, from text in the form of `parse`, or from a table of its fields.

        Raises:
            InvalidTask, UnknownName: the text or table is not a deficit.
        """
        if isinstance(given, Deficit):
            return given
        if isinstance(given, str):
            return cls.parse(given)
        known = {field.name: field.default is dataclasses.MISSING for field in dataclasses.fields(cls)}
        for name in given:
            if name not in known:
                raise UnknownName("field of a deficit", str(name), known)
        if missing := [name for name, is_needed in known.items() if is_needed and name not in given]:
            raise InvalidTask(
                f"deficit {dict(given)!r} has no {missing[0]}; give sense and start, and perhaps stop and index"
            )
        return cls(**given)

    @classmethod
    def parse(cls, text: str) -> Deficit:
        """Read `SENSE:START:STOP` or `SENSE[INDEX,...]:START:STOP`; without a STOP, it lasts to the end of training.

        Raises:
            InvalidTask: the text does not have that form.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise InvalidTask(
                f"deficit {text!r} is not SENSE:START:STOP or SENSE[INDEX,...]:START:STOP, such as "
                "joint_pos:100000:200000, or joint_pos[1,3]:0: for all of training"
            )
        index = None if found["index"] is None else tuple(map(int, found["index"].split(",")))
        return cls(found["sense"], int(found["start"]), int(found["stop"]) if found["stop"] else None, index)


def _indices(index: Any) -> int | tuple[int, ...] | None:
    """Return one index, several, or None; a list of one is that one.

    Raises:
        InvalidTask: they are not whole numbers from 0, each once.
    """
    if index is None:
        return None
    several = index if isinstance(index, list | tuple) else [index]
    for each in several:
        if wrong := wrong_value({"index": each}, _INDEX):
            raise InvalidTask(f"deficit: {wrong}")
    if not several or len(set(several)) < len(several):
        raise InvalidTask(f"deficit: index is {index!r}; give each of the sense's values once, such as [1, 3]")
    return int(several[0]) if len(several) == 1 else tuple(map(int, several))


class Deficits:
    """The senses missing from an observation over the course of training.

    Args:
        layout: names of the observation's parts.
        deficits: the windows.

    Raises:
        UnknownName: the observation has no such sense.
        InvalidTask: the sense has no value of that index.
    """

    def __init__(self, layout: Layout, deficits: Sequence[Deficit]) -> None:
        self.layout, self.deficits = layout, tuple(deficits)
        self._windows: list[tuple[Int[np.ndarray, " missing"], Deficit]] = []
        for deficit in deficits:
            columns = np.arange(layout.size)[layout[deficit.sense]]
            if too_far := [index for index in deficit.indices if index >= len(columns)]:
                raise InvalidTask(
                    f"deficit {deficit.sense}[{too_far[0]}]: {deficit.sense} has {len(columns)} values; give 0 to "
                    f"{len(columns) - 1}"
                )
            self._windows.append((columns[list(deficit.indices)] if deficit.indices else columns, deficit))
        self._size = layout.size

    def on(self, layout: Layout) -> Deficits:
        """Return the same of another observation.

        Raises:
            UnknownName, InvalidTask: it has no such sense, or no value of that index.
        """
        return self if layout is self.layout else Deficits(layout, self.deficits)

    def are_steady(self, first: int, last: int) -> bool:
        """Say whether the same columns are missing at all environment steps from `first` up to and without `last`."""
        edges = (edge for _, deficit in self._windows for edge in (deficit.start, deficit.stop))
        return not any(edge is not None and first < edge < last for edge in edges)

    def missing(self, step: int) -> Bool[np.ndarray, " obs"] | None:
        """Return a mask of the columns missing at an environment step; None where no column is missing."""
        now = [columns for columns, deficit in self._windows if deficit.is_on(step)]
        if not now:
            return None
        missing = np.zeros(self._size, bool)
        for columns in now:
            missing[columns] = True
        return missing
