"""A user's XML as a body: right in whatever order and with whatever signs it is written, or one line."""

import dataclasses
import os
import pickle
import shutil
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from nervecord.envs import MujocoBatch, SwimmerEnv, SwimmerVectorEnv, XmlBody
from nervecord.errors import InvalidBody, InvalidOption
from nervecord.training.runs import RunConfig, resolve
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from systems import make_pipe

ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
MOTOR = '<motor joint="{joint}" gear="4e-4" ctrlrange="-1 1"/>'
SERVO = '<position joint="{joint}" gear="{gear}" kp="{kp}" kv="{kv}" ctrlrange="{low} {high}"/>'
SLIDES = '<joint name="px" type="slide" axis="1 0 0"/><joint name="py" type="slide" axis="0 1 0"/>'
ROOT = SLIDES + '<joint name="turn" axis="0 0 1"/>'
OPTION = '<option timestep="0.002" density="2500" gravity="0 0 0"><flag contact="disable"/></option>'


def chain(
    n=4, root=ROOT, motor=MOTOR, names=True, hinge='axis="0 0 1" range="-55 70"', top="", option=OPTION, world="",
    head="", tail="", extra="", order=None, joints=None, around="{}",
):  # fmt: skip
    """A chain of n links along y, one odd feature at a time."""
    text = tail
    for k in reversed(range(1, n)):
        name = f'name="part{k}"' if names else ""
        joint = joints[k] if joints else f'<joint name="j{k}" {hinge} armature="1e-6" damping="1e-6"/>'
        geom = f'<geom type="capsule" fromto="0 0 0 0 .08 0" size=".00{9 - k}" density="700"/>'
        text = f'<body {name} pos="0 .08 0">{joint}{geom}{text}</body>'
    name = 'name="part0"' if names else ""
    geom = '<geom type="capsule" fromto="0 0 0 0 .08 0" size=".01" density="700"/>'
    text = around.format(f"<body {name}>{root}{geom}{head}{text}</body>")
    motors = [motor(k) if callable(motor) else motor.format(joint=f"j{k}") for k in order or range(1, n)]
    return (
        f"<mujoco>{top}{option}<worldbody>{world}{text}</worldbody>"
        f"<actuator>{''.join(motors)}</actuator>{extra}</mujoco>"
    )


def compiled(body, prefix=""):
    spec = mujoco.MjSpec()
    body.add_to(spec, prefix)
    return spec.compile()


def differing(model, expected):
    """Numeric fields whose bits differ, tables of names apart."""
    names = []
    for have, want in ((model, expected), (model.opt, expected.opt), (model.stat, expected.stat)):
        for field in dir(want):
            # The buffer's size counts the names.
            if field.startswith(("_", "name")) or field in ("nnames", "nbuffer"):
                continue
            one, two = getattr(have, field), getattr(want, field)
            if isinstance(two, (np.ndarray, int, float)):
                one, two = np.asarray(one), np.asarray(two)
                if one.shape != two.shape or one.tobytes() != two.tobytes():
                    names.append(field)
    return names


def play(body, heading=0.4, steps=150):
    """Joint angles and in-plane senses as reported, under actions that depend on the step alone."""
    parts, model = body.parts, compiled(body)
    data = mujoco.MjData(model)
    at = [model.joint(joint).qposadr[0] for joint in parts.joints]
    data.qpos[model.joint(parts.turn).qposadr[0]] = parts.turn_sign * heading
    rng = np.random.default_rng(0)
    plane = list(parts.plane)
    rows = []
    for step in range(steps):
        if step % 10 == 0:
            action = rng.uniform(-1, 1, len(at))
        for motor, scale, offset, value in zip(
            parts.motors, parts.action_scale, parts.action_offset, action, strict=True
        ):
            data.ctrl[model.actuator(motor).id] = offset + scale * value
        mujoco.mj_step(model, data)
        velocities = data.sensordata[9:].reshape(-1, 6)[:, [0, 1, 5]]
        places = data.sensordata[:9].reshape(3, 3)[:, plane]
        rows.append(np.concatenate([np.array(parts.joint_signs) * data.qpos[at], places.ravel(), velocities.ravel()]))
    return np.array(rows)


@pytest.mark.parametrize("prefix", ["", "swimmer/"])
@pytest.mark.parametrize(
    "text",
    [
        (ASSETS / "swimmer.xml").read_text(encoding="utf-8"),
        chain(),
        chain(9, motor='<motor joint="{joint}" gear="1e-3" ctrllimited="true" ctrlrange="-1 1"/>'),
        chain(2, option='<option timestep="0.005" density="1000" integrator="RK4" wind="0 1 0"/>'),
        chain(3, head='<site name="eye" pos="0 .01 0"/><camera name="look"/>', names=True),
        chain(3, top='<compiler angle="radian"/>', hinge='axis="0 0 1" range="-1 1"'),
    ],
    ids=["gymnasium", "4 links", "9 links", "2 links", "things", "radian"],
)
def test_xml_chains_compile_to_the_bits_that_mujoco_makes_of_the_text(text, prefix):
    alone = mujoco.MjSpec.from_string(text).compile()
    different = differing(compiled(XmlBody.from_text("x", text), prefix), alone)
    # What we add: a site for each link and for the nose, and the sensors that are read there.
    ours = ("site", "sensor", "nnames_map", "signature")
    assert [name for name in different if not any(part in name for part in ours)] == []


