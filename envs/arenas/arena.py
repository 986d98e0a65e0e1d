"""The surroundings of a body: a medium that fills space, and a visible floor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import mujoco

from ...errors import InvalidArena
from ...options import Instance, wrong_value
from .fields import Field
from .media import Drag, Fluid, Medium, Resisted
from .posts import Stands

_MEDIUM = {"medium": Instance((Fluid, Drag, NoneType), "a Fluid or a Drag, or a table of its fields")}


@dataclasses.dataclass(frozen=True)
class Arena:
    """The surroundings of a body; subclasses add obstacles, fields or food.

    Attributes:
        medium: what fills the arena; None takes each body's own medium, `Body.habitat`.

    Raises:
        InvalidArena: the medium is neither a `Fluid` nor a `Drag`.
    """

    medium: Medium | None = None

    def __post_init__(self) -> None:
        if wrong := wrong_value({"medium": self.medium}, _MEDIUM):
            raise InvalidArena(f"the arena's {wrong}")

    @property
    def zones(self) -> Sequence[Any]:
        """The zones with other media, in order; see `Zone`."""
        return ()

    def stands(self, body: Resisted) -> Stands | None:  # noqa: ARG002
        """Return the obstacles around a body, or None without obstacles; see `Stands`."""
        return None

    @property
    def fields(self) -> Mapping[str, Field]:
        """The arena's fields by name, `odour` and `temperature`; see `Landscape`."""
        return {}

    def add_to(self, spec: mujoco.MjSpec, body: Resisted, visual: bool = False) -> None:
        """Add the arena to a world that contains a body.

        Args:
            spec: the world.
            body: the body, whose own medium is used where the arena has none.
            visual: add light and a floor for rendering; the physics does not change.
        """
        (self.medium or body.habitat).add_to(spec, body)
        if visual:
            add_floor(spec)

    def to_json(self) -> dict[str, Any]:
        """Return the arena's constructor arguments as JSON types."""
        fields = dataclasses.asdict(self)
        return {field.name: fields[field.name] for field in dataclasses.fields(self) if field.init}


def add_floor(spec: mujoco.MjSpec) -> None:
    """Add light and a chequered floor, against which motion is visible; the floor touches nothing."""
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
