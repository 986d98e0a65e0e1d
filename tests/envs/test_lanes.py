"""Lanes move chains as MuJoCo does, as a dense solve in long double does, and with the same bits wherever they are."""

import functools
import hashlib
import os
import pickle
import platform
import re
import subprocess
import sys
import time

import gymnasium
import mujoco
import numpy as np
import pytest
from nervecord.envs import (
    TASKS,
    VARIANTS,
    Arena,
    EnvBatch,
    MujocoBatch,
    Swim,
    SwimmerVectorEnv,
    XmlBody,
    choose_physics,
    make_body,
)
from nervecord.envs.physics.lanes import Lanes, read_chain, reason_not_compiled, reason_not_covered, rows
from nervecord.envs.resolution import make_setting
from nervecord.errors import InvalidBody, InvalidTask, MissingDependency, UnknownName

if reason := reason_not_compiled():
    pytest.skip(reason, allow_module_level=True)

import numba
from dense_chain import accelerations
from nervecord.envs.physics.lanes import compiling, kernel
from nervecord.vectors import as_rows
from scaled import stretched

VARIANT_BODIES = [f"swimmer6-{variant}" for variant in VARIANTS]
FAST = mujoco.mjtIntegrator.mjINT_IMPLICITFAST


def substeps(body):
    return round(make_body(body).control_dt / make_body(body).compile().opt.timestep)


def lanes_at(model, qpos, qvel=None, **options):
    lanes = Lanes(model, len(qpos), **options)
    lanes.reset(np.arange(len(qpos)), qpos, qvel)
    return lanes


def random_pose(rng, model, n, beyond=1.0):
    """Poses [n, coordinates] whose joints go to `beyond` times their limits, and speeds."""
    qpos = np.concatenate([rng.normal(size=(n, 2)), rng.uniform(-np.pi, np.pi, (n, 1)),
                           beyond * rng.uniform(*model.jnt_range[3:].T, (n, model.njnt - 3))], axis=1)  # fmt: skip
    return qpos, np.concatenate([rng.normal(size=(n, 2)), rng.normal(size=(n, model.njnt - 2))], axis=1)


def altered(body, alter):
    """The body's model after `alter(spec)`."""
    body, spec = make_body(body), mujoco.MjSpec()
    body.add_to(spec)
    Arena().add_to(spec, body)
    alter(spec)
    return spec.compile()


def implicitfast(spec):
    spec.option.integrator = FAST


def with_drag(spec, seed=0, servo=False):
    """Linear drag of each link by actuators without control, and perhaps servos for motors, under implicitfast."""
    rng = np.random.default_rng(seed)
    implicitfast(spec)
    for link in range(6):
        for axis in (0, 1, 5):
            gear = np.eye(6)[axis]
            drag = rng.uniform(0.01, 0.3) * (1e-3 if axis == 5 else 1)
            spec.add_actuator(name=f"drag_{link}_{axis}", trntype=mujoco.mjtTrn.mjTRN_SITE, target=f"link_{link}",
                              gear=gear, biastype=mujoco.mjtBias.mjBIAS_AFFINE, gainprm=[0.0] * 10,
                              biasprm=[0, 0, -drag] + [0] * 7)  # fmt: skip
    if servo:
        for motor in spec.actuators[:5]:
            motor.gainprm[0], motor.gear[0] = 2e-3, 0.7
            motor.biastype, motor.biasprm = mujoco.mjtBias.mjBIAS_AFFINE, [1e-5, -2e-3, -1e-5] + [0] * 7


def with_springs(spec):
    for index, joint in enumerate(joint for joint in spec.joints if joint.name.startswith("joint")):
        joint.stiffness[0], joint.damping[0], joint.springref = 1e-3, 1e-5 * (1 + index), 10.0


def distance_from_mujoco(model, n_substeps, n_steps, n_envs=2, speeds=False):
    """Largest difference in any coordinate from mj_step with its solver's tolerance at 0."""
    return distances(model, n_substeps, n_steps, n_envs, speeds)[0]


def distances(model, n_substeps, n_steps, n_envs, speeds=False, beside=None):
    """Largest difference of lanes from mj_step, and of mj_step from itself where joint 0 starts `beside`, rad."""
    rng = np.random.default_rng(0)
    model.opt.tolerance = 0
    qpos, qvel = random_pose(rng, model, n_envs, beyond=1.1)
    lanes, datas = lanes_at(model, qpos, qvel if speeds else None), [mujoco.MjData(model) for _ in qpos]
    twins = [mujoco.MjData(model) for _ in qpos] if beside else []
    for env, data in enumerate([*datas, *twins]):
        data.qpos = qpos[env % n_envs]
        data.qvel = qvel[env % n_envs] if speeds else 0
    for twin in twins:
        twin.qpos[3] += beside
    for step in range(n_steps):
        ctrl = rng.uniform(-1.2, 1.2, (n_envs, lanes.n_joints))
        ctrl = np.sign(ctrl) if step % 50 == 0 else ctrl
        lanes.step(ctrl, n_substeps)
        for env, data in enumerate([*datas, *twins]):
            data.ctrl[: lanes.n_joints] = ctrl[env % n_envs]
            mujoco.mj_step(model, data, n_substeps)
    assert not lanes.diverged.any()
    truth = np.array([data.qpos for data in datas])
    moved = np.array([twin.qpos for twin in twins])
    return np.abs(lanes.qpos - truth).max(), np.abs(moved - truth).max() if beside else 0.0


# --- known answers ---

INSIDE = ([0.3, 0.8, 0.1], [1, -2, 3], [0.5, -0.5])
PAST = ([0.3, 2.5, 0.3], [1, 4, -3], [1, -1])


