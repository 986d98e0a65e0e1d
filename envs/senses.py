"""Names for the slices of a flat observation vector, with their units and bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from gymnasium import spaces
from jaxtyping import Float

from ..errors import UnknownName


@dataclasses.dataclass(frozen=True)
class Sense:
    """One named part of an observation: its size, its bounds, and the unit that both bounds and values have."""

    name: str
    size: int
    low: float
    high: float
    unit: str


@dataclasses.dataclass(frozen=True)
class Layout:
    """What stands where in a flat observation.

    Attributes:
        senses: the parts, in order.
        joint_limit: half of each joint's range, rad; circuits sense joint positions in units of it.
        dt: seconds per control step.
    """

    senses: tuple[Sense, ...]
    joint_limit: tuple[float, ...]
    dt: float

    @classmethod
    def of(cls, senses: Iterable[Sense], joint_limit: Iterable[float], dt: float) -> Layout:
        """Build a layout from any iterables."""
        return cls(tuple(senses), tuple(float(limit) for limit in joint_limit), dt)

    @property
    def size(self) -> int:
        """The length of the observation vector."""
        return sum(sense.size for sense in self.senses)

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each sense, by name, in order."""
        return {sense.name: sense.size for sense in self.senses}

    def __contains__(self, name: object) -> bool:
        return name in self.sizes

    def __getitem__(self, name: str) -> slice:
        """Return the slice of a sense.

        Raises:
            UnknownName: the observation has no such sense.
        """
        start = 0
        for sense in self.senses:
            if sense.name == name:
                return slice(start, start + sense.size)
            start += sense.size
        raise UnknownName("sense", name, self.sizes)

    @property
    def space(self) -> spaces.Box:
        """The observation space: finite bounds, which hold for any motion the bodies can make."""
        low = np.concatenate([np.full(sense.size, sense.low) for sense in self.senses])
        high = np.concatenate([np.full(sense.size, sense.high) for sense in self.senses])
        return spaces.Box(low, high, dtype=np.float64)

    def split(self, observation: Float[np.ndarray, "*batch obs"]) -> dict[str, Float[np.ndarray, "*batch _"]]:
        """Return a view of each sense, by name, in the unit that the sense names (rad for joint_pos, and so on)."""
        return {name: observation[..., self[name]] for name in self.sizes}
