"""The arenas by medium, and a landscape of zones, fields and posts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import mujoco

from ...errors import InvalidArena
from ...options import FLAG, wrong_value
from .arena import Arena
from .contacts import add_stands, check_media
from .fields import Field
from .media import MOST, WORM_WATER, Drag, Resisted, gel, made_of, newtonian
from .posts import Lattice, Post, Stands, Wall, stands_of
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
    """An arena with zones of other media, fields of odour and temperature, posts and walls.

    The medium that acts on a link is the one at its centre at the start of each control step. Where zones overlap, the
    later one lies on top. Across a soft edge, the logarithms of `Drag.across` and of `Drag.ratio` are blended.

    Attributes:
        medium: medium outside all zones; with zones it must be a `Drag`.
        zones: zones in order, each a `Zone` or a mapping of its fields.
        odour: concentration field, read by the sense `odour`.
        temperature: temperature field in K, read by the sense `temperature`.
        posts: single posts, each a `Post` or a mapping of its fields.
        walls: walls, each a `Wall` or a mapping of its fields.
        lattice: an infinite lattice of posts, a `Lattice` or a mapping of its fields.
        solid: whether links collide with posts and walls; otherwise they pass through.

    Raises:
        InvalidArena: there are zones in a `Fluid`, an entry is not what its field holds, or the drags of zones differ
            too much for contacts.
    """

    zones: tuple[Zone, ...] = ()
    odour: Field | None = None
    temperature: Field | None = None
    posts: tuple[Post, ...] = ()
    walls: tuple[Wall, ...] = ()
    lattice: Lattice | None = None
    solid: bool = True

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
        kinds = {"posts": Post, "walls": Wall}
        for name, kind in kinds.items():
            if not isinstance(given := getattr(self, name), list | tuple):
                raise InvalidArena(f"{name} is {given!r}; give a list of {name}")
            object.__setattr__(self, name, tuple(made_of(kind, each) for each in given))
        if self.lattice is not None:
            object.__setattr__(self, "lattice", made_of(Lattice, self.lattice))
        if wrong := wrong_value({"solid": self.solid}, {"solid": FLAG}):
            raise InvalidArena(wrong)
        if self.solid and self._has_stands and self.medium is not None:
            check_media((self.medium, *(zone.medium for zone in self.zones)))

    @property
    def _has_stands(self) -> bool:
        return bool(self.posts or self.walls or self.lattice)

    def stands(self, body: Resisted) -> Stands | None:
        """Return the obstacles around a body; see `Arena.stands`."""
        if not self._has_stands:
            return None
        return stands_of(self.posts, self.walls, self.lattice, float(body.link_sizes[0].sum()))

    @property
    def fields(self) -> Mapping[str, Field]:
        """The arena's fields by name."""
        both = {"odour": self.odour, "temperature": self.temperature}
        return {name: field for name, field in both.items() if field is not None}

    def add_to(self, spec: mujoco.MjSpec, body: Resisted, visual: bool = False) -> None:
        """Add the arena to a world that contains a body; see `Arena.add_to`.

        Raises:
            InvalidArena: a zone's edge is shorter than a link, or posts leave no room for this body or stand at its
                start.
        """
        longest = float(max(body.link_sizes[0]))
        for zone in self.zones:
            if zone.shape != "ramp" and zone.edge < longest * (1 - 1e-9):
                raise InvalidArena(
                    f"the edge of a zone is {zone.edge:g} m and a link of {body.name} {longest:g} m; give an edge of "
                    f"{longest:g} or more, so that no link jumps over it"
                )
        super().add_to(spec, body, visual)
        if (stands := self.stands(body)) is not None:
            media = self.medium or body.habitat, *(zone.medium for zone in self.zones)
            add_stands(spec, body, stands, media, self.solid, visual)