def test_half_cheetah_is_a_body_in_the_vertical_plane():
    body = XmlBody.from_file(ASSETS / "half_cheetah.xml", 0.05)
    parts = body.parts
    assert parts.plane == (0, 2)
    assert (parts.slides, parts.turn) == (("rootx", "rootz"), "rooty")
    assert parts.joints == ("bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot") == parts.motors
    # A positive angle about y turns z towards x: clockwise in the plane of x and z.
    assert parts.turn_sign == -1
    assert parts.joint_signs == (-1,) * 6
    assert parts.action_scale == (-1.0,) * 6
    assert parts.action_offset == (0.0,) * 6
    assert (parts.is_chain, parts.is_upright) == (False, True)
    model = compiled(body)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = mujoco.MjModel.from_xml_path(str(ASSETS / "half_cheetah.xml"))
    # User data and the arena's size apart, only frames and sensors are new.
    new = {"geom_user", "nuser_geom", "narena", "nsensor", "nsensordata", "nsite", "nnames_map", "signature"}
    others = [each for each in differing(model, expected) if not each.startswith(("sensor_", "site_"))]
    assert set(others) <= new
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    nose = data.site(parts.nose).xpos
    assert nose[0] > 0.5
    frame = data.site(parts.frames[0]).xmat.reshape(3, 3)
    assert np.allclose(-frame[:, 1], [1, 0, 0])
    assert np.allclose(frame[:, 2], [0, -1, 0])


@pytest.mark.parametrize("name", ["hopper.xml", "walker2d_v5.xml"])
def test_other_planar_bodies_of_gymnasium_are_upright(name):
    body = XmlBody.from_file(ASSETS / name, 0.008)
    assert body.parts.plane == (0, 2)
    assert body.parts.is_upright
    assert np.isfinite(play(body)).all()


AROUND = {
    (0, 1): "{}",
    (0, 2): '<body euler="90 0 0">{}</body>',
    (1, 2): '<body quat=".5 .5 .5 .5">{}</body>',
}


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_body_written_otherwise_moves_the_same(data):
    signs = data.draw(st.lists(st.sampled_from([-1, 1]), min_size=9, max_size=9))
    order = data.draw(st.permutations([1, 2, 3]))
    plane = data.draw(st.sampled_from(sorted(AROUND)))
    unit = data.draw(st.sampled_from([0.5, 1.0, 7.0]))
    slides = [
        f'<joint name="px" type="slide" axis="{signs[0]} 0 0"/>',
        f'<joint name="py" type="slide" axis="0 {signs[1]} 0"/>',
    ]
    if data.draw(st.booleans()):
        slides.reverse()
    joints = [""]
    for k in (1, 2, 3):
        bounds = "-55 70" if signs[1 + k] > 0 else "-70 55"
        joints.append(f'<joint name="j{k}" axis="0 0 {signs[1 + k]}" range="{bounds}" armature="1e-6" damping="1e-6"/>')

    is_servo = data.draw(st.booleans())

    def motor(k):
        if is_servo:
            upward = signs[1 + k] * signs[4 + k]
            low, high = sorted(upward * bound * unit for bound in (-0.4, 0.6))
            return SERVO.format(
                joint=f"j{k}", gear=signs[4 + k] * unit, kp=2e-3 / unit**2, kv=1e-5 / unit**2, low=low, high=high
            )
        gear = signs[4 + k] * 4e-4 / unit
        return f'<motor joint="j{k}" gear="{gear}" ctrlrange="{-unit} {unit}"/>'

    text = chain(
        root="".join(slides) + f'<joint name="turn" axis="0 0 {signs[8]}"/>',
        joints=joints, motor=motor, order=order, around=AROUND[plane],
    )  # fmt: skip
    other = XmlBody.from_text("other", text)
    assert other.parts.plane == plane
    assert other.parts.motors == tuple(f"motor_{order.index(k)}" for k in (1, 2, 3))
    servo = SERVO.format(joint="{joint}", gear=1, kp=2e-3, kv=1e-5, low=-0.4, high=0.6)
    plain = play(XmlBody.from_text("plain", chain(motor=servo if is_servo else MOTOR)))
    assert np.abs(plain[:, :3]).max() > 0.1
    assert np.abs(play(other) - plain).max() < 1e-9