@pytest.mark.parametrize(
    ("start", "alter", "turns", "front"),
    [
        (INSIDE, None, [20.89010972, 5.41703772, -128.13600906], [-3.77602247, 7.99680861]),
        (INSIDE, implicitfast, [15.87260095, 10.22746072, -110.01136269], [-2.95591892, 6.69032085]),
        (PAST, None, [117.7135808, -112.70539812, 782.10531484], [-1.84331973, 6.19036759]),
        (PAST, implicitfast, [75.71748527, -81.36378932, 488.13360343], [-1.36264247, 5.65458184]),
    ],
)
def test_swimmer3_has_the_accelerations_known_of_it(start, alter, turns, front):
    model = altered("swimmer3", alter or (lambda _: None))
    angle, rate, ctrl = (np.array(part, float) for part in start)
    lanes = Lanes(model, 1)
    # The link's axis points to the tail, world angles count from it.
    turn = lanes.chain.constants[rows.TURN]
    qpos = [0, 0, angle[0] - turn, *np.diff(angle)]
    lanes.reset(np.arange(1), np.array([qpos]), np.array([[0.1, -0.2, rate[0], *np.diff(rate)]]))
    lanes.step(ctrl[None], 1)
    found = lanes.get_state()["state"][0, :, 2]
    np.testing.assert_allclose(found, [*turns, *front], rtol=1e-8)


