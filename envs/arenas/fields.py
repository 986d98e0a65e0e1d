"""Fields: odour and temperature as functions of place and time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from ...errors import InvalidArena
from ...options import Number, OneOf, wrong_value
from .media import MOST, PLACE, WORLD, made_of

Form = Literal["gaussian", "cone"]
FORMS = get_args(Form)
_FINITE = Number(-math.inf, math.inf)
_ABOVE_0 = Number(0, above=True)
_LEFT_OUT = Number(0, above=True, also=(None,), none="leave it out")
_OF_SOURCE = {
    "form": OneOf(FORMS), "x": PLACE, "y": PLACE, "amplitude": _ABOVE_0, "size": _ABOVE_0,
    "lifetime": _LEFT_OUT, "radius": _ABOVE_0, "respawn": _LEFT_OUT,
}  # fmt: skip
_GONE = 0.05  # of the amplitude: below it, a source comes back elsewhere
_NEAREST = 0.2  # of `respawn`


def strength(form: str, size: float, distance: Float[np.ndarray, "*some"]) -> Float[np.ndarray, "*some"]:
    """Return a source's field over its amplitude at some distances, m; see `Source`."""
    if form == "cone":
        return np.maximum(0.0, 1.0 - distance / size)
    return np.exp(-(distance**2) / (2 * size * size))


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of a field: amplitude exp(-r^2 / (2 size^2)), or amplitude max(0, 1 - r / size) for a cone.

    The logarithm of a gaussian is flat at its peak, so an animal that climbs it circles there; the logarithm of a cone
    is steepest at its peak.

    Attributes:
        form: "gaussian" or "cone".
        x, y: position at the start of an episode, m.
        amplitude: value of the field at the centre of the source.
        size: size in the formulas above, m.
        course: path of a moving source: points (seconds after the reset, x, y) in order of time, joined by straight
            lines; it stays at the last.
        lifetime: time constant of the amplitude's decay while the nose is within `radius`, s; None for no decay.
        radius: distance within which the nose consumes the source, m.
        respawn: once 5 % of the amplitude is left, the source reappears in full at a random place whose distance from
            the nose is between a fifth of this value and this value, m; None for no reappearance.

    Raises:
        InvalidArena: a value is out of range.
    """

    form: Form = "gaussian"
    x: float = 0.0
    y: float = 0.0
    amplitude: float = 1.0
    size: float = 1.0
    course: tuple[tuple[float, float, float], ...] = ()
    lifetime: float | None = None
    radius: float = 0.15
    respawn: float | None = None

    def __post_init__(self) -> None:
        if wrong := wrong_value({name: getattr(self, name) for name in _OF_SOURCE}, _OF_SOURCE):
            raise InvalidArena(f"a source: {wrong}")
        object.__setattr__(self, "course", _checked_course(self.course))
        if self.respawn is not None and (self.lifetime is None or self.course):
            raise InvalidArena(
                f"a source: respawn is {self.respawn:g} m, for one with a lifetime and no course; "
                f"this one has a lifetime of {self.lifetime} s and a course of {len(self.course)} points"
            )

    def centre(self, seconds: Float[np.ndarray, " some"]) -> Float[np.ndarray, "some 2"]:
        """Return the source's position, m, at times in seconds after the reset, ignoring reappearances."""
        points = np.array([(0.0, self.x, self.y), *self.course])
        return np.stack([np.interp(seconds, points[:, 0], points[:, axis]) for axis in (1, 2)], -1)


def _checked_course(course: Any) -> tuple[tuple[float, float, float], ...]:
    """Return a course as numbers.

    Raises:
        InvalidArena: it is none.
    """
    table = np.asarray(course, float).reshape(-1, 3) if _is_table(course) else np.full((1, 3), np.nan)
    if (np.diff(table[:, 0], prepend=0.0) > 0).all() and (np.abs(table[:, 1:]) <= WORLD).all():
        return tuple((time, x, y) for time, x, y in table.tolist())
    raise InvalidArena(
        f"a source: course is {course!r}; give points of seconds, x and y, later ones behind, within {WORLD:g} m, "
        "such as [[10, 1, 0], [20, 1, 1]]"
    )


def _is_table(course: Any) -> bool:
    """Return whether something is a list of three finite numbers each, or empty."""
    is_list = isinstance(course, list | tuple)
    return is_list and all(
        isinstance(point, list | tuple) and len(point) == 3 and all(map(_FINITE.takes, point)) for point in course
    )


