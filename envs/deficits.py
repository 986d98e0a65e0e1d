"""Windows of training in which a sense is missing, for the study of critical periods."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from ..errors import InvalidTask
from .senses import Layout

_FORM = re.compile(r"(?P<sense>[^\[\]:]+)(\[(?P<index>\d+)\])?:(?P<start>\d+):(?P<stop>\d+)")


@dataclasses.dataclass(frozen=True)
class Deficit:
    """A sense that reads zero from environment step `start` until before step `stop`, all environments counted.

    Attributes:
        sense: its name.
        start, stop: environment steps.
        index: which of its values is missing, from 0; None is all of them.
    """

    sense: str
    start: int
    stop: int
    index: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise InvalidTask(
                f"deficit {self.sense}:{self.start}:{self.stop} is empty; give SENSE:START:STOP in environment steps, "
                "such as joint_pos:100000:200000"
            )

    def __str__(self) -> str:
        index = "" if self.index is None else f"[{self.index}]"
        return f"{self.sense}{index}:{self.start}:{self.stop}"

    @classmethod
    def parse(cls, text: str) -> Deficit:
        """Read `SENSE:START:STOP` or `SENSE[INDEX]:START:STOP`.

        Raises:
            InvalidTask: it is not of that form.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise InvalidTask(
                f"deficit {text!r} is not SENSE:START:STOP or SENSE[INDEX]:START:STOP, such as joint_pos:100000:200000"
            )
        index = None if found["index"] is None else int(found["index"])
        return cls(found["sense"], int(found["start"]), int(found["stop"]), index)


class Deficits:
    """What is missing of an observation as training goes on.

    Args:
        layout: names of the observation's parts.
        deficits: the windows.

    Raises:
        UnknownName: the observation has no such sense.
        InvalidTask: the sense has no value of that index.
    """

    def __init__(self, layout: Layout, deficits: Sequence[Deficit]) -> None:
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

    def missing(self, step: int) -> Bool[np.ndarray, " obs"] | None:
        """Return which columns of the observation are missing at an environment step; None where none is."""
        now = [columns for columns, deficit in self._windows if deficit.start <= step < deficit.stop]
        if not now:
            return None
        missing = np.zeros(self._size, bool)
        for columns in now:
            missing[columns] = True
        return missing
