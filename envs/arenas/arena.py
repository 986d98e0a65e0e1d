"""What is around a body: a medium that fills space, and a floor to look at."""

from __future__ import annotations

import dataclasses
from types import NoneType
from typing import Any

import mujoco

from ...errors import InvalidArena
from ...options import Instance, Number, wrong_value


@dataclasses.dataclass(frozen=True)
class Fluid:
    """A medium at rest that resists motion by its inertia and its viscosity (MuJoCo's inertia-box model).

    Attributes:
        density: kg/m^3.
        viscosity: dynamic viscosity, Pa s.

    Raises:
        InvalidArena: a value below 0, or no finite number.
    """

    density: float = 3000.0
    viscosity: float = 0.0

    def __post_init__(self) -> None:
        for field in ("density", "viscosity"):
            value = getattr(self, field)
            if wrong := wrong_value({field: value}, {field: Number(0)}):
                raise InvalidArena(f"the fluid's {wrong}")

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """Fill a world with the fluid."""
        spec.option.density, spec.option.viscosity = self.density, self.viscosity


_MEDIUM = {"medium": Instance((Fluid, NoneType), "a Fluid, or a table of its density and viscosity")}
# dm_control's: the density of water thrice, and no viscosity.
WATER = Fluid()


@dataclasses.dataclass(frozen=True)
class Arena:
    """The surroundings of a body; subclasses add obstacles, fields or food.

    Attributes:
        medium: fills the arena; None is the medium that each body is at home in, `Body.habitat`.

    Raises:
        InvalidArena: the medium is none.
    """

    medium: Fluid | None = None

    def __post_init__(self) -> None:
        if wrong := wrong_value({"medium": self.medium}, _MEDIUM):
            raise InvalidArena(f"the arena's {wrong}")

    def add_to(self, spec: mujoco.MjSpec, habitat: Fluid, visual: bool = False) -> None:
        """Add the arena to a world that holds a body already.

        Args:
            spec: the world.
            habitat: the body's own medium, for an arena that names none.
            visual: add light and a floor for rendering; the physics does not change.
        """
        (self.medium or habitat).add_to(spec)
        if visual:
            add_floor(spec)

    def to_json(self) -> dict[str, Any]:
        """Return every field as JSON types."""
        return dataclasses.asdict(self)


def add_floor(spec: mujoco.MjSpec) -> None:
    """Add a lit, chequered floor that shows motion and touches nothing."""
    spec.visual.headlight.ambient = [0.5, 0.5, 0.5]
    spec.add_texture(
        name="floor_texture",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.10, 0.20, 0.30],
        rgb2=[0.14, 0.25, 0.36],
        width=300,
        height=300,
    )
    material = spec.add_material(name="floor_material", texrepeat=[2, 2], texuniform=True)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor_texture"
    if not any(geom.type == mujoco.mjtGeom.mjGEOM_PLANE for geom in spec.worldbody.geoms):
        spec.worldbody.add_geom(
            name="floor",
            type=mujoco.mjtGeom.mjGEOM_PLANE,
            size=[0, 0, 0.1],
            material="floor_material",
            contype=0,
            conaffinity=0,
        )