def two_hundred_steps(width, n_envs=1, **options):
    lanes = Lanes(make_body("swimmer6").compile(), n_envs, width=width, **options)
    for step in range(200):
        lanes.step(np.where((step // 30 + np.arange(5)) % 2 == 0, 1.0, -1.0)[None].repeat(n_envs, 0), 15)
    return lanes.get_state()["state"]


# Every machine compiles 2 and one of the others anyway, for its batches.
OTHER = 8 if compiling.has_wide_registers() else 16


@pytest.mark.parametrize("width", [2, 24 - OTHER, pytest.param(OTHER, marks=pytest.mark.slow)])
def test_two_hundred_steps_end_in_the_same_bits_on_every_machine(width):
    state = two_hundred_steps(width)[0]
    assert [number.hex() for number in (state[0, 0], state[5, 0], state[6, 0])] == [
        "0x1.2d9091e6a483dp+0",
        "0x1.f6ae72c797834p+0",
        "-0x1.ee47694e523aep-8",
    ]


# --- against a dense solve and against MuJoCo ---

CHAIN = """<mujoco><compiler autolimits="true"/><option density="3000"{option}><flag contact="disable"{flag}/></option>
<worldbody>{world}<body name="head"><joint type="slide" axis="1 0 0"{slide}/>
<joint type="slide" axis="0 1 0"/><joint axis="0 0 1"/>
<geom type="box" size=".05 .01 .02"/>{head}<body pos=".05 0 0"><joint name="a" axis="0 0 {axis}" range="-60 60"{joint}/>
<geom type="box" size=".05 .01 .02" pos=".05 {off} 0" euler="0 0 {askew}"/>{tail}</body></body></worldbody>
<actuator><{motor} joint="a" ctrlrange="-1 1"{actuator}/></actuator>{more}</mujoco>"""
PLAIN = dict.fromkeys(("option", "flag", "world", "slide", "head", "joint", "tail", "actuator", "more"), "") | {
    "axis": "1", "off": "0", "askew": "0", "motor": "motor"}  # fmt: skip
STATES = {"euler": None, "implicitfast": implicitfast, "drag": with_drag, "springs": with_springs}


@functools.cache
def dense_cases():
    cases = {f"swimmer{n}": make_body(f"swimmer{n}").compile() for n in (3, 4, 6, 9, 15, 26, 40, 63, 100)}
    cases |= {name: make_body(name).compile() for name in ("swimmer6-eel", "swimmer6-thick", "swimmer12-asymmetric")}
    cases |= {name: altered("swimmer6", alter) for name, alter in STATES.items() if alter}
    cases["servo"] = altered("swimmer6", functools.partial(with_drag, servo=True))
    cases["xml"] = mujoco.MjModel.from_xml_string(CHAIN.format(**PLAIN | {"joint": ' armature="1e-4" stiffness=".1"'}))
    return cases


@pytest.mark.parametrize("name", list(dense_cases()))
def test_one_step_is_that_of_a_dense_solve_in_long_double(name):
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("long double is no wider than double here")
    model, rng = dense_cases()[name], np.random.default_rng(1)
    n = 8 if model.njnt < 50 else 2
    qpos, qvel = random_pose(rng, model, n, beyond=1.4)
    lanes = Lanes(model, n)
    draws = {each: rng.uniform(0.6, 1.6, n) for each in ("link_mass", "link_length", "gear", "density")}
    lanes.set(np.arange(n), viscosity=rng.uniform(0, 0.2, n), **draws)
    lanes.reset(np.arange(n), qpos, qvel)
    assert_one_step_is_the_dense_one(lanes, rng.uniform(-1, 1, (n, lanes.n_joints)))


def assert_one_step_is_the_dense_one(lanes, ctrl):
    before = lanes.get_state()["state"]
    lanes.step(ctrl, 1)
    after, pushing = lanes.get_state()["state"], 0
    for env in range(lanes.n_envs):
        place, speed = before[env, :, 0], before[env, :, 1]
        truth, pushes = accelerations(lanes.chain, lanes._parameters[env], place, speed, ctrl[env])
        pushing += pushes
        assert np.abs(after[env, :, 2] - truth).max() <= 1e-12 * np.abs(truth).max()
    assert pushing > 0


@pytest.mark.parametrize("body", ["swimmer6", "swimmer6-asymmetric"])
def test_two_hundred_drawn_bodies_step_as_a_dense_solve_does(body):
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("long double is no wider than double here")
    model, rng, n = altered(body, implicitfast), np.random.default_rng(11), 100
    lanes = Lanes(model, n)
    draws = {each: np.exp(rng.uniform(-1.2, 1.2, n)) for each in ("link_mass", "link_length", "gear", "density")}
    drag = rng.uniform(0, 0.3, (n, 6, 3)) * (1, 1, 1e-3)
    lanes.set(np.arange(n), viscosity=rng.uniform(0, 0.3, n), drag=drag, **draws)
    lanes.reset(np.arange(n), *random_pose(rng, model, n, beyond=1.5))
    assert_one_step_is_the_dense_one(lanes, rng.uniform(-1, 1, (n, 5)))


@pytest.mark.parametrize(
    ("body", "n_steps"),
    [("swimmer3", 200), ("swimmer6", 200), ("swimmer15", 120), *((body, 120) for body in VARIANT_BODIES),
     ("gymnasium-swimmer", 200)],
)  # fmt: skip
def test_bodies_follow_mj_step(body, n_steps):
    assert distance_from_mujoco(make_body(body).compile(), substeps(body), n_steps) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("body", ["swimmer3", "swimmer6", "swimmer15", *VARIANT_BODIES, "gymnasium-swimmer"])
def test_bodies_follow_mj_step_for_a_thousand_control_steps(body):
    """Or go no further from it than it goes from itself when one joint starts 1e-13 rad elsewhere: some are chaotic."""
    distance, own = distances(make_body(body).compile(), substeps(body), 1000, n_envs=2, beside=1e-13)
    assert distance < max(1e-9, own)


@pytest.mark.slow
@pytest.mark.parametrize("integrator", ["IMPLICITFAST", "RK4"])
def test_every_integrator_follows_mj_step_for_a_thousand_control_steps(integrator):
    kind = getattr(mujoco.mjtIntegrator, f"mjINT_{integrator}")
    model = altered("swimmer6", lambda spec: setattr(spec.option, "integrator", kind))
    distance, own = distances(model, 15, 1000, n_envs=2, beside=1e-13)
    assert distance < max(1e-9, own)


@pytest.mark.parametrize(
    "alter",
    [implicitfast, with_drag, functools.partial(with_drag, servo=True), with_springs,
     lambda spec: (with_springs(spec), implicitfast(spec)),
     lambda spec: (with_drag(spec), setattr(spec.option, "viscosity", 0.1))],
    ids=["fluid", "drag", "servo", "springs", "springs-implicitfast", "drag-viscosity"],
)  # fmt: skip
def test_implicit_steps_follow_mj_step(alter):
    assert distance_from_mujoco(altered("swimmer6", alter), 15, 100, speeds=True) < 1e-9


@pytest.mark.parametrize("integrator", ["EULER", "IMPLICITFAST", "RK4"])
def test_forces_from_outside_are_mujocos(integrator):
    kind = getattr(mujoco.mjtIntegrator, f"mjINT_{integrator}")
    model, rng = altered("swimmer6", lambda spec: setattr(spec.option, "integrator", kind)), np.random.default_rng(9)
    model.opt.tolerance = 0
    lanes, datas = lanes_at(model, random_pose(rng, model, 3)[0]), [mujoco.MjData(model) for _ in range(3)]
    for data, qpos in zip(datas, lanes.qpos, strict=True):
        data.qpos = qpos
    for _ in range(20):
        force = rng.normal(size=(3, 6, 3)) * (0.01, 0.01, 1e-4)
        lanes.set(np.arange(3), force=force)
        lanes.step(np.zeros((3, 5)), 15)
        for data, each in zip(datas, force, strict=True):
            data.xfrc_applied[1:, (0, 1, 5)] = each
            mujoco.mj_step(model, data, 15)
    assert np.abs(lanes.qpos - [data.qpos for data in datas]).max() < 1e-10
    state = lanes.get_state()
    resumed = Lanes(model, 3)
    resumed.set_state(state)
    for each in (lanes, resumed):
        each.step(np.ones((3, 5)), 15)
    assert resumed.get_state()["state"].tobytes() == lanes.get_state()["state"].tobytes()
    resumed.set(np.arange(3), force=np.zeros((3, 6, 3)))
    assert not resumed._constants[rows.IS_PUSHED]


def test_hundred_links_stay_near_mj_step_whose_own_rounding_is_larger():
    assert distance_from_mujoco(make_body("swimmer100").compile(), 15, 3) < 1e-7


@pytest.mark.parametrize("body", ["swimmer3", "swimmer6-long", "swimmer6-eel", "gymnasium-swimmer"])
def test_readings_are_the_simulations(body):
    physics = MujocoBatch(make_body(body), 3)
    qpos, qvel = random_pose(np.random.default_rng(2), physics.mujoco(0)[0], 3)
    physics.reset(np.arange(3), qpos[:, 2], qpos[:, 3:])
    physics.set_state({**physics.get_state(), "qpos": qpos, "qvel": qvel})
    lanes = lanes_at(physics.mujoco(0)[0], qpos, qvel)
    axes, read = physics.read("head_axes"), physics.read
    for ours, theirs in (
        (lanes.qpos, qpos), (lanes.qvel, qvel), (lanes.com, read("com_pos")), (lanes.nose_pos, read("nose_pos")),
        (lanes.link_velocity, read("link_vel")), (lanes.head_x, axes[:, 0]), (lanes.head_y, axes[:, 1]),
        (lanes.gear, np.broadcast_to(physics.gear, lanes.gear.shape)), (lanes.link_pos, read("link_pos")),
        (np.exp(1j * lanes.link_angle), np.exp(1j * read("link_angle"))),
    ):  # fmt: skip
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("body", ["swimmer3", "swimmer6-eel", "swimmer12", "gymnasium-swimmer"])
def test_drawn_bodies_are_what_compiling_them_scaled_gives(body):
    body, n = make_body(body), 3
    rng = np.random.default_rng(3)
    names = ("link_mass", "link_length", "gear", "density", "viscosity")
    draws = {name: rng.uniform(0.5, 2, n) for name in names}
    lanes = Lanes(body.compile(), n + 2, scaled=lambda **draw: stretched(body, draw))
    qpos, qvel = random_pose(rng, body.compile(), n + 2)
    lanes.reset(np.arange(n + 2), qpos, qvel)
    lanes.set(np.arange(1, n + 1), **draws)
    np.testing.assert_allclose(lanes.qpos, qpos, atol=1e-14)
    for env in range(n):
        model = stretched(body, {name: draws[name][env] for name in names})
        np.testing.assert_allclose(lanes._parameters[env + 1], read_chain(model).parameters, rtol=1e-11, atol=1e-20)
        alone = lanes_at(model, qpos[env + 1 : env + 2], qvel[env + 1 : env + 2])
        np.testing.assert_allclose(lanes.nose_pos[env + 1], alone.nose_pos[0], atol=1e-14)
    assert (lanes._parameters[[0, n + 1]] == lanes.chain.parameters).all()


# --- what physics demands ---


def test_without_fluid_motors_and_limits_cannot_move_the_centre_of_mass_or_turn_the_body():
    model, rng = stretched(make_body("swimmer6"), {"density": 0.0}), np.random.default_rng(4)
    qpos, qvel = random_pose(rng, model, 5, beyond=1.3)
    lanes = lanes_at(model, qpos, qvel)
    angle, rate = (lanes.get_state()["state"][:, :6, column] for column in (0, 1))
    centre = lanes.link_pos - lanes.com[:, None]
    lanes.step(rng.uniform(-1, 1, (5, 5)), 1)
    accel, links = lanes.get_state()["state"][:, :, 2], lanes.chain.links(lanes.chain.parameters)
    tangent, normal = np.stack([np.cos(angle), np.sin(angle)], -1), np.stack([-np.sin(angle), np.cos(angle)], -1)
    turning = accel[:, :6, None] * normal - rate[..., None] ** 2 * tangent
    reach = links[:, rows.LENGTH, None] * turning
    of_centres = accel[:, None, 6:] + np.cumsum(reach, 1) - reach + links[:, rows.CENTRE, None] * turning
    force = links[:, rows.MASS, None] * of_centres
    moment = centre[..., 0] * force[..., 1] - centre[..., 1] * force[..., 0] + links[:, rows.INERTIA] * accel[:, :6]
    assert np.abs(force.sum(1)).max() < 1e-13 * np.abs(force).max()
    assert np.abs(moment.sum(1)).max() < 1e-13 * np.abs(moment).max()


def test_turning_the_whole_body_turns_everything():
    model, rng, by = make_body("swimmer6-asymmetric").compile(), np.random.default_rng(5), 1.234
    qpos, qvel = random_pose(rng, model, 4)
    turn = np.array([[np.cos(by), -np.sin(by)], [np.sin(by), np.cos(by)]])
    turned, moved = qpos.copy(), qvel.copy()
    turned[:, 2] += by
    moved[:, :2] = qvel[:, :2] @ turn.T
    one, two = lanes_at(model, qpos, qvel), lanes_at(model, turned, moved)
    start = one.com.copy(), two.com.copy()
    for ctrl in rng.uniform(-1, 1, (40, 4, 5)):
        one.step(ctrl, 15)
        two.step(ctrl, 15)
    np.testing.assert_allclose(two.qpos[:, 3:], one.qpos[:, 3:], atol=1e-12)
    np.testing.assert_allclose(two.link_velocity, one.link_velocity, atol=1e-11)
    np.testing.assert_allclose(two.com - start[1], (one.com - start[0]) @ turn.T, atol=1e-12)


def test_drag_of_a_setting_is_drag_by_actuators():
    model = altered("swimmer6", with_drag)
    chain = read_chain(model)
    qpos, qvel = random_pose(np.random.default_rng(6), model, 3)
    plain, ours = altered("swimmer6", implicitfast), []
    lanes = lanes_at(plain, qpos, qvel)
    lanes.set(np.arange(3), drag=np.broadcast_to(chain.drag, (3, 6, 3)))
    theirs = lanes_at(model, qpos, qvel)
    for each in (lanes, theirs):
        each.step(np.ones((3, 5)), 15)
        ours.append(each.get_state()["state"])
    assert chain.drag.min() > 0
    np.testing.assert_allclose(*ours, rtol=1e-13)


# --- bits ---


def drawn(n, seed=7, **options):
    """Lanes of `n` drawn bodies in drawn poses, and commands for 20 control steps."""
    body, rngs = make_body("swimmer6"), [np.random.default_rng([seed, env]) for env in range(n)]
    model = body.compile()
    poses = [random_pose(rng, model, 1, beyond=1.2) for rng in rngs]
    qpos, qvel = (np.concatenate(part) for part in zip(*poses, strict=True))
    lanes = Lanes(model, n, **options)
    # Lighter links in denser water diverge at this time step, on MuJoCo too.
    scales = np.array([rng.uniform((0.9, 0.8, 0.3), (1.4, 1.1, 0.9)) for rng in rngs]).T
    lanes.set(np.arange(n), link_mass=scales[0], link_length=scales[1], density=scales[2])
    lanes.reset(np.arange(n), qpos, qvel)
    return lanes, np.array([rng.uniform(-1, 1, (20, 5)) for rng in rngs]).swapaxes(0, 1)


def bits_after(lanes, commands):
    for ctrl in commands:
        lanes.step(ctrl, 15)
    return lanes.get_state()["state"]


def test_bits_depend_on_neither_batch_nor_place_nor_width_nor_threads():
    truth = bits_after(*drawn(70))
    assert np.isfinite(truth).all()
    if (numba.config.NUMBA_NUM_THREADS or 1) > 1:
        assert bits_after(*drawn(70, n_threads=2)).tobytes() == truth.tobytes()
    for n in (1, 3, 17):
        assert bits_after(*drawn(n)).tobytes() == truth[:n].tobytes()
    lanes, commands = drawn(70)
    order = np.random.default_rng(0).permutation(70)
    assert bits_after(*drawn(5, width=16)).tobytes() == truth[:5].tobytes()
    for ctrl in commands:  # in two halves, in any order
        lanes.step(ctrl[order[:30]], 15, order[:30])
        lanes.step(ctrl[order[30:]], 15, order[30:])
    assert lanes.get_state()["state"].tobytes() == truth.tobytes()


def test_a_neighbour_that_diverges_changes_no_bit_and_is_named():
    lanes, commands = drawn(20)
    truth = bits_after(*drawn(20))
    qpos = lanes.qpos[[3, 8]].copy()
    qpos[0, 4], qpos[1, 3] = np.nan, 1e300
    lanes.reset(np.array([3, 8]), qpos)
    found = bits_after(lanes, commands)
    kept = np.delete(np.arange(20), [3, 8])
    assert found[kept].tobytes() == truth[kept].tobytes()
    assert list(np.flatnonzero(lanes.diverged)) == [3, 8]
    lanes.reset(np.array([3, 8]), np.zeros((2, 8)))
    assert not lanes.diverged.any()


def test_a_resumed_simulation_continues_bit_for_bit():
    lanes, commands = drawn(6)
    bits_after(lanes, commands[:7])
    state, readings = lanes.get_state(), lanes._readings.copy()
    copied = pickle.loads(pickle.dumps(lanes))
    truth = bits_after(lanes, commands[7:])
    resumed = Lanes(make_body("swimmer6").compile(), 6)
    resumed.set_state(state)
    assert resumed._readings.tobytes() == readings.tobytes()
    assert bits_after(resumed, commands[7:]).tobytes() == truth.tobytes()
    assert bits_after(copied, commands[7:]).tobytes() == truth.tobytes()
    some = np.array([4, 1])
    resumed.set_state({name: values[some] for name, values in state.items()}, some)
    for ctrl in commands[7:]:
        resumed.step(ctrl[some], 15, some)
    assert resumed.get_state()["state"].tobytes() == truth.tobytes()


def test_divergence_is_seen_at_the_control_step_of_mujoco_or_one_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warning into a file of the working folder
    body = make_body("swimmer6")
    model = stretched(body, {"link_mass": 1e-3, "gear": 3e7})
    lanes, data = Lanes(model, 1), mujoco.MjData(model)
    ours = theirs = None
    bad = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)
    for step in range(60):
        lanes.step(np.ones((1, 5)), 15)
        data.ctrl[:] = 1
        mujoco.mj_step(model, data, 15)
        ours = step if ours is None and lanes.diverged[0] else ours
        theirs = step if theirs is None and any(data.warning[each].number for each in bad) else theirs
    assert ours is not None
    assert theirs is not None
    assert abs(ours - theirs) <= 1


# --- code and cache ---


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads the assembly of x86")
def test_the_sweep_divides_in_vectors_only():
    @numba.njit("void(float64[:, ::1], float64[:, ::1], int64)", error_model="numpy")
    def swept(space, parameters, n_links):
        kernel.sweep(n_links, as_rows(space, 16), as_rows(parameters, 16), 0.0, True, 0.0, 0)

    (assembly,) = swept.inspect_asm().values()
    divisions = set(re.findall(r"\bv?div[sp][sd]\b", assembly))
    assert divisions in ({"vdivpd"}, {"divpd"})
    assert not re.findall(r"\bv?f[n]?m(add|sub)\w*", assembly)


def test_compiled_code_is_kept_and_found_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiling._load("weigh", 2)
    before, after = caplog.messages
    what = "weigh of the physics of lanes, 2 environments at a time"
    assert before == f"compiling {what}, once on this machine; takes some seconds"
    assert re.fullmatch(rf"compiled {what} in [\d.]+ s; kept in .+", after)
    assert str(tmp_path) in after
    caplog.clear()
    compiling._load("weigh", 2)
    compiling._load("weigh", 4)  # another width is other code
    assert len(caplog.messages) == 2


def test_compiled_code_that_no_version_loads_any_more_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folders = [tmp_path / "nervecord" / f"lanes-0.0.{age}-0123456789ab" for age in (1, 40)]
    for folder, age in zip(folders, (1, 40), strict=True):
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age * 86_400,) * 2)
    os.makedirs(compiling.cache_folder())
    os.utime(compiling.cache_folder(), (0, 0))
    compiling._load("weigh", 2)
    assert [folder.exists() for folder in folders] == [True, False]
    assert time.time() - compiling.cache_folder().stat().st_mtime < 60