def test_links_whose_frames_are_turned_move_and_sense_the_same():
    """The links of the second chain lie along x of their frames, and the root is turned to y."""
    lie = chain().replace("0 .08 0", ".08 0 0")
    root = lie.replace('<body name="part0">', '<body name="part0" euler="0 0 90">')
    turned = root.replace('axis="1 0 0"', 'axis="0 -1 0"').replace(
        'type="slide" axis="0 1 0"', 'type="slide" axis="1 0 0"'
    )
    body = XmlBody.from_text("turned", turned)
    assert np.abs(play(body) - play(XmlBody.from_text("plain", chain()))).max() < 1e-9


@pytest.mark.parametrize("plane", sorted(AROUND))
def test_senses_of_links_do_not_depend_on_how_the_body_lies(plane):
    """Joint angles and what each link senses in its frame; places in the world are others."""
    lie = XmlBody.from_text("lie", chain(around=AROUND[plane]).replace("0 .08 0", ".08 0 0"))
    sensed = np.delete(play(lie) - play(XmlBody.from_text("plain", chain())), np.s_[3:9], axis=1)
    assert np.abs(sensed).max() < 1e-9


@pytest.mark.parametrize(
    ("motor", "scale", "offset"),
    [
        ('<motor joint="{joint}" ctrlrange="-5 5"/>', 5, 0),
        ('<motor joint="{joint}" ctrlrange="0 1"/>', 0.5, 0.5),
        ('<motor joint="{joint}" gear="-2" ctrlrange="-1 3"/>', -2, 1),
        ('<motor joint="{joint}" forcelimited="true" forcerange="-.2 .2"/>', 0.2, 0),
        ('<motor joint="{joint}" ctrlrange="-9 9" forcerange="-2 4"/>', 3, 1),
        ('<general joint="{joint}" gainprm="-2" forcerange="-4 4"/>', -2, 0),
        ('<general joint="{joint}" dyntype="filter" dynprm=".2" gainprm="4e-4" ctrlrange="-1 1"/>', 1, 0),
        ('<cylinder joint="{joint}" ctrlrange="-2 2"/>', 2, 0),
        ('<position joint="{joint}" kp="2e-3" ctrlrange="-.4 .4"/>', 0.4, 0),
        ('<position joint="{joint}" kp="2e-3"/>', np.deg2rad(62.5), np.deg2rad(7.5)),
        ('<position joint="{joint}" kp="2e-3" gear="-1"/>', -np.deg2rad(62.5), -np.deg2rad(7.5)),
        ('<position joint="{joint}" kp="2e-3" inheritrange="1" timeconst=".1"/>', np.deg2rad(62.5), np.deg2rad(7.5)),
        ('<velocity joint="{joint}" kv="1e-3" ctrlrange="-3 3"/>', 3, 0),
        ('<motor jointinparent="{joint}" ctrlrange="-1 1"/>', 1, 0),
    ],
)
def test_actions_are_in_units_of_the_motors_range(motor, scale, offset):
    parts = XmlBody.from_text("x", chain(motor=motor)).parts
    assert np.allclose(parts.action_scale, scale)
    assert np.allclose(parts.action_offset, offset)


ROCK = '<body name="rock" pos=".3 .2 0"><geom size=".04"/></body>'


@pytest.mark.parametrize(
    "change",
    [
        {"world": ROCK},
        {"world": '<body mocap="true" pos="0 1 0"><geom size=".02"/></body>'},
        {"world": '<body><camera name="c" pos="0 0 2"/></body><geom name="floor" type="plane" size="9 9 .1"/>'},
        {"around": "{}" + ROCK},
        {"names": False},
        {"head": '<site name="nose"/><site name="link_0"/><site/>'},
        {"head": '<body name="eye" pos=".01 0 0"><geom size=".002"/></body>'},
        {"extra": '<sensor><jointpos name="nose_pos" joint="j1"/></sensor><keyframe><key time="3"/></keyframe>'},
        {"top": '<size memory="1M" nuser_geom="3" nkey="1000000000" nuserdata="4"/>'},
        {"top": '<compiler discardvisual="true" fusestatic="true" boundmass=".001" balanceinertia="true"/>'},
        {"top": '<compiler settotalmass="2"/>', "head": '<inertial pos="0 .04 0" mass="1" diaginertia="1 1 1"/>'},
        {"extra": '<custom><numeric name="n" data="1"/><tuple name="t">'
         '<element objtype="site" objname="s"/></tuple></custom>',
         "head": '<site name="s"/>'},
        {"top": '<visual><map znear=".02"/><global fovy="30"/></visual><statistic extent="7" meaninertia=".1"/>'},
        {"extra": '<contact><exclude body1="part1" body2="part3"/></contact>'
         '<equality><joint joint1="j1" joint2="j2"/></equality>'},
        {"top": "<!-- -- odd > \" comment <include file='/x'/> -->"},
        {"option": '<option timestep=".004" wind="1 2 3" cone="elliptic" jacobian="dense" solver="CG" tolerance="1e-7" '
         'impratio="3" magnetic="1 2 3" iterations="17" ls_iterations="9" viscosity=".1" o_margin=".1">'
         '<flag override="enable" energy="enable" gravity="disable" warmstart="disable"/></option>'},
    ],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["", "b/"])
