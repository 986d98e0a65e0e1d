"""Obstacles: single posts, walls, and infinite lattices of posts."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from ...errors import InvalidArena
from ...options import Number, OneOf, wrong_value

Shape = Literal["square", "hexagonal", "random"]
SHAPES = get_args(Shape)
_FINITE = Number(-math.inf, math.inf)
_ABOVE_0 = Number(0, above=True)
_OF_POST = {"x": _FINITE, "y": _FINITE, "radius": _ABOVE_0, "mass": Number(0)}
_OF_WALL = {"x": _FINITE, "y": _FINITE, "heading": _FINITE, "length": _ABOVE_0, "thickness": _ABOVE_0}
_OF_LATTICE = {
    "shape": OneOf(SHAPES), "radius": Number(0, 10, above=True), "gap": Number(0, 10, above=True),
    "largest": Number(0, 10, above=True, also=(None,), none="leave it out"), "seed": Number(0, is_whole=True),
}  # fmt: skip
# How far from its centre of mass a body reaches, in body lengths, with what it moves in a control step.
_REACH = 0.7
MOST_STRETCH = 1.25  # of links, whose ends are then 0.63 body lengths from the centre of mass at most
_TRIES = 4000  # posts of a random lattice, of which those stay that fit
_RANDOM_CELL = 1.5  # body lengths, after which a random lattice repeats itself


@dataclasses.dataclass(frozen=True)
class Post:
    """A round post.

    Attributes:
        x, y: position of the centre, m.
        radius: radius, m.
        mass: mass of a movable post, kg; 0 is a fixed post.

    Raises:
        InvalidArena: a value is out of range.
    """

    x: float = 0.0
    y: float = 0.0
    radius: float = 0.05
    mass: float = 0.0

    def __post_init__(self) -> None:
        if wrong := wrong_value(vars(self), _OF_POST):
            raise InvalidArena(f"a post: {wrong}")


@dataclasses.dataclass(frozen=True)
class Wall:
    """A straight wall.

    Attributes:
        x, y: position of the centre, m.
        heading: direction along the wall, rad from the x axis.
        length, thickness: size, m.

    Raises:
        InvalidArena: a value is out of range.
    """

    x: float = 0.0
    y: float = 0.0
    heading: float = 0.0
    length: float = 1.0
    thickness: float = 0.05

    def __post_init__(self) -> None:
        if wrong := wrong_value(vars(self), _OF_WALL):
            raise InvalidArena(f"a wall: {wrong}")


@dataclasses.dataclass(frozen=True)
class Lattice:
    """An infinite lattice of posts, rotated and shifted at random in each episode; lengths are in body lengths.

    Attributes:
        shape: "square", "hexagonal", or "random", which places as many posts as fit with `gap` between them.
        radius: radius of the posts; in a random lattice, of the smallest.
        gap: distance between the rims of neighbouring posts; in a random lattice, the smallest distance.
        largest: largest radius in a random lattice; by default all posts have the same.
        seed: seed of a random lattice.

    Raises:
        InvalidArena: a value is out of range, or does not apply to this shape.
    """

    shape: Shape = "square"
    radius: float = 0.1
    gap: float = 0.2
    largest: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if wrong := wrong_value(vars(self), _OF_LATTICE):
            raise InvalidArena(f"a lattice: {wrong}")
        if self.shape != "random" and (self.largest is not None or self.seed):
            name = "largest" if self.largest is not None else "seed"
            raise InvalidArena(f"a lattice: {name} is of a random lattice, and this one is {self.shape}; leave it out")
        if self.largest is not None and self.largest < self.radius:
            raise InvalidArena(
                f"a lattice: the largest radius is {self.largest:g} and the smallest {self.radius:g}; give "
                f"{self.radius:g} or more"
            )


@dataclasses.dataclass(frozen=True)
class Patch:
    """As much of a lattice as a body can reach from the middle of one cell, in units of the body's length.

    Attributes:
        places: of the posts around the middle of a cell, those of that cell first.
        radius: of each post.
        n_cell: how many posts are in a cell.
        cell: how far copies of the cell are apart along both axes.
    """

    places: Float[np.ndarray, "posts 2"]
    radius: Float[np.ndarray, " posts"]
    n_cell: int
    cell: Float[np.ndarray, " 2"]


@functools.lru_cache(maxsize=64)
def patch_of(lattice: Lattice) -> Patch:
    """Return a patch; moved by whole cells to where the body is, it is the whole lattice."""
    pitch = 2 * lattice.radius + lattice.gap
    if lattice.shape == "random":
        places, radius, cell = _random_cell(lattice)
    else:
        is_square = lattice.shape == "square"
        cell = np.array([pitch, pitch if is_square else pitch * math.sqrt(3)])
        places = np.zeros((1, 2)) if is_square else np.stack([-cell / 4, cell / 4])
        radius = np.full(len(places), lattice.radius)
    reach = _REACH + float(radius.max()) + float(np.hypot(*cell)) / 2
    most = np.ceil(reach / cell).astype(int) + 1
    copies = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most)), -1).reshape(-1, 2)
    copies = copies[np.argsort(np.abs(copies).sum(1), kind="stable")]
    found = (copies[:, None] * cell + places).reshape(-1, 2)
    is_near = np.hypot(*found.T) < reach
    is_near[: len(places)] = True
    return Patch(found[is_near], np.tile(radius, len(copies))[is_near], len(places), cell)


def _random_cell(lattice: Lattice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng, widest = np.random.default_rng(lattice.seed), lattice.largest or lattice.radius
    # Room for one post at least, which must not touch its own copies.
    size = max(_RANDOM_CELL, 2 * (2 * widest + lattice.gap))
    places, radii = np.zeros((0, 2)), np.zeros(0)
    for radius, place in zip(
        rng.uniform(lattice.radius, widest, _TRIES), rng.uniform(-size / 2, size / 2, (_TRIES, 2)), strict=True
    ):
        away = places - place
        away -= size * np.round(away / size)
        if (np.hypot(*away.T) > radii + radius + lattice.gap).all():
            places, radii = np.vstack([places, place]), np.append(radii, radius)
    return places, radii, np.full(2, size)


def turned(points: Float[np.ndarray, "*some 2"], angle: Float[np.ndarray, "*some"] | float) -> np.ndarray:
    """Return points turned around the origin by an angle, rad."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], -1)