def test_a_folder_that_cannot_be_written_or_is_damaged_costs_a_compilation_and_a_line(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert callable(compiling._load("weigh", 2))
    assert "cannot cache it" in caplog.text
    assert "NUMBA_CACHE_DIR" in caplog.text
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "damaged"))
    compiling._load("weigh", 2)
    for path in (tmp_path / "damaged").rglob("*.nb[ci]"):
        path.write_bytes(path.read_bytes()[:50])
    assert callable(compiling._load("weigh", 2))
    assert len(caplog.messages) == 6  # each time, before and after


def test_importing_the_package_loads_no_numba():
    code = "import nervecord, nervecord.envs.physics.lanes, sys; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_numba_one_line_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with pytest.raises(MissingDependency, match="NUMBA_DISABLE_JIT"):
        compiling._load("weigh", 2)
    monkeypatch.delenv("NUMBA_DISABLE_JIT")
    with monkeypatch.context() as patch:
        patch.setattr(numba, "__version__", "0.58.1")
        with pytest.raises(MissingDependency, match=r"numba is 0\.58\.1; .* 0\.63 or later"):
            compiling._load("weigh", 2)
    with monkeypatch.context() as patch:
        patch.setattr(compiling.platform, "machine", lambda: "riscv64")
        patch.setattr("llvmlite.binding.get_host_cpu_features", lambda: {"m": True, "v": False})
        with pytest.raises(MissingDependency, match=r"this CPU \(riscv64\) has none: take physics mujoco"):
            compiling._load("weigh", 2)
    with monkeypatch.context() as patch:
        patch.setattr(kernel, "WEIGH", "void(float64)")
        refused = r"numba [\d.]+ cannot compile weigh of the physics of lanes, 2 .+: .+; take another numba"
        with pytest.raises(MissingDependency, match=refused):
            compiling._load("weigh", 2)
    with monkeypatch.context() as patch:
        (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.3 or less')", encoding="utf-8")
        patch.syspath_prepend(tmp_path)
        patch.delitem(sys.modules, "numba")
        with pytest.raises(MissingDependency, match=r"cannot be imported: Numba needs NumPy 2\.3 or less; mend it"):
            compiling._load("weigh", 2)
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match="pip install numba"):
        compiling._load("weigh", 2)