@dataclasses.dataclass(frozen=True)
class Field:
    """A field: the sum of a constant, a linear gradient and sources.

    Attributes:
        sources: the sources, each a `Source` or a mapping of its fields.
        base: value at the origin without sources; concentration (dimensionless) or temperature (K).
        slope_x, slope_y: gradient along x and y, per m.
        noise: standard deviation of the sensor noise, drawn in each environment and control step; relative to the
            concentration for an odour, in K for a temperature.

    Raises:
        InvalidArena: a value is out of range, or a source is neither a `Source` nor a mapping.
    """

    sources: tuple[Source, ...] = ()
    base: float = 0.0
    slope_x: float = 0.0
    slope_y: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        allowed = {**dict.fromkeys(("base", "slope_x", "slope_y"), _FINITE), "noise": Number(0)}
        if wrong := wrong_value({name: getattr(self, name) for name in allowed}, allowed):
            raise InvalidArena(f"a field: {wrong}")
        if not isinstance(self.sources, list | tuple):
            raise InvalidArena(f"sources is {self.sources!r}; give a list of sources")
        if len(self.sources) > MOST:
            raise InvalidArena(f"there are {len(self.sources):,} sources; give {MOST} at most")
        object.__setattr__(self, "sources", tuple(made_of(Source, source) for source in self.sources))

    def at(
        self,
        places: Float[np.ndarray, "*some 2"],
        centres: Float[np.ndarray, "*some sources 2"],
        amplitudes: Float[np.ndarray, "*some sources"],
    ) -> Float[np.ndarray, "*some"]:
        """Return the field's values at places (m), given the sources' positions (m) and amplitudes."""
        found = self.base + places @ np.array([self.slope_x, self.slope_y])
        for index, source in enumerate(self.sources):
            away = np.sqrt(((places - centres[..., index, :]) ** 2).sum(-1))
            found = found + amplitudes[..., index] * strength(source.form, source.size, away)
        return found


class LiveField:
    """A field around each of several environments: its sources move, run low where noses are, and come back.

    Args:
        field: as every episode starts.
        n_envs: number of environments.

    Attributes:
        field: as every episode starts.
        centres: [envs, sources, 2], m.
        amplitudes: [envs, sources], in the field's own unit.
        noise: [envs], of what is sensed now, standard normal.
    """

    def __init__(self, field: Field, n_envs: int) -> None:
        self.field = field
        n_sources = len(field.sources)
        self.centres, self.amplitudes = np.zeros((n_envs, n_sources, 2)), np.zeros((n_envs, n_sources))
        self.noise = np.zeros(n_envs)

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[Any]) -> None:
        """Start anew in some environments; `rngs` are all environments' generators."""
        for index, source in enumerate(self.field.sources):
            self.centres[ids, index], self.amplitudes[ids, index] = (source.x, source.y), source.amplitude
        self._draw(ids, rngs)

    def advance(
        self,
        ids: Int[np.ndarray, " some"],
        nose: Float[np.ndarray, "envs 2"],
        seconds: Float[np.ndarray, " envs"],
        dt: float,
        rngs: Sequence[Any],
    ) -> None:
        """Advance some environments by a control step that has just been taken.

        Args:
            ids: of the environments.
            nose: where all noses are, m.
            seconds: since each environment's reset.
            dt: of a control step, s.
            rngs: all environments' generators.
        """
        for index, source in enumerate(self.field.sources):
            if source.course:
                self.centres[ids, index] = source.centre(seconds[ids])
            if source.lifetime is not None:
                near = ((nose[ids] - self.centres[ids, index]) ** 2).sum(1) < source.radius**2
                self.amplitudes[ids[near], index] *= math.exp(-dt / source.lifetime)
                self._respawn(ids[near & (self.amplitudes[ids, index] < _GONE * source.amplitude)], index, nose, rngs)
        self._draw(ids, rngs)

    def _respawn(self, ids: Int[np.ndarray, " some"], index: int, nose: np.ndarray, rngs: Sequence[Any]) -> None:
        source = self.field.sources[index]
        if (most := source.respawn) is None:
            return
        for env in ids:
            self.centres[env, index] = nose[env] + ring(rngs[env], _NEAREST * most, most)
            self.amplitudes[env, index] = source.amplitude

    def _draw(self, ids: Int[np.ndarray, " some"], rngs: Sequence[Any]) -> None:
        for env in ids if self.field.noise else ():
            self.noise[env] = rngs[env].standard_normal()

    def at(self, places: Float[np.ndarray, "envs 2"]) -> Float[np.ndarray, " envs"]:
        """Return the field at a place of each environment, m, in the field's own unit, without noise."""
        return self.field.at(places, self.centres, self.amplitudes)

    def get_state(self) -> dict[str, Any]:
        """Return copies of everything that the future depends on."""
        return {name: getattr(self, name).copy() for name in _STATE}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        for name in _STATE:
            getattr(self, name)[:] = state[name]


_STATE = ("centres", "amplitudes", "noise")


def ring(rng: np.random.Generator, least: float, most: float) -> Float[np.ndarray, " 2"]:
    """Draw a place between two distances from the origin, m, each spot of the ring as likely as any other."""
    distance, angle = math.sqrt(rng.uniform(least**2, most**2)), rng.uniform(-np.pi, np.pi)
    return distance * np.array([math.cos(angle), math.sin(angle)])
