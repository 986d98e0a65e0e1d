"""The laws of arenas: an arena does not change the body in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from ..envs import ARENAS, Arena, Body, Drag, MujocoBatch, make_arena, make_body
from ..envs.arenas import arena_json
from ..envs.starts import find_room
from ..laws import Laws, named

_OF_THE_BODY = ("nq", "nv")


def check_arena(arena: str | type[Arena] | Arena | Mapping[str, Any], body: str | Path | Body = "swimmer6") -> None:
    """Check an arena: it adds itself to a world with a body, and survives a round trip through JSON.

    Args:
        arena: a registered name, a class as in an entry point of nervecord.arenas, an `Arena`, or one as JSON.
        body: the body in it.

    Raises:
        ContractBroken: a law does not hold; the message names it.
        UnknownName, InvalidArena: there is no such arena.
    """
    if isinstance(arena, Mapping):
        arena = make_arena(arena)
    kind = type(arena) if isinstance(arena, Arena) else arena
    known = {ARENAS[name]: name for name in ARENAS.working()}
    with named(ARENAS, known.get(kind, kind) if isinstance(kind, type) else kind, "arena") as name:
        laws = Laws(f"arena {name}")
        with laws.asking("an arena can be made without arguments", "give each field a default"):
            made = arena if isinstance(arena, Arena) else make_arena(name)
        with laws.asking("an arena is a frozen value", "make it a frozen dataclass of hashable fields"):
            hash(made)
        law, right = "a run can hold an arena as JSON", "let the fields be what JSON has, or write to_json"
        with laws.asking(law, right):
            again = make_arena(json.loads(json.dumps(arena_json(made))))
        laws.hold(law, again == made, f"{again!r:.80} comes back", right)
        _world(laws, made, make_body(body))


def _start(physics: MujocoBatch, arena: Arena, body: Body) -> None:
    """Put two bodies at rest, alike; among posts, where there is room."""
    both, straight = np.arange(2), np.zeros(body.n_joints)
    if (stands := arena.stands(body)) is None:
        physics.reset(both, np.zeros(2), np.tile(straight, (2, 1)))
        return
    heading, bend, lattice = find_room(body, stands, np.random.default_rng(0), 0.0, straight)
    physics.reset(both, np.full(2, heading), np.tile(bend, (2, 1)))
    physics.place(both, np.tile(lattice, (2, 1)))


def _medium(laws: Laws, arena: Arena, body: Body, model: mujoco.MjModel) -> None:
    law, right, medium = "the medium fills the arena", "call super().add_to(spec, body, visual)", arena.medium
    medium = medium or body.habitat
    if isinstance(medium, Drag):
        across = [-model.actuator(f"{frame}_drag_across").biasprm[2] for frame in body.parts.frames]
        laws.alike(law, across, medium.across * body.link_sizes[0], right, what="drag across the links")
    else:
        filled = [float(model.opt.density), float(model.opt.viscosity)]
        laws.alike(law, filled, [medium.density, medium.viscosity], right, what="density or viscosity")


def _world(laws: Laws, arena: Arena, body: Body) -> None:
    plain = body.compile()
    with laws.asking("an arena adds itself to a world", "see Arena.add_to"):
        model, dressed = body.compile(arena=arena), body.compile(visual=True, arena=arena)
    law, right = "an arena leaves the body as it is", "add to spec.worldbody, and change nothing that is there"
    stands = arena.stands(body)
    pushed = 0 if stands is None else int((stands.mass > 0).sum())
    for field in _OF_THE_BODY:
        pair = getattr(model, field) - 2 * pushed, getattr(plain, field)
        laws.hold(law, pair[0] == pair[1], f"{field} is {pair[0]} where the body alone has {pair[1]}", right)
    # Among posts in drag, links weigh what contacts need, and what can be pushed moves too.
    weighs_more = stands is not None and isinstance(arena.medium or body.habitat, Drag)
    for part in () if weighs_more else body.parts.links:
        found, expected = (np.append(each.body(part).inertia, each.body(part).mass) for each in (model, plain))
        laws.alike(law, found, expected, right, what=f"mass or inertia of {part}")
    for part in body.parts.motors:
        laws.alike(law, model.actuator(part).gear, plain.actuator(part).gear, right, what=f"gear of {part}")
    others = [act for act in range(model.nu) if model.actuator(act).name not in body.parts.motors]
    laws.hold(
        law, not model.actuator_gainprm[others].any(), "another actuator than the body's takes commands",
        "give what you add a gain of 0; see Drag",
    )  # fmt: skip
    for sensor in range(plain.nsensor):
        same = model.sensor(sensor).name == plain.sensor(sensor).name
        laws.hold(law, same, f"sensor {sensor} is {model.sensor(sensor).name!r}", right)
    _medium(laws, arena, body, model)
    touching, before = (
        int(((each.geom_contype != 0) | (each.geom_conaffinity != 0)).sum()) for each in (dressed, model)
    )
    laws.hold(
        "what is added to be seen changes no physics", (touching, dressed.nv) == (before, model.nv),
        f"{touching} geoms touch others and {before} do without it", "give it contype=0, conaffinity=0",
    )  # fmt: skip
    physics = MujocoBatch(body, 2, arena, n_threads=1)
    try:
        _start(physics, arena, body)
        for step in range(10):
            physics.act(np.sin(0.7 * step + np.ones((2, 1)) * np.arange(body.n_joints)))
            physics.step()
        finite = np.isfinite(physics.read("link_pos")).all() and not physics.diverged.any()
        laws.hold("a body can swim in an arena", finite, f"{body.name} diverged", "place nothing where the body starts")
        laws.alike(
            "environments do not hear each other", physics.read("link_pos")[1], physics.read("link_pos")[0],
            "keep no state in the arena",
        )  # fmt: skip
    finally:
        physics.close()
