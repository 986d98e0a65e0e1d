"""The laws of physics: MuJoCo's equations, quantities by name, independent environments, resumable states."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from ..envs import Body, Physics, make_body
from ..envs.bodies.body import joint_range
from ..envs.choice import PHYSICS
from ..envs.physics import PARAMETERS, QUANTITIES
from ..errors import InvalidBody, UnknownName
from ..laws import Laws

_ENVS, _STEPS = 3, 6
# Of a physics in double precision after a few steps: solvers stop at 1e-8.
_SOLVED = 1e-6
_FAST = 1e13  # m/s: beyond what MuJoCo takes for a body that moves


def check_physics(physics: str | Callable[..., Physics], body: str | Path | Body = "swimmer4") -> None:
    """Check a kind of physics against MuJoCo's own steps, and that environments are independent.

    Args:
        physics: a name, or a class that is called as `physics(bodies, n_envs, arena, n_threads)`.
        body: the body to simulate.

    Raises:
        ContractBroken: a law does not hold; the message names it.
        UnknownName: there is no such physics, or body.
        MissingDependency: numba cannot compile lanes here.
    """
    if isinstance(physics, str) and physics not in PHYSICS:
        raise UnknownName("physics", physics, PHYSICS)
    kind = PHYSICS[physics] if isinstance(physics, str) else physics
    made, laws = make_body(body), Laws(f"physics {physics if isinstance(physics, str) else physics.__name__}")
    held: list[Physics] = []

    def make(n_envs: int = _ENVS) -> Physics:
        held.append(kind((made,), n_envs, None, 1))
        return held[-1]

    try:
        for of_body in (_readings, _reset, _mujocos_step, _company, _parameters):
            of_body(laws, make, made)
        for law in (_states, _pushes, _divergence):
            law(laws, make)
    finally:
        for each in held:
            each.close()


def _placed(physics: Physics, ids: Any = range(_ENVS), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Put environments at rest, each with the pose that its number and the seed draw; return headings and angles."""
    low, high = joint_range(physics.body).T
    rngs = [np.random.default_rng([seed, index]) for index in ids]
    heading = np.array([rng.uniform(-2, 2) for rng in rngs])
    angles = np.array([rng.uniform(low / 2, high / 2) for rng in rngs])
    physics.reset(np.array(ids, int), heading, angles)
    return heading, angles


def _moved(physics: Physics, ids: Any = range(_ENVS), steps: int = _STEPS, seed: int = 1) -> None:
    """Step all environments by actions that each one's number draws."""
    rngs = [np.random.default_rng([seed, index]) for index in ids]
    for _ in range(steps):
        physics.act(np.array([rng.uniform(-1, 1, physics.body.n_joints) for rng in rngs]))
        physics.step()


def _read(physics: Physics) -> dict[str, np.ndarray]:
    return {name: np.array(physics.read(name)) for name in QUANTITIES}


def _row(found: dict[str, np.ndarray], rows: Any) -> dict[str, np.ndarray]:
    return {name: value[rows] for name, value in found.items()}


def _readings(laws: Laws, make: Callable[..., Physics], body: Body) -> None:
    physics = make()
    _placed(physics)
    _moved(physics)
    sizes = {"joints": body.n_joints, "links": body.n_links}
    for name, (shape, _) in QUANTITIES.items():
        with laws.asking("every quantity can be read", "see QUANTITIES"):
            value = physics.read(name)
        expected = (_ENVS, *(sizes.get(axis) or int(axis) for axis in shape.split()))
        is_right = value.shape == expected and value.dtype.kind == "f" and np.isfinite(value).all()
        laws.hold("a quantity has its shape", is_right, f"{name} is {value.dtype} of shape {value.shape}",
                  f"return finite floats of shape {expected}")  # fmt: skip
    with laws.asking("what is no quantity is named", "raise UnknownName"):
        try:
            physics.read("colour")
        except UnknownName:
            return
    laws.hold("what is no quantity is named", False, "it reads 'colour'", "raise UnknownName")


def _reset(laws: Laws, make: Callable[..., Physics], body: Body) -> None:
    physics = make()
    heading, angles = _placed(physics)
    law, right = "a reset puts a body at rest, as asked", "set heading and angles in rad, and all velocities to 0"
    for name, expected in {"heading": heading, "joint_pos": angles, "joint_vel": 0 * angles,
                           "root_vel": np.zeros((_ENVS, 3))}.items():  # fmt: skip
        laws.alike(law, np.array(physics.read(name), float), expected, right, _SOLVED, name)
    _moved(physics)
    before = _read(physics)
    heading, angles = _placed(physics, [1], seed=4)
    law, right = "a reset leaves the others alone", "change the rows of ids alone"
    laws.alike(law, _row(_read(physics), [0, 2]), _row(before, [0, 2]), right)
    for name, expected in {"heading": heading, "joint_pos": angles}.items():
        laws.alike("what is read is current after a reset", np.array(physics.read(name)[[1]], float), expected,
                   "forget what was read before", _SOLVED, name)  # fmt: skip
    physics.act(np.ones((_ENVS, body.n_joints)))
    before = _read(physics)
    physics.step(np.array([2]))
    law, right = "a step of some leaves the others alone", "advance the rows of ids alone"
    moving = [name for name in QUANTITIES if name != "motor_torque"]
    after = _read(physics)
    still, there = ({name: value[:2] for name, value in each.items() if name in moving} for each in (after, before))
    laws.alike(law, still, there, right)
    moved = not np.array_equal(after["joint_pos"][2], before["joint_pos"][2])
    laws.hold("a step moves what it is asked to", moved, "environment 2 stands still", "advance the rows of ids")