# --- what is not covered ---


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"head": '<body pos="-.1 0 0"><joint axis="0 0 1"/><geom size=".01"/></body>'}, "tree"),
        ({"head": '<body pos="-.1 0 0"><geom size=".01"/></body>'}, "without a joint"),
        ({"more": '<tendon><fixed><joint joint="a" coef="1"/></fixed></tendon>'}, "tendons"),
        ({"more": '<equality><joint joint1="a"/></equality>'}, "equality"),
        ({"motor": "position", "actuator": ' timeconst=".1"'}, "activation"),
        ({"option": ' integrator="implicit"'}, "integrator"),
        ({"option": ' gravity="1 0 0"'}, "gravity"),
        ({"option": ' wind="1 0 0"'}, "wind"),
        ({"flag": ' spring="disable"'}, "flags change spring"),
        ({"axis": "-1"}, "hinges about z"),
        ({"joint": ' ref="10"'}, "reference angle"),
        ({"joint": ' frictionloss="1"'}, "friction"),
        ({"joint": ' actuatorfrcrange="-1 1"'}, "force of its motor"),
        ({"joint": ' solimplimit="0 .8 .1 .3 2"'}, "midpoint"),
        ({"joint": ' margin="0.1"'}, "margin"),
        ({"slide": ' damping="1"'}, "root"),
        ({"slide": ' armature="1"'}, "armature"),
        ({"actuator": ' forcerange="-1 1"'}, "limits its force"),
        ({"head": '<geom size=".01" pos="0 .03 0"/>'}, "off the line"),
        ({"off": ".01"}, "oblique"),
        ({"askew": "20"}, "oblique"),
        ({"head": '<geom fluidshape="ellipsoid" size=".01" mass="0"/>'}, "ellipsoid"),
    ],
)  # fmt: skip
def test_what_is_not_covered_is_said_in_one_line(odd, said):
    model = mujoco.MjModel.from_xml_string(CHAIN.format(**PLAIN | odd))
    assert said in reason_not_covered(model)
    with pytest.raises(InvalidBody, match=said):
        Lanes(model, 1)


