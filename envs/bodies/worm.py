"""The worm: an elastic chain in a medium without inertia, scaled from the animal by dimensionless numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import mujoco

from ...errors import InvalidBody
from ...options import Number, wrong_value
from ..arenas.media import ACROSS_IN_WATER, WORM_WATER, Drag, Fluid
from .swimmers import MAX_LINKS, MIN_LINKS, Swimmer

# Of the animal, in seconds of its own, which are kept. The first three were fitted together with the weights of
# `relay`, to its published gaits from water to 28 Pa s; the literature's values span two decades.
_ELASTIC_TIME = 0.398  # s: c_N L^4 / b in water, where b is the bending modulus
_DAMPING_TIME = 0.1821  # s: internal viscosity over b
_MOMENT = 12.55  # M L / b: the curvature times L that a muscle of moment M holds without load
_REACH = 12.0  # rad: the joint range times the number of links
_LINK_LENGTH, _LONGEST = 0.1, 2.4  # m; a longer chain has shorter links
_MASS_PER_LENGTH = 0.1  # kg/m: a time of inertia of 5 ms in water
_DEFAULT_LINKS = 13


@dataclasses.dataclass(frozen=True)
class Worm(Swimmer):
    """A swimmer with elastic joints.

    Attributes:
        stiffness: stiffness of each joint, N m/rad.
        damping: damping of each joint, N m s/rad.

    Raises:
        InvalidBody: a field is out of range.
    """

    name: str = "worm"
    n_links: int = _DEFAULT_LINKS
    habitat: Fluid | Drag = WORM_WATER
    stiffness: float = 0.0
    damping: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        fields = {name: getattr(self, name) for name in ("stiffness", "damping")}
        if wrong := wrong_value(fields, dict.fromkeys(fields, Number(0))):
            raise InvalidBody(f"{self.name}: {wrong}")

    def to_json(self) -> dict[str, Any]:
        """Return every field as JSON types, and `kind`."""
        return {"kind": "worm", **dataclasses.asdict(self)}

    def add_to(self, spec: mujoco.MjSpec, prefix: str = "") -> None:
        """Add the chain to a world; see `Body.add_to`."""
        super().add_to(spec, prefix)
        for name in self.parts.joints:
            joint = spec.joint(f"{prefix}{name}")
            joint.stiffness[0], joint.damping[0] = self.stiffness, self.damping


def worm(n_links: int = _DEFAULT_LINKS) -> Worm:
    """Return the worm with `n_links` links, scaled to match the animal's bending and its timescale.

    With body length L, link length l, drag c_N = 20 N s/m^2 (water) and bending stiffness b = c_N L^4 / 0.398 s, each
    joint has stiffness b / l, damping 0.1821 s times that, a motor torque of 12.55 b / L, and a range of 12 / n_links
    rad to either side, about twice that of the swimmers. The animal's short waves in thick media need 10 links or more.

    Raises:
        InvalidBody: the number of links is out of range.
    """
    if wrong := wrong_value({"n_links": n_links}, {"n_links": Number(MIN_LINKS, MAX_LINKS, is_whole=True)}):
        raise InvalidBody(f"worm: {wrong}")
    length = min(n_links * _LINK_LENGTH, _LONGEST)
    modulus, link = ACROSS_IN_WATER * length**4 / _ELASTIC_TIME, length / n_links
    return Worm(
        name="worm" if n_links == _DEFAULT_LINKS else f"worm{n_links}",
        n_links=n_links,
        link_length=link,
        link_mass=_MASS_PER_LENGTH * link,
        gear=_MOMENT * modulus / length,
        joint_range=min(_REACH / n_links, 3.0),
        stiffness=modulus / link,
        damping=_DAMPING_TIME * modulus / link,
    )