def test_what_else_stands_in_the_xml_is_kept(change, prefix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    body = XmlBody.from_text("x", chain(**change))
    assert body.n_links == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = compiled(body, prefix)
        spec = mujoco.MjSpec()
        for which in ("a/", "b/"):
            body.add_to(spec, which)
        both = spec.compile()
    assert os.listdir(tmp_path) == []  # MuJoCo would write a log file here
    assert both.nu == 2 * model.nu
    alone = mujoco.MjSpec.from_string(body.xml)
    alone.delete(alone.keys[0]) if alone.keys else None
    alone.nkey = 0
    alone.compiler.discardvisual = alone.compiler.fusestatic = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = alone.compile()
    for field in (
        "body_mass",
        "body_inertia",
        "body_pos",
        "jnt_range",
        "jnt_axis",
        "geom_size",
        "dof_damping",
        "eq_type",
    ):
        assert np.array_equal(getattr(model, field), getattr(expected, field)), field
        if field.startswith("jnt"):
            assert np.array_equal(getattr(both, field)[7 - 1 :], getattr(expected, field)), field
    # A second body does not change the first one's masses.
    assert np.isclose(both.body_mass.sum(), 2 * expected.body_mass.sum())
    options = [each for each in dir(model.opt) if not each.startswith("_")]
    for field in options:
        assert np.array_equal(getattr(model.opt, field), getattr(expected.opt, field)), field
    for name in [*body.parts.joints, *body.parts.slides, body.parts.turn]:
        assert model.joint(prefix + name).id >= 0
    for name in [*body.parts.frames, body.parts.nose]:
        assert model.site(prefix + name).id >= 0
    for name in ["nose_pos", "head_x", "head_y", "velocity_0", "gyro_3"]:
        assert model.sensor(prefix + name).id >= 0


UPRIGHT = (
    '<joint name="px" type="slide" axis="1 0 0"/><joint name="pz" type="slide" axis="0 0 1"/>'
    '<joint name="pitch" axis="0 1 0"/>'
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the XML is empty"),
        ("  \n", "the XML is empty"),
        ("<mujoco", "cannot compile"),
        ("\0\1", "not text"),
        ("\ud800", "not text"),
        ("<mujoco/>", "0 moving bodies"),
        (chain(world='<body name="ball" pos="1 0 0"><freejoint/><geom size=".1"/></body>'), "2 moving bodies"),
        (chain(root="<freejoint/>"), "are free; give two slides"),
        (chain(root='<joint type="ball"/>'), "are ball; give two slides"),
        (chain(root=SLIDES), "are slide, slide; give two slides"),
        (chain(root='<joint name="turn" axis="0 0 1"/>' + SLIDES), "a slide behind a hinge turns with it"),
        (chain(root=ROOT.replace('"0 1 0"', '"1 1 0"')), r"'py' has the axis 0.707 0.707 0 in the world"),
        (chain(root=ROOT.replace('"0 1 0"', '"1 0 0"')), "the root's axes are x, x, z"),
        (chain(root=UPRIGHT), "hinge 'j1' turns about 0 0 1 and the root about 0 1 0"),
        (chain(hinge='axis="1 0 0" range="-9 9"'), "give every hinge the axis of the root's"),
        (chain(hinge='axis="0 0 1"'), "joint 'j1' has no limit"),
        (chain(hinge='type="ball" range="0 9"'), r"has 1 joints \(ball\); give one hinge"),
        (chain(hinge='type="slide" axis="0 0 1" range="0 9"'), r"\(slide\); give one hinge"),
        (chain(2, joints=["", '<joint name="j1" axis="0 0 1" range="-9 9"/><joint axis="0 0 1"/>']), "has 2 joints"),
        (chain(1), "no joints but the root's"),
        (chain(order=[1, 2]), "no motor acts on 'j3'"),
        (chain(order=[1, 2, 3, 3]), "both act on 'j3'"),
        (chain(motor=lambda k: MOTOR.format(joint="turn" if k == 1 else f"j{k}")), "acts on the root joint 'turn'"),
        (chain(motor='<motor joint="{joint}"/>'), "has no finite range, and actions are relative to it"),
        (chain(motor='<velocity joint="{joint}"/>'), "has no finite range, and actions are relative to it"),
        (chain(motor='<damper joint="{joint}" kv="1" ctrlrange="0 1"/>'), "is not a motor or servo"),
        (chain(motor='<muscle joint="{joint}"/>'), "is not a motor or servo"),
        (chain(motor='<intvelocity joint="{joint}" actrange="-1 1"/>'), "is not a motor or servo"),
        (chain(motor='<motor joint="{joint}" ctrlrange="1 2" forcerange="-1 .5"/>'), "has no finite range"),
        (
            chain(extra='<tendon><fixed name="t"><joint joint="j1" coef="1"/></fixed></tendon>',
                  motor='<motor tendon="t" ctrlrange="-1 1"/>'),
            "acts on a tendon; give one motor per hinge",
        ),
        (chain(head='<site name="s"/>', motor='<motor site="s" ctrlrange="-1 1"/>'), "acts on a site"),
        (chain(option='<option timestep="0"/>'), "timestep is 0 s; give"),
        (chain(option='<option timestep="-.01"/>'), "timestep is -0.01 s; give"),
        (chain(option='<option timestep="nan"/>'), '<option timestep="nan"> is not a number'),
        (chain(option='<option wind="0 NaN 0"/>'), "is not a number"),
        (chain(option='<option><flag actuation="disable"/></option>'), "leave actuation enabled"),
        (chain(option='<option actuatorgroupdisable="0"/>'), "leave actuation enabled"),
        (chain(head='<geom size="nan"/>'), '<geom size="nan"> is not a number'),
        (chain(head='<geom size=".1" mass="nan"/>'), '<geom mass="nan"> is not a number'),
        (chain(motor='<motor joint="{joint}" gear="inf" ctrlrange="-1 1"/>'), "actuator_gear is not finite"),
        (chain(head='<geom size="inf"/>'), "not finite|cannot compile"),
        (chain(top='<include file="/etc/passwd"/>'), "<include> names the file '/etc/passwd'"),
        (chain(top='< INCLUDE file="/etc/passwd"/>'), "names the file '/etc/passwd'"),
        (chain(top='<asset><mesh name="m" file="m.stl"/></asset>'), "<mesh> names the file 'm.stl'"),
        (chain(top='<asset><hfield name="h" file="h.png" size="1 1 1 1"/></asset>'), "<hfield> from a file cannot be"),
        (chain(top='<asset><skin name="s" file="s.skn"/></asset>'), "<skin> from a file cannot be"),
        (chain(top='<asset><texture type="2d" file="t.png"/></asset>'), "<texture> names the file 't.png'"),
        (chain(top='<asset><texture type="cube" fileright="t.png"/></asset>'), "<texture> names the file 't.png'"),
        (chain(top='<asset><model name="m" file="m.xml"/></asset>'), "<model> is another model in a file"),
        (chain(world='<replicate count="1000000"><geom size="1"/></replicate>'), "more than 4000 elements"),
        (chain(world='<flexcomp name="f" type="grid" count="999 999 9"/>'), "<flexcomp> is deformable"),
        (chain(top='<asset><texture type="2d" builtin="flat" width="90000" height="90000"/></asset>'), "more than"),
        (chain(top='<asset>%s</asset>' % (9 * '<texture type="2d" builtin="flat" width="2048" height="2048"/>')),
         "<texture> brings pixels and heights to more than 16777216"),
        (chain(top='<asset><hfield name="h" nrow="90000" ncol="90000" size="1 1 1 1"/></asset>'), "<hfield> brings"),
        (chain(world=50 * '<replicate count="99"><geom size="1"/></replicate>'), "more than 4000 elements"),
        (chain(world='<replicate count="inf"><geom size="1"/></replicate>'), "more than 4000 elements"),
        (chain(world=90_000 * '<frame>' + 90_000 * '</frame>'), "more than 4000 elements"),
        (chain(top='<asset><mesh name="m" builtin="supersphere" params="99999 1 1"/></asset>'), "300 is the most"),
        (chain(motor='<general joint="{joint}" dyntype="user" actdim="1000000000"/>'), "100 is the most"),
        (chain(head=f'<geom name="{"a" * 10**6}" size="1"/>'), "name of a <geom> has 1000000 characters; at most 1000"),
        ('<!DOCTYPE mujoco [<!ENTITY a "b">]>' + chain(), "leave it out"),
    ],
)  # fmt: skip
def test_what_is_no_planar_body_is_refused_in_one_line(text, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidBody, match=words) as caught:
        XmlBody.from_text("bad", text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("bad: ")
    assert os.listdir(tmp_path) == []


def test_copies_that_stand_side_by_side_are_counted_once_each():
    row = '<replicate count="60" offset="0 0 1"><geom size=".1"/></replicate>'
    assert XmlBody.from_text("rows", chain(world=3 * row)).n_links == XmlBody.from_text("bare", chain()).n_links


def test_a_control_step_of_too_many_physics_steps_is_refused():
    body = XmlBody.from_text("fine", chain(option='<option timestep="1e-7"/>'))
    with pytest.raises(InvalidBody, match="300,000 physics steps of 1e-07 s; 10,000 are the most"):
        MujocoBatch(body, 1)


@pytest.mark.parametrize("control_dt", [0, -1, float("nan"), float("inf")])
def test_a_control_step_must_be_a_number_above_0(control_dt):
    with pytest.raises(InvalidBody, match="control_dt is"):
        XmlBody("x", chain(), control_dt)


def test_a_run_takes_another_control_step_and_a_wrong_one_names_the_way_out(tmp_path):
    path = tmp_path / "eel.xml"
    path.write_text(chain(option='<option timestep="0.0125" density="2500"/>'), encoding="utf-8")
    with pytest.raises(InvalidBody, match=r"of the physics step 0\.0125 s; give one, such as 0\.025$"):
        SwimmerEnv(body=path)
    resolved = resolve(RunConfig(body=path, control_dt=0.025, physics="mujoco"))
    assert RunConfig.from_json(resolved.config.to_json()) == resolved.config
    assert (resolved.agent.layout.dt, resolved.on("swimmer6").agent.layout.dt) == (0.025, 0.03)
    envs = resolved.make_envs(1)
    assert envs.dt == 0.025
    envs.close()
    several = RunConfig(bodies=["swimmer6", "swimmer6-eel"], control_dt=0.06)
    assert [body.control_dt for body in several.bodies] == [0.06, 0.06]
    with pytest.raises(InvalidOption, match="control_dt is 0; give a number above 0, or leave it out"):
        RunConfig(control_dt=0)


@pytest.mark.parametrize("suffix", [".xml", ".XML", ".mjcf", ""])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_of_any_suffix_is_read_as_it_is(tmp_path, suffix, kind):
    path = tmp_path / f"eel{suffix}"
    text = "<!-- -- kept -->\r\n" + chain()
    path.write_bytes(text.encode())
    body = XmlBody.from_file(kind(path), 0.02)
    assert (body.name, body.control_dt, body.xml) == ("eel", 0.02, text)
    assert hash(body) == hash(XmlBody("eel", text, 0.02))
    assert pickle.loads(pickle.dumps(body)) == body


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-32", "shift_jis"])
def test_encodings_that_the_xml_declares_are_read(tmp_path, encoding):
    name = "水" if encoding == "shift_jis" else "bücking"
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    text = f'<?xml version="1.0" encoding="{declared}"?>\n' + chain(head=f'<site name="{name}"/>')
    (tmp_path / "x.xml").write_bytes(text.encode(encoding))
    body = XmlBody.from_file(tmp_path / "x.xml")
    assert body.xml.lstrip("\ufeff") == text
    assert compiled(body).site(name).id >= 0


def test_files_that_cannot_be_read_are_named_in_one_line(tmp_path):
    make_pipe(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "nul").write_bytes(b"\0" * 100)
    (tmp_path / "latin").write_bytes("<mujoco><!-- ü --></mujoco>".encode("latin-1"))
    (tmp_path / "klingon").write_bytes(b'<?xml version="1.0" encoding="klingon"?><mujoco/>')
    (tmp_path / "hex").write_bytes(b'<?xml version="1.0" encoding="hex"?><mujoco/>')
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(65 * 2**20)
    for name, words in {
        "none.xml": "No such file", ".": "a folder", "pipe": "a pipe or a device", "empty": "is empty",
        "binary": "not text in utf-8", "nul": "binary file", "latin": "not text in utf-8",
        "klingon": "not text in klingon", "hex": "not text in hex", "huge": "68157440 bytes", "a\0b": "null",
        "x" * 999: "too long",
    }.items():  # fmt: skip
        with pytest.raises(InvalidBody, match=words) as caught:
            XmlBody.from_file(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InvalidBody, match="a pipe or a device"):
        XmlBody.from_file("/dev/zero")
    with pytest.raises(InvalidBody, match="cannot read"):
        XmlBody.from_file("~nobody-of-this-name/x.xml")


@pytest.mark.parametrize("text", ["<!--" * 200_000, "<a b='" * 200_000, '<"' * 200_000, "<" * 200_000, "<a " * 200_000])
def test_hostile_text_is_refused_at_once(text):
    with pytest.raises(InvalidBody, match="cannot compile"):
        XmlBody.from_text("bad", text, folder=Path())


def stl(triangles):
    head = b"\0" * 80 + struct.pack("<I", len(triangles))
    return head + b"".join(struct.pack("<12fH", 0, 0, 0, *np.ravel(each), 0) for each in triangles)


CORNERS = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0.01], [0.013, 0.02, 1 / 30]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
OBJ = (
    "".join(f"v {' '.join(str(float(value)) for value in corner)}\n" for corner in CORNERS)
    + "f 1//1 3//1 2//1\nf 1 2 4\nf 2 3 -1\nf 1/1 4/1 3/1\n"
)