def _mujocos_step(laws: Laws, make: Callable[..., Physics], body: Body) -> None:
    """Step a copy of one environment by `mj_step`, and compare all that can be read."""
    physics, parts = make(), body.parts
    _placed(physics)
    _moved(physics)
    held = pickle.loads(pickle.dumps(physics.get_state()))
    _, spare = physics.mujoco(1)
    spare.qpos += 0.1
    laws.alike("mujoco(i) is a copy", physics.get_state(), held, "copy model and data", what="after writing to it,")
    model, data = physics.mujoco(1)
    angles = np.array([data.joint(name).qpos[0] for name in parts.joints]) * np.array(parts.joint_signs or 1)
    law, right = "mujoco(i) is environment i", "return copies of its model and data"
    laws.alike(law, angles, physics.read("joint_pos")[1].astype(float), right, _SOLVED, "joint_pos")
    n_substeps = round(body.control_dt / model.opt.timestep)
    action = np.random.default_rng(2).uniform(-1, 1, (_ENVS, body.n_joints))
    physics.act(action)
    scale = np.array(parts.action_scale or 1.0)
    control = action[1] * scale + np.array(parts.action_offset or 0.0)
    for name, value in zip(parts.motors, control, strict=True):
        data.actuator(name).ctrl[0] = value
    physics.step()
    mujoco.mj_step(model, data, n_substeps)
    mujoco.mj_forward(model, data)
    found = _row(_read(physics), 1)
    law, right = "a step is MuJoCo's", "solve the same equations; units are in QUANTITIES"
    for name, expected in _by_mujoco(model, data, body).items():
        size = max(1.0, float(np.abs(expected).max()))
        apart = found[name] - expected
        if name in ("heading", "link_angle"):
            apart = np.angle(np.exp(1j * apart))
        laws.alike(law, apart.astype(float), np.zeros_like(expected), right, _SOLVED * size, name)


def _by_mujoco(model: mujoco.MjModel, data: mujoco.MjData, body: Body) -> dict[str, np.ndarray]:
    """Return every quantity of one environment from MuJoCo's own arrays."""
    parts, plane = body.parts, list(body.parts.plane)
    signs = np.array(parts.joint_signs or (1,) * body.n_joints)
    roots = np.array([*parts.slide_signs, parts.turn_sign])
    frames = [data.site(name) for name in parts.frames]
    forward = -np.array([frame.xmat.reshape(3, 3)[plane, 1] for frame in frames])
    velocities = np.zeros((body.n_links, 6))
    for row, frame in zip(velocities, frames, strict=True):
        mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_SITE, frame.id, row, 1)
    links = np.array([data.body(name).xipos[plane] for name in parts.links])
    return {
        "joint_pos": np.array([data.joint(name).qpos[0] for name in parts.joints]) * signs,
        "joint_vel": np.array([data.joint(name).qvel[0] for name in parts.joints]) * signs,
        "heading": np.array(data.joint(parts.turn).qpos[0] * parts.turn_sign),
        "root_vel": np.array([data.joint(name).qvel[0] for name in (*parts.slides, parts.turn)]) * roots,
        "link_pos": links,
        "link_angle": np.arctan2(forward[:, 1], forward[:, 0]),
        # Rotation comes first in MuJoCo's, and the frame's z axis is the plane's normal.
        "link_vel": velocities[:, [3, 4, 2]],
        "com_pos": np.array(data.body(parts.root_body).subtree_com)[plane],
    }


def _company(laws: Laws, make: Callable[..., Physics], body: Body) -> None:
    """Step environment 2 in other company and another place."""
    physics, alone, other = make(), make(1), make(5)
    _placed(physics)
    _moved(physics)
    expected = _row(_read(physics), 2)
    law, right = "an environment is the same in any company and place", "let no lane, thread or order matter"
    for one, ids, place in ((alone, [2], 0), (other, [4, 2, 0, 1, 3], 1)):
        order = np.arange(len(ids))
        low, high = joint_range(body).T
        rngs = [np.random.default_rng([0, index]) for index in ids]
        heading = np.array([rng.uniform(-2, 2) for rng in rngs])
        one.reset(order, heading, np.array([rng.uniform(low / 2, high / 2) for rng in rngs]))
        _moved(one, ids)
        laws.alike(law, _row(_read(one), place), expected, right)


