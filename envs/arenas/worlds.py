"""The arenas of the worm: media by name."""

from __future__ import annotations

import dataclasses

from .arena import Arena
from .media import WORM_WATER, Drag, gel, newtonian


@dataclasses.dataclass(frozen=True)
class Water(Arena):
    """The worm's water: drag across its body is 1.58 times that along it (Boyle, Berri and Cohen 2012)."""

    medium: Drag = dataclasses.field(init=False, default=WORM_WATER)


@dataclasses.dataclass(frozen=True)
class Newtonian(Arena):
    """A Newtonian fluid around the worm, drag ratio 1.5, as of Fang-Yen et al. 2010.

    Attributes:
        viscosity: Pa s; theirs are 0.001 to 28.
    """

    viscosity: float = 1e-3
    medium: Drag = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "medium", newtonian(self.viscosity))


@dataclasses.dataclass(frozen=True)
class Gel(Arena):
    """A gel around the worm, from water (m = 0) to agar (m = 1), linear in both coefficients (Boyle et al. 2012).

    Attributes:
        m: share of the way.
    """

    m: float = 0.01
    medium: Drag = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "medium", gel(self.m))


@dataclasses.dataclass(frozen=True)
class Agar(Arena):
    """Agar as Boyle et al. 2012 have it, with a drag ratio of 40; the literature's lie between 3 and 40."""

    medium: Drag = dataclasses.field(init=False, default=gel(1.0))


@dataclasses.dataclass(frozen=True)
class AgarLow(Arena):
    """Agar with a drag ratio of 10 (Shen et al. 2012); run what you claim about agar on both."""

    medium: Drag = dataclasses.field(init=False, default=dataclasses.replace(gel(1.0), ratio=10.0))