def test_includes_meshes_and_textures_become_one_flat_text(tmp_path, monkeypatch):
    for folder in ("main/parts", "main/shapes", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "main/shapes/fin.stl").write_bytes(stl(CORNERS[FACES]))
    (tmp_path / "elsewhere/keel & co.OBJ").write_text(OBJ, encoding="utf-8")
    msh = struct.pack("<4i", 4, 0, 0, 4) + CORNERS.tobytes() + FACES.astype(np.int32).tobytes()
    (tmp_path / "main/shapes/tail.msh").write_bytes(msh)
    fin = '<geom type="mesh" mesh="fin" material="skin"/><geom type="mesh" mesh="keel" density="500"/>'
    fin += '<geom type="mesh" mesh="tail"/>'
    # Nested includes are sought from the folder of the main file.
    (tmp_path / "main/parts/assets.xml").write_text(
        '<mujocoinclude><!-- <x> --><include file="parts/more.xml"/></mujocoinclude>', encoding="utf-8"
    )
    (tmp_path / "main/parts/more.xml").write_text(
        '<?xml version="1.0"?><mujoco><asset><mesh file="fin.stl" scale="1 2 1"/><mesh file="tail.msh"/>'
        '<mesh name="keel" file="../../elsewhere/keel &amp; co.OBJ"/>'
        '<texture name="paint" type="2d" file="no such.png"/><texture type="cube" fileup="sky.png"></texture>'
        '<texture name="plain" type="2d" builtin="flat" width="8" height="8"/>'
        '<material name="skin" texture="paint" rgba="1 0 0 1"/><material name="two" texture="plain"/>'
        '<material name="three"><layer role="rgb" texture="paint"/></material>'
        "</asset></mujoco>",
        encoding="utf-8",
    )
    top = '<compiler meshdir="shapes"/><include file="parts/assets.xml"/>'
    path = tmp_path / "main" / "body.xml"
    path.write_text(chain(top=top, head=fin), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "elsewhere")
    body = XmlBody.from_file(path)
    for word in ("include", "file=", ".stl", "paint"):
        assert word not in body.xml
    assert repr(float(np.float32(1 / 30))) in body.xml
    model = compiled(body)
    assert model.mesh("fin").id >= 0
    assert model.ntex == 1
    # MuJoCo itself reads the files; textures apart, which are not there.
    more = tmp_path / "main/parts/more.xml"
    text = more.read_text(encoding="utf-8")
    for word in ('<texture name="paint" type="2d" file="no such.png"/>', '<layer role="rgb" texture="paint"/>',
                 '<texture type="cube" fileup="sky.png"></texture>', ' texture="paint"'):  # fmt: skip
        text = text.replace(word, "")
    more.write_text(text, encoding="utf-8")
    expected = mujoco.MjModel.from_xml_path(str(path))
    for field in ("body_mass", "body_inertia", "body_ipos", "geom_pos", "geom_rgba"):
        assert np.allclose(getattr(model, field), getattr(expected, field), rtol=1e-6, atol=1e-12), field
    # The body needs its files no more.
    shutil.rmtree(tmp_path / "main")
    assert differing(compiled(XmlBody(body.name, body.xml, body.control_dt)), model) == []


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ('<include file="none.xml"/>', "No such file"),
        ('<include/>', "names no file"),
        ('<include file="body.xml"/>', "included twice"),
        ('<include file="ok.xml"/><include file="ok.xml"/>', "included twice"),
        ('<include file="pipe"/>', "a pipe or a device"),
        ('<include file="plain"/>', "is not XML"),
        ('<asset><mesh name="m" file="pipe.stl"/></asset>', "a pipe or a device"),
        ('<asset><mesh name="m" file="plain.stl"/></asset>', "cannot be read"),
        ('<asset><mesh name="m" file="nan.obj"/></asset>', "not finite"),
        ('<asset><mesh name="m" file="wild.obj"/></asset>', "a vertex that does not exist"),
        ('<asset><mesh name="m" file="m.dae"/></asset>', "not an STL, OBJ or MSH file"),
        ('<asset><hfield name="h" file="h.png" size="1 1 1 1"/></asset>', "<hfield> from a file cannot be"),
        ('<asset><model name="m" file="ok.xml"/></asset>', "<model> is another model in a file"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_written_into_the_xml_are_refused_in_one_line(tmp_path, top, words):
    for name in ("pipe", "pipe.stl"):
        make_pipe(tmp_path / name)
    (tmp_path / "ok.xml").write_text("<mujoco/>", encoding="utf-8")
    for name in ("plain", "plain.stl"):
        (tmp_path / name).write_text("solid words", encoding="utf-8")
    (tmp_path / "nan.obj").write_text(OBJ.replace("v 0.0 ", "v nan ", 1), encoding="utf-8")
    (tmp_path / "wild.obj").write_text(OBJ + "f 1 2 99\n", encoding="utf-8")
    (tmp_path / "body.xml").write_text(chain(top=top), encoding="utf-8")
    with pytest.raises(InvalidBody, match=words) as caught:
        XmlBody.from_file(tmp_path / "body.xml")
    assert "\n" not in str(caught.value)


def test_a_body_read_back_from_a_run_opens_no_file(tmp_path):
    make_pipe(tmp_path / "pipe")
    for top in (f'<include file="{tmp_path}/pipe"/>', f'<asset><mesh name="m" file="{tmp_path}/pipe"/></asset>'):
        body = XmlBody("stranger", chain(top=top), 0.03)
        # A pipe that was opened would hang.
        with pytest.raises(InvalidBody, match="names the file"):
            body.add_to(mujoco.MjSpec())


def test_numbers_are_read_the_same_where_decimals_have_commas(tmp_path):
    made = shutil.which("localedef") and subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8"], capture_output=True, check=False
    )
    if not made or not (tmp_path / "de_DE.UTF-8").exists():
        pytest.skip("this system cannot make a German locale")
    (tmp_path / "x.xml").write_text(chain(), encoding="utf-8")
    code = (
        "import locale, sys\n"
        "locale.setlocale(locale.LC_ALL, 'de_DE.UTF-8')\n"
        "assert locale.localeconv()['decimal_point'] == ','\n"
        "import mujoco\n"
        "from nervecord.envs.bodies.xml_body import XmlBody\n"
        "spec = mujoco.MjSpec()\n"
        "XmlBody.from_file(sys.argv[1]).add_to(spec)\n"
        "model = spec.compile()\n"
        "print(model.opt.timestep, model.jnt_range[3:].tolist(), model.actuator_gear[0, 0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.xml"],
        env={**os.environ, "LOCPATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    model = compiled(XmlBody.from_file(tmp_path / "x.xml"))
    assert done.stdout == f"{model.opt.timestep} {model.jnt_range[3:].tolist()} {model.actuator_gear[0, 0]}\n"


@pytest.mark.parametrize("task", ["swim", "navigate"])
def test_a_half_cheetah_passes_the_checks_of_a_swimmer(task):
    body = XmlBody.from_file(ASSETS / "half_cheetah.xml", 0.05)
    env = SwimmerEnv(task, body=body)
    check_env(env, skip_render_check=True)
    check_env_sb3(env)
    vector = SwimmerVectorEnv(3, task, body=body, episode_steps=20)
    singles = [SwimmerEnv(task, body=body, episode_steps=20) for _ in range(3)]
    expected = [single.reset(seed=3 + index)[0] for index, single in enumerate(singles)]
    assert np.array_equal(vector.reset(seed=3)[0], expected)
    rng = np.random.default_rng(0)
    for step in range(15):
        actions = rng.uniform(-1, 1, (3, 6))
        stepped, one = (
            vector.step(actions),
            [single.step(action) for single, action in zip(singles, actions, strict=True)],
        )
        assert np.array_equal(stepped[0], [each[0] for each in one])
        assert np.array_equal(stepped[1], [each[1] for each in one])
        vector = pickle.loads(pickle.dumps(vector)) if step == 7 else vector
    assert SwimmerEnv(task, body=body, render_mode="rgb_array").render() is not None


def test_a_half_cheetah_moves_as_in_gymnasiums_own_model():
    body = XmlBody.from_file(ASSETS / "half_cheetah.xml", 0.05)
    physics, model = MujocoBatch(body, 1), mujoco.MjModel.from_xml_path(str(ASSETS / "half_cheetah.xml"))
    data, seen, rng = mujoco.MjData(model), mujoco.MjData(model), np.random.default_rng(0)
    physics.reset(np.array([0]), np.zeros(1), np.zeros((1, 6)))
    for _ in range(100):
        action = rng.uniform(-1, 1, 6)
        physics.act(action[None])
        physics.step()
        data.ctrl[:] = -action  # a positive action of ours turns a joint counter-clockwise, where gymnasium's y axis is
        mujoco.mj_step(model, data, 5)
        assert np.allclose(physics.read("joint_pos")[0], -data.qpos[3:], atol=1e-9)
        seen.qpos[:] = data.qpos
        mujoco.mj_fwdPosition(model, seen)
        assert np.allclose(physics.read("com_pos")[0], seen.subtree_com[1, [0, 2]], atol=1e-9)


def test_a_body_from_xml_has_no_fields_that_do_nothing():
    with pytest.raises(TypeError, match="gear"):
        dataclasses.replace(XmlBody.from_text("chain", chain(3)), gear=10.0)
