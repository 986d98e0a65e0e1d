"""Media that resist a body's motion, including the worm's, from water to agar."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import mujoco
import numpy as np
from jaxtyping import Float

from ...errors import InvalidArena, InvalidBody
from ...options import Number, wrong_value

_Kind = TypeVar("_Kind")
WORLD = 1000.0  # m: what stands in an arena is so far from the origin at most, on either axis
PLACE = Number(-WORLD, WORLD)
MOST = 256  # zones, and sources of a field: each costs time in every step


def made_of(kind: type[_Kind], value: Any) -> _Kind:
    """Return a value of a dataclass as it is, or one made of a table of its fields.

    Raises:
        InvalidArena: it is neither.
    """
    if isinstance(value, kind):
        return value
    try:
        return kind(**value)
    except TypeError as error:
        names = ", ".join(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
        raise InvalidArena(
            f"{kind.__name__.lower()} {value!r} is none; give a {kind.__name__}, or a table of {names}"
        ) from error


class Resisted(Protocol):
    """What a medium needs to know of a body: the names of its links' frames, and the links' lengths, m."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def parts(self) -> Any:
        """Its named parts."""

    @property
    def habitat(self) -> Any:
        """Its own medium."""

    @property
    def link_sizes(self) -> Any:
        """Length and width of each link, m."""

    @property
    def control_dt(self) -> Any:
        """Seconds per control step."""


def _check(medium: Any, whose: str, **allowed: Number) -> None:
    if wrong := wrong_value({name: getattr(medium, name) for name in allowed}, allowed):
        raise InvalidArena(f"{whose} {wrong}")


@dataclasses.dataclass(frozen=True)
class Fluid:
    """A fluid at rest that resists motion by inertia and viscosity (MuJoCo's inertia-box model).

    Viscous drag is the same in every direction, so a travelling wave gets no thrust from it; see `Drag`.

    Attributes:
        density: kg/m^3.
        viscosity: dynamic viscosity, Pa s.

    Raises:
        InvalidArena: a value is below 0 or not finite.
    """

    density: float = 3000.0
    viscosity: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "the fluid's", density=Number(0), viscosity=Number(0))

    def add_to(self, spec: mujoco.MjSpec, body: Resisted) -> None:  # noqa: ARG002
        """Fill a world with the fluid."""
        spec.option.density, spec.option.viscosity = self.density, self.viscosity


@dataclasses.dataclass(frozen=True)
class Drag:
    """A medium without inertia that resists a thin link's motion across more than along it (resistive force theory).

    A link of length l, with velocity v_t along itself, v_n across itself and angular velocity w, has at its centre

        F = -l (c_T v_t t + c_N v_n n),  torque = -c_N l^3 / 12 w,  c_N = across, c_T = across / ratio

    In MuJoCo it is implemented as three actuators without control on each link, with the integrator implicitfast.

    Attributes:
        across: drag coefficient c_N per length, N s/m^2.
        ratio: drag anisotropy K = c_N / c_T, 1 or more. At 1 there is no thrust.

    Raises:
        InvalidArena: a value is out of range.
    """

    across: float
    ratio: float = 1.5

    def __post_init__(self) -> None:
        _check(self, "drag:", across=Number(0, above=True), ratio=Number(1))

    @property
    def density(self) -> float:
        """The density, 0 kg/m^3, as the medium has no inertia."""
        return 0.0

    @property
    def viscosity(self) -> float:
        """The viscosity of the Newtonian fluid with the same drag `across` around the body `worm`, Pa s."""
        return self.across / ACROSS_IN_WATER * _WATERS_VISCOSITY

    def add_to(self, spec: mujoco.MjSpec, body: Resisted) -> None:
        """Fill a world with the medium, by adding drag to each link of the body in it."""
        spec.option.density = spec.option.viscosity = 0.0
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        lengths = body.link_sizes[0]
        drags = link_drag(np.full_like(lengths, self.across), np.full_like(lengths, self.ratio), lengths)
        for frame, coefficients in zip(body.parts.frames, drags.tolist(), strict=True):
            for (name, axis), coefficient in zip(_AXES, coefficients, strict=True):
                spec.add_actuator(
                    name=f"{frame}_{name}", target=frame, trntype=mujoco.mjtTrn.mjTRN_SITE,
                    gear=np.eye(6)[axis].tolist(),
                    gaintype=mujoco.mjtGain.mjGAIN_FIXED, gainprm=[0.0] * 10,
                    biastype=mujoco.mjtBias.mjBIAS_AFFINE,
                    biasprm=[0.0, 0.0, -coefficient, *[0.0] * 7],
                )  # fmt: skip


