"""The laws of bodies: named parts in a MuJoCo world, and motors that push in the direction of actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np

from ..envs import Body, MujocoBatch, make_body
from ..envs.bodies.body import joint_range
from ..envs.bodies.registry import body_from_json
from ..laws import Laws

_MOST_MOTORS = 4  # tried one by one, so that a check of a long body takes no longer
_OBJECTS = mujoco.mjtObj
_SAME_PHYSICS = ("body_mass", "body_inertia", "body_pos", "jnt_range", "dof_damping", "actuator_gear", "opt.timestep",
                 "opt.density", "opt.viscosity", "opt.gravity")  # fmt: skip


def check_body(body: str | Path | Body | Callable[[], Body]) -> None:
    """Check a body: its parts exist in the compiled world, and it moves in the direction of actions.

    Args:
        body: a name, an XML file, a `Body`, or the object of an entry point of nervecord.bodies: a function that
            returns one.

    Raises:
        ContractBroken: a law does not hold; the message names it.
        UnknownName, InvalidBody: there is no such body.
    """
    laws = Laws(f"body {getattr(body, '__name__', None) or getattr(body, 'name', None) or body}")
    if callable(body):
        with laws.asking("an entry point of nervecord.bodies names a function that returns a body", "return a Swimmer"):
            made = body()
    else:
        made = make_body(body)
    found = f"it is a {type(made).__name__}"
    laws.hold("a body is a Body", isinstance(made, Body), found, "return a Swimmer or an XmlBody")
    _value(laws, made)
    model = _parts(laws, made)
    _angles(laws, made)
    _beside_another(laws, made, model)
    _dressed(laws, made, model)
    _motors(laws, made)


def _value(laws: Laws, body: Body) -> None:
    with laws.asking("a body is a frozen value", "make it a frozen dataclass of hashable fields"):
        hash(body)
    law, right = "a run can hold a body as JSON", "return every field and `kind`, and let body_from_json read it"
    with laws.asking(law, right):
        again = body_from_json(json.loads(json.dumps(body.to_json())))
    laws.hold(law, again == body, f"{again!r:.80} comes back", right)
    is_time = isinstance(body.control_dt, int | float) and 0 < body.control_dt < np.inf
    laws.hold("a control step is a time", is_time, f"control_dt is {body.control_dt!r}", "give seconds, such as 0.03")


def _parts(laws: Laws, body: Body) -> mujoco.MjModel:
    with laws.asking("a body compiles", "see Body.add_to"):
        model, parts = body.compile(), body.parts
    kinds = {
        _OBJECTS.mjOBJ_BODY: (parts.root_body, *parts.links),
        _OBJECTS.mjOBJ_JOINT: (*parts.slides, parts.turn, *parts.joints),
        _OBJECTS.mjOBJ_SITE: parts.frames,
        _OBJECTS.mjOBJ_ACTUATOR: parts.motors,
        _OBJECTS.mjOBJ_SENSOR: ("nose_pos", "head_x", "head_y"),
    }
    for kind, names in kinds.items():
        missing = [name for name in names if mujoco.mj_name2id(model, kind, name) < 0]
        what = kind.name.removeprefix("mjOBJ_").lower()
        laws.hold(
            "parts are named as the world names them", not missing, f"there is no {what} {', '.join(missing)}",
            "name in parts what add_to adds",
        )  # fmt: skip
    n = len(parts.joints)
    counts = {"links": (parts.links, n + 1), "frames": (parts.frames, n + 1), "motors": (parts.motors, n)}
    for what, (named, expected) in counts.items():
        there = len(named)
        found, right = f"{there} {what} for {n} joints", f"name {expected}"
        laws.hold("every joint has a motor and carries a link, with a frame", there == expected, found, right)
    for joint, motor in zip(parts.joints, parts.motors, strict=True):
        moved = model.actuator(motor).trnid[0]
        laws.hold(
            "motors stand in the order of joints", moved == model.joint(joint).id,
            f"{motor} acts on {model.joint(moved).name} where {joint} stands", "order parts.motors as parts.joints",
        )  # fmt: skip
    in_order = ["nose_pos", "head_x", "head_y"]
    in_order += [f"{kind}_{index}" for index in range(n + 1) for kind in ("velocity", "gyro")]
    sensors = [model.sensor(index).name for index in range(min(model.nsensor, len(in_order)))]
    laws.hold(
        "its sensors come first, in their order", sensors == in_order, f"{', '.join(sensors[:5])} come first",
        "call nervecord.envs.bodies.sensors.add_sensors",
    )  # fmt: skip
    substeps = body.control_dt / model.opt.timestep
    laws.hold(
        "a control step is whole physics steps", abs(substeps - round(substeps)) < 1e-9 and round(substeps),
        f"{body.control_dt} s are {substeps:.4g} steps of {model.opt.timestep} s", "give a multiple",
    )  # fmt: skip
    return model


def _angles(laws: Laws, body: Body) -> None:
    limits, sizes = joint_range(body), body.link_sizes
    laws.hold(
        "joints bend from a lower to a higher angle", np.isfinite(limits).all() and (limits[:, 0] < limits[:, 1]).all(),
        f"ranges are {limits.round(3).tolist()!s:.60} rad", "give each joint a range",
    )  # fmt: skip
    is_sized = sizes.shape == (2, body.n_links) and np.isfinite(sizes).all() and (sizes > 0).all()
    laws.hold(
        "links have a length and a width", is_sized, f"link_sizes is {sizes.round(3).tolist()!s:.60}",
        "return [2, links], m, all above 0",
    )  # fmt: skip


def _beside_another(laws: Laws, body: Body, model: mujoco.MjModel) -> None:
    """Check that two copies of a body, each under its own prefix, share no names in a world."""
    law, right = "every name is under the prefix", "put prefix before each name in add_to"
    with laws.asking(law, right):
        spec = mujoco.MjSpec()
        for prefix in ("a-", "b-"):
            body.add_to(spec, prefix)
        both = spec.compile()
    for part in (*body.parts.links, *body.parts.motors):
        kind = _OBJECTS.mjOBJ_ACTUATOR if part in body.parts.motors else _OBJECTS.mjOBJ_BODY
        missing = [name for name in (f"a-{part}", f"b-{part}") if mujoco.mj_name2id(both, kind, name) < 0]
        laws.hold(law, not missing, f"{', '.join(missing)} is missing", right)
    laws.hold(law, both.nv == 2 * model.nv, f"two have {both.nv} degrees of freedom and one {model.nv}", right)


def _dressed(laws: Laws, body: Body, model: mujoco.MjModel) -> None:
    dressed = body.compile(visual=True)
    for field in _SAME_PHYSICS:
        law, right = "what is added to be seen changes no physics", "add no mass and no contact"
        laws.alike(law, _field(dressed, field), _field(model, field), right, what=field)


def _field(model: mujoco.MjModel, field: str) -> np.ndarray:
    holder = model.opt if field.startswith("opt.") else model
    return np.array(getattr(holder, field.removeprefix("opt.")))


def _motors(laws: Laws, body: Body) -> None:
    """Push each joint in turn to either side, and check the direction of its angle."""
    some = np.unique(np.linspace(0, body.n_joints - 1, min(body.n_joints, _MOST_MOTORS)).round().astype(int))
    rows, n = np.arange(len(some)), 2 * len(some)
    physics = MujocoBatch(body, n, n_threads=1)
    try:
        limits = joint_range(body)
        middle = np.tile(limits.mean(1), (n, 1))
        physics.reset(np.arange(n), np.zeros(n), middle)
        actions = np.zeros((n, body.n_joints))
        actions[rows, some], actions[rows + len(some), some] = 1.0, -1.0
        cut = physics.gear[0][some] == 0
        _frames(laws, body, physics)
        for _ in range(2):
            physics.act(actions)
            physics.step()
        angles, law = physics.read("joint_pos"), "motors move the body"
        laws.hold(law, np.isfinite(angles).all() and not physics.diverged.any(), "its angles are not finite",
                  "take a smaller physics step or weaker motors")  # fmt: skip
        apart = angles[rows, some] - angles[rows + len(some), some]
        wrong = some[(apart <= 0) & ~cut]
        laws.hold(
            "an action of +1 turns its joint up", not len(wrong),
            f"joint {', '.join(map(str, wrong[:3]))} turns down or not at all", "mind action_scale and joint_signs",
        )  # fmt: skip
        laws.hold(law, not cut.all() and apart.max() > 1e-6, "no joint turns", "give its motors a gear")
        for step in range(4):
            physics.act(np.sin(0.7 * step + np.arange(n)[:, None] + np.arange(body.n_joints)))
            physics.step()
        calm = np.isfinite(physics.read("link_pos")).all() and not physics.diverged.any()
        laws.hold(law, calm, "it diverged under waves of full strength", "take a smaller physics step or weaker motors")
    finally:
        physics.close()


def _frames(laws: Laws, body: Body, physics: MujocoBatch) -> None:
    """Check the axes of a body at rest with its joints in the middle of their ranges."""
    _, data = physics.mujoco(0)
    up = np.array([data.site(name).xmat.reshape(3, 3)[:, 2] for name in body.parts.frames])
    law = "a frame's z axis is the plane's normal and its -y axis points to the head"
    right = "turn the sites that parts.frames names"
    first, second = (np.eye(3)[axis] for axis in body.parts.plane)
    is_normal = np.allclose(up, np.cross(first, second), atol=1e-6)
    laws.hold(law, is_normal, f"a z axis is {up[0].round(3).tolist()}", right)
    if body.parts.is_chain:
        links, angle = physics.read("link_pos")[0], physics.read("link_angle")[0]
        forward = links[:-1] - links[1:]
        along = forward[:, 0] * np.cos(angle[1:]) + forward[:, 1] * np.sin(angle[1:])
        laws.hold(law, (along > 0).all(), f"link {int(np.argmin(along)) + 1} looks away from the head", right)