def _states(laws: Laws, make: Callable[..., Physics]) -> None:
    physics, other = make(), make()
    physics.set(np.arange(_ENVS), {"link_mass": np.array([0.8, 1.0, 1.3])})
    _placed(physics)
    _moved(physics)
    _placed(other, seed=7)
    state = physics.get_state()
    kept = pickle.loads(pickle.dumps(state))
    shown = _read(physics)
    law, right = "set_state goes on bit for bit", "hold everything that the future depends on"
    with laws.asking(law, right):
        other.set_state(kept)
    positions = ("joint_pos", "joint_vel", "heading", "link_pos", "com_pos")
    found = {name: np.array(other.read(name)) for name in positions}
    laws.alike("what is read is current after set_state", found, {name: shown[name] for name in positions},
               "compute what follows from the state", _SOLVED)  # fmt: skip
    with laws.asking("physics can be pickled", "take (bodies, n_envs, arena, n_threads), and keep what they were"):
        twin = pickle.loads(pickle.dumps(physics))
    try:
        for each in (physics, other, twin):
            _moved(each, seed=3)
        expected = _read(physics)
        laws.alike(law, _read(other), expected, right)
        laws.alike("pickled physics goes on bit for bit", _read(twin), expected, right)
        laws.alike("a state is a copy", state, kept, "copy arrays in get_state")
    finally:
        twin.close()


def _parameters(laws: Laws, make: Callable[..., Physics], body: Body) -> None:
    physics = make()
    plain = physics.mujoco(0)[0]
    links = [plain.body(name).id for name in body.parts.links]
    own = {
        "link_mass": lambda model: model.body_mass[links].sum(),
        "gear": lambda model: abs(np.array([model.actuator(name).gear[0] for name in body.parts.motors])).sum(),
        "density": lambda model: model.opt.density,
        "viscosity": lambda model: model.opt.viscosity,
    }
    law, right = "a parameter is set where it is asked", "multiply what the body was built with; viscosity is in Pa s"
    for name in PARAMETERS:
        value = 0.05 if name == "viscosity" else 1.25
        with laws.asking(law, right):
            try:
                physics.set(np.array([1]), {name: np.array([value])})
            except InvalidBody:
                continue  # of this body, it says, there is none
        _placed(physics)
        if name in own:
            found, before = own[name](physics.mujoco(1)[0]), own[name](plain)
            expected = value if name == "viscosity" else value * before
            laws.alike(law, float(found), float(expected), right, 1e-9 * max(1.0, abs(expected)), name)
            laws.alike("a parameter is one environment's own", float(own[name](physics.mujoco(0)[0])), float(before),
                       "set the rows of ids alone", 1e-12, name)  # fmt: skip
        _moved(physics, steps=2)
        laws.hold(law, np.isfinite(physics.read("link_pos")).all(), f"with {name} nothing is finite", right)
    physics.set(np.array([1]), {"gear": np.array([1.5])})
    gone = float(own["link_mass"](physics.mujoco(1)[0]))
    laws.alike("a parameter that is not named goes back", gone, float(own["link_mass"](plain)),
               "start from what the body was built with", 1e-9, "link_mass")  # fmt: skip
    law = "what is no parameter is named"
    try:
        physics.set(np.array([0]), {"colour": np.ones(1)})
    except UnknownName:
        return
    laws.hold(law, False, "it sets 'colour'", "raise UnknownName")


def _pushes(laws: Laws, make: Callable[..., Physics]) -> None:
    physics = make()
    _placed(physics)
    physics.push(1, np.array([0.3, -0.2]))
    found = np.array(physics.read("root_vel"), float)
    expected = np.zeros((_ENVS, 3))
    expected[1, :2] = 0.3, -0.2
    laws.alike("a push sets the velocity of one root", found, expected, "set two numbers, m/s", 1e-6, "root_vel")


def _divergence(laws: Laws, make: Callable[..., Physics]) -> None:
    physics, calm = make(), make()
    for each in (physics, calm):
        _placed(each)
    laws.hold("nothing has diverged at first", not physics.diverged.any(), f"{physics.diverged}", "clear it at reset")
    physics.push(1, np.array([_FAST, 0.0]))
    for each in (physics, calm):
        _moved(each, steps=2)
    law = "divergence is said of the environment that diverged"
    expected = [False, True, False]
    laws.hold(law, physics.diverged.tolist() == expected, f"diverged is {physics.diverged.tolist()} after a push of "
              f"{_FAST:g} m/s in environment 1", "note it, and keep it until a reset")  # fmt: skip
    laws.alike("divergence stays alone", _row(_read(physics), [0, 2]), _row(_read(calm), [0, 2]), "let no lane matter")
    _placed(physics, [1])
    laws.hold(
        "a reset ends divergence", not physics.diverged.any(), f"{physics.diverged.tolist()}", "clear it at reset"
    )