def gaps(
    ends: Float[np.ndarray, "pieces 2 2"],
    thick: Float[np.ndarray, " pieces"],
    other_ends: Float[np.ndarray, "others 2 2"],
    other_thick: Float[np.ndarray, " others"],
) -> Float[np.ndarray, "pieces others"]:
    """Return the gap between each two of rounded pieces, m, given by ends and radii; negative where they overlap."""
    a, b = (ends[:, None, end] for end in (0, 1))
    c, d = (other_ends[None, :, end] for end in (0, 1))
    found = np.minimum.reduce([_to_piece(a, c, d), _to_piece(b, c, d), _to_piece(c, a, b), _to_piece(d, a, b)])
    crosses = (_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)
    return np.where(crosses, 0.0, found) - thick[:, None] - other_thick


def _to_piece(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    along = end - start
    share = ((point - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12)
    return np.linalg.norm(point - start - np.clip(share, 0, 1)[..., None] * along, axis=-1)


def _side(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
    one, two = b - a, point - a
    return one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0]


@dataclasses.dataclass(frozen=True)
class Stands:
    """All that stands in an arena around one body, in m: posts and walls, then a patch of its lattice.

    A post is a piece without length; a wall is rounded by half its thickness here, for finding room for the body.

    Attributes:
        places: x, y and heading of each; in the lattice, from the middle of the patch.
        half: half of each piece's length.
        radius: of each.
        mass: kg of those that can be pushed; 0 of the others.
        n_own: how many do not belong to the lattice.
        n_cell: how many, of those that do, are of one cell; they come first.
        cell: how far copies of the cell are apart.
    """

    places: Float[np.ndarray, "stands 3"]
    half: Float[np.ndarray, " stands"]
    radius: Float[np.ndarray, " stands"]
    mass: Float[np.ndarray, " stands"]
    n_own: int
    n_cell: int
    cell: Float[np.ndarray, " 2"]

    def placed(self, rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
        """Draw where the lattice lies in an episode around a body at the origin: x and y, m, and heading, rad."""
        heading, shift = rng.uniform(-np.pi, np.pi), rng.uniform(-self.cell / 2, self.cell / 2)
        return np.array([*turned(shift, heading), heading])

    def near(
        self, lattice: Float[np.ndarray, "*some 3"], centre: Float[np.ndarray, "*some 2"]
    ) -> Float[np.ndarray, "*some 3"]:
        """Return where the lattice lies after it moved by whole cells to a body's centre, m: it is the same lattice."""
        cells = np.round(turned(centre - lattice[..., :2], -lattice[..., 2]) / self.cell)
        return np.concatenate([lattice[..., :2] + turned(cells * self.cell, lattice[..., 2]), lattice[..., 2:]], -1)

    def pieces(
        self, lattice: Float[np.ndarray, " 3"]
    ) -> tuple[Float[np.ndarray, "stands 2 2"], Float[np.ndarray, " stands"]]:
        """Return ends and radii, m, of all that stands with the lattice at a place, for `gaps`."""
        middle, heading = self.places[:, :2].copy(), self.places[:, 2]
        middle[self.n_own :] = lattice[:2] + turned(middle[self.n_own :], lattice[2])
        along = np.stack([np.cos(heading), np.sin(heading)], -1) * self.half[:, None]
        return np.stack([middle - along, middle + along], 1), self.radius


def stands_of(posts: Sequence[Post], walls: Sequence[Wall], lattice: Lattice | None, length: float) -> Stands:
    """Return what stands around a body of some length, m."""
    rows = [(post.x, post.y, 0.0, 0.0, post.radius, post.mass) for post in posts]
    rows += [(wall.x, wall.y, wall.heading, wall.length / 2, wall.thickness / 2, 0.0) for wall in walls]
    n_own, patch = len(rows), None if lattice is None else patch_of(lattice)
    if patch is not None:
        rows += [(*(length * place), 0.0, 0.0, length * radius, 0.0)
                 for place, radius in zip(patch.places, patch.radius, strict=True)]  # fmt: skip
    table = np.array(rows, float)
    n_cell, cell = (0, np.ones(2)) if patch is None else (patch.n_cell, length * patch.cell)
    return Stands(table[:, :3], table[:, 3], table[:, 4], table[:, 5], n_own, n_cell, cell)
