"""Windows of training in which a sense is missing, for the study of critical periods."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from ..errors import InvalidTask, UnknownName
from ..options import Instance, Number, wrong_value
from .senses import Layout

_FORM = re.compile(r"(?P<sense>[^\[\]:]+)(\[(?P<index>\d+)\])?:(?P<start>\d+):(?P<stop>\d+)")
_FIELDS = {
    "sense": Instance(str, "the name of a sense"),
    "start": Number(0, is_whole=True),
    "stop": Number(1, is_whole=True),
    "index": Number(0, is_whole=True, also=(None,)),
}


@dataclasses.dataclass(frozen=True)
class Deficit:
    """A sense that reads zero from environment step `start` up to and without `stop`, summed over environments.

    Attributes:
        sense: name of the sense.
        start, stop: environment steps.
        index: which of its values reads zero, from 0; None means all of them.
    """

    sense: str
    start: int
    stop: int
    index: int | None = None

    def __post_init__(self) -> None:
        if wrong := wrong_value(vars(self), _FIELDS):
            raise InvalidTask(f"deficit: {wrong}")
        for name in ("start", "stop", "index"):
            # JSON cannot write NumPy's integers.
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, int(value))
        if not 0 <= self.start < self.stop:
            raise InvalidTask(
                f"deficit {self.sense}:{self.start}:{self.stop} is empty; give SENSE:START:STOP in environment steps, "
                "such as joint_pos:100000:200000"
            )

    def __str__(self) -> str:
        index = "" if self.index is None else f"[{self.index}]"
        return f"{self.sense}{index}:{self.start}:{self.stop}"

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
                f"deficit {dict(given)!r} has no {missing[0]}; give sense, start and stop, and perhaps index"
            )
        return cls(**given)

    @classmethod
    def parse(cls, text: str) -> Deficit:
        """Read `SENSE:START:STOP` or `SENSE[INDEX]:START:STOP`.

        Raises:
            InvalidTask: the text does not have that form.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise InvalidTask(
                f"deficit {text!r} is not SENSE:START:STOP or SENSE[INDEX]:START:STOP, such as joint_pos:100000:200000"
            )
        index = None if found["index"] is None else int(found["index"])
        return cls(found["sense"], int(found["start"]), int(found["stop"]), index)


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
        self._windows: list[tuple[slice, Deficit]] = []
        for deficit in deficits:
            columns = layout[deficit.sense]
            if deficit.index is not None:
                if deficit.index >= layout.sizes[deficit.sense]:
                    raise InvalidTask(
                        f"deficit {deficit.sense}[{deficit.index}]: {deficit.sense} has "
                        f"{layout.sizes[deficit.sense]} values; give 0 to {layout.sizes[deficit.sense] - 1}"
                    )
                columns = slice(columns.start + deficit.index, columns.start + deficit.index + 1)
            self._windows.append((columns, deficit))
        self._size = layout.size

    def on(self, layout: Layout) -> Deficits:
        """Return the same of another observation.

        Raises:
            UnknownName, InvalidTask: it has no such sense, or no value of that index.
        """
        return self if layout is self.layout else Deficits(layout, self.deficits)

    def missing(self, step: int) -> Bool[np.ndarray, " obs"] | None:
        """Return a mask of the columns missing at an environment step; None where no column is missing."""
        now = [columns for columns, deficit in self._windows if deficit.start <= step < deficit.stop]
        if not now:
            return None
        missing = np.zeros(self._size, bool)
        for columns in now:
            missing[columns] = True
        return missing