def test_contacts_are_not_covered_where_geoms_may_touch():
    xml = CHAIN.format(**PLAIN).replace('<flag contact="disable"/>', "")
    # Two links, parent and child: MuJoCo itself passes over the pair.
    assert reason_not_covered(mujoco.MjModel.from_xml_string(xml)) is None
    touching = CHAIN.format(**PLAIN | {"world": '<geom type="plane" size="1 1 .1"/>'})
    touching = touching.replace('<flag contact="disable"/>', "")
    assert "contacts" in reason_not_covered(mujoco.MjModel.from_xml_string(touching))


def test_an_xml_chain_that_meets_the_assumptions_follows_mj_step():
    model = mujoco.MjModel.from_xml_string(CHAIN.format(**PLAIN | {"joint": ' armature="1e-4" stiffness=".1"'}))
    assert reason_not_covered(model) is None
    assert distance_from_mujoco(model, 10, 50, speeds=True) < 1e-9


def test_mistakes_are_one_line():
    model = make_body("swimmer3").compile()
    with pytest.raises(InvalidTask, match="n_threads is 5000; give 1 to"):
        Lanes(model, 4, n_threads=5000)
    with pytest.raises(InvalidTask, match="n_envs is 0"):
        Lanes(model, 0)
    with pytest.raises(UnknownName, match="did you mean 'link_mass'"):
        Lanes(model, 1).set(np.arange(1), link_mas=np.ones(1))


