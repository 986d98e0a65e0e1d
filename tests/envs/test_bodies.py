"""Bodies against dm_control, and what is said of bodies that cannot be."""

import dataclasses

import numpy as np
import pytest
from nervecord.envs import EnvBatch, MujocoBatch, Swimmer, XmlBody, make_body
from nervecord.errors import InvalidBody, NervecordError, UnknownName
from nervecord.extras import absence

CHAIN = """<mujoco><option timestep="0.005" density="1000"/><worldbody><body name="a">
<joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/><joint name="turn" type="hinge" axis="0 0 1"/>
<geom type="capsule" fromto="0 0 0 .2 0 0" size=".02"/>
<body name="b"><joint name="j0" type="hinge" axis="0 0 1" limited="true" range="-60 60"/>
<geom type="capsule" fromto="0 0 0 -.2 0 0" size=".02"/>{more}</body></body></worldbody>
<actuator>{motors}</actuator></mujoco>"""
MOTOR = '<motor joint="j0" gear="0.01" ctrllimited="true" ctrlrange="-1 1"/>'


@pytest.mark.parametrize("n_links", [3, 6, 15])
def test_swimmer_follows_dm_control_for_1000_steps(n_links):
    pytest.importorskip("dm_control", reason=absence("bench", "dm_control"))
    from dm_control.suite import swimmer as swimmer_suite

    env = swimmer_suite.swimmer(n_links, random=1)
    env.reset()
    physics = env.physics
    world = EnvBatch("navigate", 2, body=f"swimmer{n_links}")
    world.reset(np.arange(2))
    # The second environment is put where dm_control's episode begins.
    qpos = physics.data.qpos.copy()
    world.physics.reset(np.array([1]), qpos[2:3], qpos[None, 3:])
    target = np.tile(physics.named.model.geom_pos["target", :2], (2, 1))
    world.task.set_state({**world.task.get_state(), "target": target})
    rng = np.random.default_rng(0)
    for _ in range(999):
        action = rng.uniform(-1, 1, n_links - 1)
        expected = env.step(action)
        step = world.step(np.tile(action, (2, 1)))
        state = world.physics.get_state()
        assert np.array_equal(state["qpos"][1], physics.data.qpos)
        assert np.array_equal(state["qvel"][1], physics.data.qvel)
        observed = np.concatenate([expected.observation[key] for key in ("joints", "to_target", "body_velocities")])
        assert np.abs(step.observation[1] - observed).max() < 1e-12
        assert abs(step.reward[1] - expected.reward) < 1e-12


def test_a_lesioned_joint_gets_no_torque():
    gear = MujocoBatch(make_body("swimmer6-lesioned"), 1).gear[0]
    assert gear[2] == 0
    assert (np.delete(gear, 2) == 5e-4).all()


def test_the_torque_that_is_read_is_what_the_motors_applied():
    physics = MujocoBatch(make_body("swimmer4"), 1)
    physics.reset(np.array([0]), np.zeros(1), np.zeros((1, 3)))
    physics.act(np.array([[3.0, -0.5, 0.0]]))
    physics.step()
    # Commands beyond a motor's range are clipped.
    np.testing.assert_allclose(physics.read("motor_torque")[0], make_body("swimmer4").gear * np.array([1, -0.5, 0]))


def test_variants_change_what_they_say():
    plain = make_body("swimmer6").compile()
    assert np.isclose(make_body("swimmer6-heavy").compile().body_mass.sum(), 2 * plain.body_mass.sum())
    assert np.isclose(make_body("swimmer6-thick").compile().opt.viscosity, 0.1)
    tapered = make_body("swimmer6-eel").compile().body_mass[1:]
    assert (np.diff(tapered) < 0).all()
    assert np.isclose(tapered[-1] / tapered[0], 0.3)


def test_own_chain_from_xml_swims(tmp_path):
    path = tmp_path / "mine.xml"
    path.write_text(CHAIN.format(more="", motors=MOTOR), encoding="utf-8")
    body = make_body(str(path))
    assert (body.name, body.n_links) == ("mine", 2)
    world = EnvBatch("swim", 3, body=body)
    world.seed([0, 1, 2])
    world.reset(np.arange(3))
    world.step(np.full((3, 1), 0.5))
    # The head points from the joint to its tip, along +x of its frame, whatever the heading.
    world.step(np.zeros((3, 1)))
    turned = np.angle(np.exp(1j * (world.physics.read("link_angle")[:, 0] - world.physics.read("heading"))))
    assert np.abs(turned).max() < 1e-9


def test_gymnasium_swimmer_has_gymnasiums_dynamics():
    mujoco = pytest.importorskip("mujoco")
    from pathlib import Path

    import gymnasium

    xml = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "swimmer.xml"
    model = mujoco.MjModel.from_xml_path(str(xml))
    data = mujoco.MjData(model)
    physics = MujocoBatch(make_body("gymnasium-swimmer"), 1)
    physics.reset(np.array([0]), np.array([0.3]), np.array([[0.1, -0.2]]))
    data.qpos[2:] = 0.3, 0.1, -0.2
    rng = np.random.default_rng(0)
    for _ in range(200):
        action = rng.uniform(-1, 1, 2)
        data.ctrl[:] = action
        mujoco.mj_step(model, data, 4)
        physics.act(action[None])
        physics.step()
        assert np.abs(physics.get_state()["qpos"][0] - data.qpos).max() < 1e-9


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        ("<mujoco", "cannot compile"),
        ("<mujoco/>", "0 moving bodies"),
        (CHAIN.format(more="", motors=""), "no motor acts on"),
    ],
)
def test_xml_that_is_no_chain_is_refused_in_one_line(tmp_path, xml, words):
    path = tmp_path / "bad.xml"
    path.write_text(xml, encoding="utf-8")
    with pytest.raises(InvalidBody, match=words) as caught:
        XmlBody.from_file(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidBody, match="cannot read"):
        make_body(str(tmp_path / "none.xml"))


def test_unknown_body_names_the_nearest_first():
    with pytest.raises(UnknownName, match="did you mean 'swimmer6'"):
        make_body("swimer6")


@pytest.mark.parametrize(
    "change", [{"n_links": 2}, {"n_links": 101}, {"link_mass": 0.0}, {"taper": 1.0}, {"lesioned": (5,)}, {"gear": -1.0}]
)
def test_fields_out_of_range_are_refused(change):
    with pytest.raises(NervecordError):
        dataclasses.replace(Swimmer(), **change)
