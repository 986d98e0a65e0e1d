"""What a drawing needs of environments and of recordings: their media, fields, sources and targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from ..drawing.obstacles import Obstacles
from ..drawing.poses import MOTION, SHAPE, Poses
from ..drawing.scenery import MEDIA, ODOUR, TEMPERATURE, Layer, Scenery
from ..errors import InvalidArena, UnknownName
from .arenas.arena import Arena
from .arenas.fields import Field, Source, strength
from .arenas.media import Drag, medium_name, medium_of
from .arenas.registry import arena_json, make_arena
from .bodies.body import Body, joint_limit
from .setting import Envs

_MOST_NAMED = 6  # media; of more, the thinnest and the thickest are
_REACH = 2.0  # m, over which the colours of a temperature's slope go to either side


def poses_of(envs: Envs, index: int) -> Poses:
    """Return what a drawing of an environment needs, as its state is now."""
    read, row = envs.physics.read, slice(index, index + 1)
    body = envs.bodies[envs.body_index[index]]
    target = np.array(envs.task.target_pos[row], float)
    target_pos = target if target.shape[-1] else None
    sources = source_numbers(envs.fields, envs.n_envs)[row]
    shape = shape_of(body)
    return Poses(
        name=shape.pop("name"), is_chain=shape.pop("is_chain"), dt=envs.dt, target_pos=target_pos,
        scenery=scenery_of(surroundings_of(envs, body), sources, target_pos, envs.arena),
        obstacles=obstacles_of(envs, index),
        **{name: np.array(read(name)[row]) for name in MOTION}, **{name: np.array(shape[name]) for name in SHAPE},
    )  # fmt: skip


def obstacles_of(envs: Envs, index: int) -> Obstacles | None:
    """Return what stands around an environment's body, as its state is now; None where nothing does."""
    physics, row = envs.physics, slice(index, index + 1)
    return physics.obstacles.drawn(physics.obstacle_poses()[row], physics.touch()[row])


def shape_of(body: Body) -> dict[str, Any]:
    """Return a body's name and shape as JSON types; lengths in m, limits in rad."""
    lengths, widths = body.link_sizes
    return {
        "name": body.name,
        "link_length": lengths.tolist(),
        "link_width": widths.tolist(),
        "joint_limit": joint_limit(body).tolist(),
        "is_chain": body.parts.is_chain,
    }


def surroundings_of(envs: Envs, body: Body) -> dict[str, Any]:
    """Return what `scenery_of` needs beside arrays, as JSON types; lengths in m."""
    try:
        known = arena_json(envs.arena)
    except InvalidArena:  # an arena of someone's own, which no recording can name
        known = None
    scent = getattr(envs.task, "scent", None)
    obstacles = obstacles_of(envs, 0)
    return {
        **({} if obstacles is None else {"obstacles": obstacles.to_json()}),
        "arena": known,
        "medium": dataclasses.asdict(envs.arena.medium or body.habitat),
        "scent": None if scent is None else dataclasses.asdict(scent),
        "target_radius": float(getattr(envs.task, "target_radius", Scenery.target_radius)),
    }