# The sums that every machine has to find.
HASHES = {"euler": "406823ecaa79e390", "implicitfast": "f60ef32a8e1640c1", "rk4": "f4259c39f59bd4d7"}


def test_sixty_random_steps_have_one_hash_for_every_way_to_integrate():
    found = {}
    for name in HASHES:
        integrator = getattr(mujoco.mjtIntegrator, f"mjINT_{name.upper()}")
        model = altered("swimmer6", lambda spec, integrator=integrator: setattr(spec.option, "integrator", integrator))
        rng = np.random.default_rng(8)
        # Numbers of few bits, which every machine's generator and parser make alike.
        qpos = np.round(rng.uniform(-1, 1, (4, 8)) * 64) / 64
        lanes = lanes_at(model, qpos)
        for ctrl in np.round(rng.uniform(-1, 1, (60, 4, 5)) * 64) / 64:
            lanes.step(ctrl, 15)
        found[name] = hashlib.sha256(lanes.get_state()["state"].tobytes()).hexdigest()[:16]
    assert found == HASHES


# --- behind the interface of physics ---

CHAIN_OF_TWO = """<mujoco><option timestep="0.005" density="1000"><flag contact="disable"/></option><worldbody>
<body name="a"><joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/><joint type="hinge" axis="0 0 1"/>
<geom type="capsule" fromto="0 0 0 .2 0 0" size=".02"/>
<body name="b"><joint name="j0" type="hinge" axis="0 0 1" limited="true" range="-60 60"/>
<geom type="capsule" fromto="0 0 0 -.2 0 0" size=".02"/></body></body></worldbody><actuator>
<motor joint="j0" gear="0.01" ctrllimited="true" ctrlrange="-1 1"/></actuator></mujoco>"""


@pytest.mark.parametrize("task", ["swim", "navigate", "cueturn"])
@pytest.mark.parametrize("body", ["swimmer6", "swimmer4-eel", "gymnasium-swimmer"])
def test_environments_on_lanes_are_those_on_mujoco(task, body):
    options = {"task": task, "body": body, "observe_time": True, "episode_steps": 60}
    options["randomize"] = {"link_mass": (0.8, 1.2), "gear": (0.8, 1.2), "viscosity": (0.0, 0.05)}
    ours, theirs = (SwimmerVectorEnv(5, physics=physics, **options) for physics in ("lanes", "mujoco"))
    np.testing.assert_allclose(ours.reset(seed=2)[0], theirs.reset(seed=2)[0], atol=1e-9)
    rng = np.random.default_rng(0)
    for _ in range(40):
        actions = rng.uniform(-1.2, 1.2, ours.action_space.shape)
        mine, other = ours.step(actions), theirs.step(actions)
        # At its default tolerance MuJoCo's solver of limits stops early, and is off by more than lanes are.
        for one, two in zip(mine[:2], other[:2], strict=True):
            np.testing.assert_allclose(one, two, atol=2e-3)
        assert [each.tolist() for each in mine[2:4]] == [each.tolist() for each in other[2:4]]
        torques = [env.batch.physics.read("motor_torque") for env in (ours, theirs)]
        np.testing.assert_allclose(*torques, atol=1e-12)


def test_an_environment_on_lanes_goes_on_from_its_state_and_from_a_pickle():
    options = {"body": "swimmer4", "physics": "lanes", "episode_steps": 30, "randomize": {"link_length": (0.9, 1.1)}}
    env = SwimmerVectorEnv(3, **options)
    env.reset(seed=1)
    rng = np.random.default_rng(0)
    for _ in range(11):
        env.step(rng.uniform(-1, 1, (3, 3)))
    twin = pickle.loads(pickle.dumps(env))
    third = SwimmerVectorEnv(
        3, body="swimmer4", physics="lanes", episode_steps=30, randomize={"link_length": (0.9, 1.1)}
    )
    third.set_state(env.get_state())
    for _ in range(30):
        actions = rng.uniform(-1, 1, (3, 3))
        steps = [each.step(actions)[:4] for each in (env, twin, third)]
        for one, two, three in zip(*steps, strict=True):
            assert np.array_equal(one, two)
            assert np.array_equal(one, three)


class CountedSwim(Swim):
    """Swim, with a reward that the physics cannot know of: it is assembled in Python."""

    def reward(self):
        return super().reward()


@pytest.mark.parametrize("n_envs", [1, 70])
def test_what_the_kernel_shows_is_what_senses_and_task_say(n_envs, monkeypatch):
    monkeypatch.setitem(TASKS, "counted", CountedSwim)
    options = {"physics": "lanes", "observe_time": True, "episode_steps": 20, "randomize": {"gear": (0.5, 2.0)}}
    ours, theirs = EnvBatch("swim", n_envs, **options), EnvBatch("counted", n_envs, **options)
    assert ours._face is not None
    assert theirs._face is None
    for env in (ours, theirs):
        env.seed(range(n_envs))
    everyone, rng = np.arange(n_envs), np.random.default_rng(0)
    assert np.array_equal(ours.reset(everyone), theirs.reset(everyone))
    for step in range(25):
        if step == 13:
            ours = pickle.loads(pickle.dumps(ours))
        if step == 17:
            state = ours.get_state()
            ours.reset(everyone)
            ours.set_state(state)
        actions, ids = rng.uniform(-1.2, 1.2, (n_envs, 5)), everyone[::2] if step % 3 == 0 else None
        mine, other = ours.step(actions, ids), theirs.step(actions, ids)
        for one, two in zip(mine[:4], other[:4], strict=True):
            assert one.dtype == two.dtype
            assert np.array_equal(one, two)
        assert mine.metrics.keys() == other.metrics.keys()
        for name, value in mine.metrics.items():
            np.testing.assert_allclose(value, other.metrics[name], atol=1e-7)
        assert np.array_equal(ours.observation(), theirs.observation())
    assert mine.truncated.any()
    assert ours.observation_space.contains(mine.observation[0])
    ended = np.array([0])
    assert np.array_equal(ours.reset(ended), theirs.reset(ended))