# What a frame's y, x and z axis are to its link, in the order of `link_drag`.
_AXES = (("drag_along", 1), ("drag_across", 0), ("drag_turn", 5))


def link_drag(
    across: Float[np.ndarray, "*some"], ratio: Float[np.ndarray, "*some"], length: Float[np.ndarray, "*some"]
) -> Float[np.ndarray, "*some 3"]:
    """Return the coefficients of links' drag along and across, N s/m, and in rotation, N m s/rad; see `Drag`."""
    return np.stack([across / ratio * length, across * length, across * length**3 / 12], -1)


Medium = Fluid | Drag


def drag_of(body: Resisted, model: mujoco.MjModel) -> list[list[int]]:
    """Return the actuators of a model that are a medium's drag, for each link along, across and in rotation.

    It is empty where the medium is a fluid.
    """
    names = [[f"{frame}_{name}" for name, _ in _AXES] for frame in body.parts.frames]
    found = [[mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_ACTUATOR, name) for name in each] for each in names]
    return found if found[0][0] >= 0 else []


def drag_ratio(body: Resisted, model: mujoco.MjModel) -> float:
    """Return the ratio of a medium's drag.

    Raises:
        InvalidBody: the medium is a fluid.
    """
    links = drag_of(body, model)
    if not links:
        raise InvalidBody(f"{body.name} is in a fluid, which has no drag to set; choose an arena such as water or agar")
    along, across, _ = model.actuator_biasprm[links[0], 2]
    return float(across / along)


# dm_control's fluid: three times the density of water, and no viscosity.
WATER = Fluid()
# Coefficients of the animal, 1 mm long, kg/s over its whole length (Boyle, Berri and Cohen 2012).
_WATER, _AGAR = (5.2e-6, 3.3e-6), (0.128, 3.2e-3)
_WATERS_VISCOSITY = 1e-3  # Pa s
# N s/m^2 of the body `worm` in water: its time of inertia, mass over c_N and length, is then 5 ms, which is out of the
# way of everything else (the animal's is 1 ms).
ACROSS_IN_WATER = 20.0


def newtonian(viscosity: float = _WATERS_VISCOSITY) -> Drag:
    """Return a Newtonian fluid, scaled to the body `worm`; Fang-Yen et al. 2010 used viscosities of 0.001 to 28 Pa s.

    Raises:
        InvalidArena: the viscosity is not above 0.
    """
    if wrong := wrong_value({"viscosity": viscosity}, {"viscosity": Number(0, above=True)}):
        raise InvalidArena(f"a Newtonian fluid: {wrong}")
    return Drag(ACROSS_IN_WATER * viscosity / _WATERS_VISCOSITY, 1.5)


def gel(m: float = 0.0) -> Drag:
    """Return a gel between water (m = 0) and agar (m = 1), scaled to the body `worm` (Boyle et al. 2012).

    Both drag coefficients are interpolated linearly, so most values of m are close to agar: sample log m.

    Raises:
        InvalidArena: m is not from 0 to 1.
    """
    if wrong := wrong_value({"m": m}, {"m": Number(0, 1)}):
        raise InvalidArena(f"a gel: {wrong}")
    across, along = (water + m * (agar - water) for water, agar in zip(_WATER, _AGAR, strict=True))
    return Drag(ACROSS_IN_WATER * across / _WATER[0], across / along)


def medium_name(medium: Drag) -> str:
    """Return a short name of a medium: one of the worm's, its viscosity in Pa s, or its numbers."""
    water, agar = gel(0.0), gel(1.0)
    if medium == water:
        return "water"
    if medium.across == agar.across:
        return f"agar, K {medium.ratio:g}"
    if medium.ratio == newtonian().ratio:
        return f"{medium.viscosity:.3g} Pa s"
    return f"{medium.across:,.4g} N s/m2, K {medium.ratio:.3g}"


def medium_of(values: Mapping[str, Any]) -> Medium:
    """Return the medium with these fields: those of a `Fluid` or of a `Drag`.

    Raises:
        InvalidArena: fields of neither, or out of range.
    """
    kind = Drag if "across" in values or "ratio" in values else Fluid
    try:
        return kind(**values)
    except TypeError as error:
        raise InvalidArena(f"a medium has density and viscosity, or across and ratio; given {list(values)}") from error


# Boyle's water, as `worm` has it around it.
WORM_WATER = gel(0.0)