def scenery_of(
    facts: Mapping[str, Any],
    sources: Float[np.ndarray, "T source_numbers"],
    target: Float[np.ndarray, "T 2"] | None,
    arena: Arena | None = None,
) -> Scenery:
    """Return what is drawn around a body.

    Args:
        facts: of `surroundings_of`.
        sources: what `source_numbers` returns for one environment, at each instant.
        target: at each instant, m; None where there is none.
        arena: that of the facts, where it is at hand.

    Raises:
        InvalidArena: facts of no arena.
    """
    if arena is None:
        try:
            arena = make_arena(facts.get("arena"))
        except UnknownName:  # of a package that is not installed here
            arena, sources = Arena(), sources[:, :0]
    medium = medium_of(facts["medium"]) if facts.get("medium") else None
    layers = [_media(medium, arena)] if isinstance(medium, Drag) else []
    parts = np.asarray(sources, float).reshape(len(sources), -1, 3)
    if parts.shape[1] != sum(len(field.sources) for field in arena.fields.values()):
        raise InvalidArena("there are places of other sources than the arena's")
    own, first = {}, 0
    for name, field in arena.fields.items():
        own[name], first = parts[:, first : first + len(field.sources)], first + len(field.sources)
    scent = Source(**facts["scent"]) if facts.get("scent") and target is not None else None
    if scent is not None or "odour" in own:
        layers.append(_odour(arena.fields.get("odour", Field()), own.get("odour", parts), scent, target))
    if "temperature" in own:
        layers.append(_temperature(arena.fields["temperature"], own["temperature"]))
    return Scenery(tuple(layers), parts[..., :2], float(facts.get("target_radius") or Scenery.target_radius))


def source_numbers(fields: Mapping[str, Any], n_envs: int) -> Float[np.ndarray, "envs source_numbers"]:
    """Return x and y, m, and amplitude, in the field's own unit, of each source of live fields, odour's first."""
    numbers = [
        np.concatenate([live.centres, live.amplitudes[..., None]], -1).reshape(n_envs, -1) for live in fields.values()
    ]
    return np.concatenate([np.zeros((n_envs, 0)), *numbers], 1)


def _media(medium: Drag, arena: Arena) -> Layer:
    """Return the media, equally spaced from the thinnest to the thickest; a medium alone by its drag."""
    media = (medium, *(zone.medium for zone in arena.zones))
    ranked = sorted({(each.across, each.ratio) for each in media})
    if len(ranked) > 1:
        levels = dict(zip(ranked, np.linspace(0.0, 1.0, len(ranked)).tolist(), strict=True))
    else:
        levels = {ranked[0]: float(np.clip(np.log10(medium.across / 20.0) / 4.4, 0.0, 1.0))}

    def at(places: np.ndarray, instant: int) -> np.ndarray:  # noqa: ARG001
        found = np.full(places.shape[:-1], levels[medium.across, medium.ratio])
        for zone in arena.zones:
            found += zone.share(places) * (levels[zone.medium.across, zone.medium.ratio] - found)
        return found

    ticks = tuple((level, medium_name(Drag(*numbers))) for numbers, level in levels.items())
    return Layer("medium", at, MEDIA, ticks, apart=len(ticks) <= _MOST_NAMED)


def _odour(field: Field, own: np.ndarray, scent: Source | None, target: np.ndarray | None) -> Layer:
    """Return an odour, in shares of the most that there is where sources begin."""
    begins = np.array([(source.x, source.y, source.amplitude) for source in field.sources]).reshape(-1, 3)
    most = max([float(field.at(each[:2], begins[:, :2], begins[:, 2])) for each in begins], default=field.base)
    most = most + (1.0 if scent is not None else 0.0) or 1.0

    def at(places: np.ndarray, instant: int) -> np.ndarray:
        found = field.at(places, own[instant, :, :2], own[instant, :, 2])
        if scent is not None and target is not None:
            away = np.sqrt(((places - target[instant]) ** 2).sum(-1))
            found = found + strength(scent.form, scent.size, away)
        return found / most

    return Layer("odour", at, ODOUR, ((0.0, "0"), (1.0, f"{most:.3g}")))


def _temperature(field: Field, own: np.ndarray) -> Layer:
    steepest = float(np.hypot(field.slope_x, field.slope_y))
    span = _REACH * steepest + sum(source.amplitude for source in field.sources) or 1.0

    def at(places: np.ndarray, instant: int) -> np.ndarray:
        found = field.at(places, own[instant, :, :2], own[instant, :, 2])
        return 0.5 + 0.5 * (found - field.base) / span

    ticks = ((0.0, f"{field.base - span:.4g} K"), (1.0, f"{field.base + span:.4g} K"))
    return Layer("temperature", at, TEMPERATURE, ticks)