def test_an_environment_that_diverges_ends_at_the_control_step_of_mujoco_or_one_beside_it():
    options = {"body": "swimmer6", "randomize": {"link_mass": (1e-3, 1e-3), "gear": (3e7, 3e7)}}
    ends = {}
    for physics in ("mujoco", "lanes"):
        env = EnvBatch("swim", 1, physics=physics, **options)
        env.seed([0])
        last = env.reset(np.arange(1))
        while not (stepped := env.step(np.ones((1, 5)))).terminated[0]:
            last = stepped.observation
        ends[physics] = env.elapsed[0]
        assert stepped.metrics["diverged"][0]
        assert stepped.reward[0] == 0
        assert not stepped.truncated[0]
        assert np.array_equal(stepped.observation, last)
        assert np.isfinite(stepped.metrics["net_speed"]).all()
    assert abs(ends["mujoco"] - ends["lanes"]) <= 1


def test_a_body_on_lanes_that_runs_away_is_ended_with_its_last_observation():
    env = EnvBatch("swim", 2, body="swimmer6", physics="lanes")
    env.seed([0, 1])
    before = env.reset(np.arange(2))
    state = env.get_state()
    state["physics"]["state"][1, :, 1] = 1e12
    env.set_state(state)
    env._last_observation[:] = before
    step = env.step(np.ones((2, 5)))
    assert step.metrics["diverged"].tolist() == [False, True]
    assert step.terminated.tolist() == [False, True]
    assert np.array_equal(step.observation[1], before[1])
    assert step.reward[1] == 0
    assert env.reset(np.array([1]))[1].tolist() != before[1].tolist()
    assert not env.step(np.ones((2, 5))).terminated.any()


def test_mujocos_own_view_of_a_body_on_lanes():
    env = EnvBatch("swim", 2, body="swimmer6", physics="lanes", randomize={"link_mass": (0.5, 2.0)})
    env.seed([0, 1])
    env.reset(np.arange(2))
    model, data = env.physics.mujoco(1)
    assert model.body_mass.sum() != make_body("swimmer6").compile().body_mass.sum()
    np.testing.assert_allclose(data.subtree_com[1, :2], env.physics.read("com_pos")[1], atol=1e-12)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (["swimmer6", "swimmer6-heavy"], "does not step batches of several bodies"),
        (
            XmlBody.from_text("wide", CHAIN_OF_TWO.replace('ctrlrange="-1 1"', 'ctrlrange="-2 2"')),
            "range is not -1 to 1",
        ),
    ],
    ids=["several", "range"],
)
def test_a_body_that_lanes_do_not_step_is_one_line(body, said):
    with pytest.raises(InvalidBody, match=said) as caught:
        EnvBatch("swim", 2, body=body, physics="lanes")
    assert "choose physics mujoco" in str(caught.value)


# --- which physics it is ---


def test_auto_is_lanes_where_they_can_and_one_line_where_they_cannot(monkeypatch, caplog):
    plain, several = make_setting("swim"), make_setting("swim", ["swimmer6", "swimmer6-heavy"])
    wide = make_setting("swim", XmlBody.from_text("wide", CHAIN_OF_TWO.replace('ctrlrange="-1 1"', 'ctrlrange="-2 2"')))
    assert choose_physics("auto", plain) == choose_physics("lanes", plain) == ("lanes", "")
    assert choose_physics("mujoco", several) == ("mujoco", "")
    for setting, said in ((several, "several bodies"), (wide, "cover wide: a motor's range")):
        name, why = choose_physics("auto", setting)
        assert name == "mujoco"
        assert said in why
        assert "\n" not in why
        with pytest.raises(InvalidBody, match=said):
            choose_physics("lanes", setting)
    with pytest.raises(UnknownName, match="did you mean 'lanes'"):
        choose_physics("lane", plain)
    env = EnvBatch("swim", 2, body=["swimmer6", "swimmer6-heavy"], physics="auto")
    assert env.physics_name == "mujoco"
    assert len(caplog.messages) == 1
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert choose_physics("auto", plain) == ("mujoco", f"physics mujoco: {reason_not_compiled()}")
    with pytest.raises(MissingDependency, match="NUMBA_DISABLE_JIT"):
        choose_physics("lanes", plain)


@pytest.mark.parametrize("name", ["Swim", "Navigate", "CueTurn"])
def test_version_1_is_lanes_and_version_0_mujoco(name, monkeypatch):
    for number, physics, dtype in (("0", "mujoco", np.float64), ("1", "lanes", np.float32)):
        env = gymnasium.make(f"nervecord/{name}-v{number}", body="swimmer4")
        assert env.unwrapped.batch.physics_name == physics
        assert env.reset(seed=0)[0].dtype == env.observation_space.dtype == dtype
        env.step(env.action_space.sample())
    envs = gymnasium.make_vec(f"nervecord/{name}-v1", num_envs=2, body=["swimmer4", "swimmer4-heavy"])
    assert envs.unwrapped.batch.physics_name == "mujoco"
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    for make in (gymnasium.make, gymnasium.make_vec):
        with pytest.raises(MissingDependency, match=f"{name}-v1 cannot run here, and nervecord/{name}-v0"):
            make(f"nervecord/{name}-v1")
        make(f"nervecord/{name}-v1", physics="mujoco")
