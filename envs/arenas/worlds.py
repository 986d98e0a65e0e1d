"""The arenas of the worm: media by name, and a landscape of zones and fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import mujoco

from ...errors import InvalidArena
from .arena import Arena
from .fields import Field
from .media import MOST, WORM_WATER, Drag, Resisted, gel, made_of, newtonian
from .zones import Zone


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


@dataclasses.dataclass(frozen=True)
class Landscape(Arena):
    """A medium, with zones of others in it, an odour and a temperature.

    The medium of a link is that at its centre, looked up at the start of each control step. Where zones overlap, later
    ones lie on top. The logarithms of drag across and of the ratio change along an edge.

    Attributes:
        medium: where no zone is; with zones, a `Drag`.
        zones: in order, or tables of their fields.
        odour: concentration, for the sense of that name.
        temperature: K, for the sense of that name.

    Raises:
        InvalidArena: zones in a fluid, or what is no zone or no field.
    """

    zones: tuple[Zone, ...] = ()
    odour: Field | None = None
    temperature: Field | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.zones, list | tuple):
            raise InvalidArena(f"zones is {self.zones!r}; give a list of zones, later ones on top")
        if len(self.zones) > MOST:
            raise InvalidArena(f"there are {len(self.zones):,} zones; give {MOST} at most")
        object.__setattr__(self, "zones", tuple(made_of(Zone, zone) for zone in self.zones))
        if self.zones and not isinstance(self.medium, Drag):
            raise InvalidArena(f"the medium between zones is {self.medium!r}; give a Drag, such as gel(0.0)")
        for name in ("odour", "temperature"):
            if (field := getattr(self, name)) is not None:
                object.__setattr__(self, name, made_of(Field, field))

    @property
    def fields(self) -> Mapping[str, Field]:
        """Its fields by name."""
        both = {"odour": self.odour, "temperature": self.temperature}
        return {name: field for name, field in both.items() if field is not None}

    def add_to(self, spec: mujoco.MjSpec, body: Resisted, visual: bool = False) -> None:
        """Add the arena to a world that contains a body; see `Arena.add_to`.

        Raises:
            InvalidArena: an edge is shorter than a link.
        """
        longest = float(max(body.link_sizes[0]))
        for zone in self.zones:
            if zone.shape != "ramp" and zone.edge < longest * (1 - 1e-9):
                raise InvalidArena(
                    f"the edge of a zone is {zone.edge:g} m and a link of {body.name} {longest:g} m; give an edge of "
                    f"{longest:g} or more, so that no link jumps over it"
                )
        super().add_to(spec, body, visual)
