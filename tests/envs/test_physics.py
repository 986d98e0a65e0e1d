"""Physics by name: parameters against compiled models, whole states, divergence, several bodies in a batch."""

import math
import os
import pickle
import subprocess
import sys

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nervecord.envs import EnvBatch, MujocoBatch, SwimmerVectorEnv, XmlBody, make_body
from nervecord.errors import InvalidBody, InvalidTask
from scaled import stretched

DERIVED = (
    "body_mass", "body_inertia", "body_ipos", "body_pos", "body_subtreemass", "body_invweight0", "dof_invweight0",
    "dof_M0", "jnt_pos", "site_pos", "geom_pos", "geom_size", "geom_rbound", "actuator_gear", "actuator_acc0",
)  # fmt: skip
ODD = """<mujoco><option timestep="0.005" density="1000"/><worldbody><body name="a">
<joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/><joint type="hinge" axis="0 0 1"/>
<geom type="capsule" fromto="0 0 0 .2 .05 0" size=".02"/><geom type="sphere" pos=".1 0 .01" size=".03" mass=".02"/>
<body name="b"><joint name="j0" type="hinge" axis="0 0 1" limited="true" range="-60 60"/>
<geom type="cylinder" fromto="0 0 0 -.2 0 0" size=".02"/><geom type="ellipsoid" pos="-.1 .02 0" size=".05 .02 .01"/>
<body name="c" pos="-.2 0 0"><joint name="j1" type="hinge" axis="0 0 1" limited="true" range="-60 60"/>{last}</body>
</body></body></worldbody><actuator>
<motor joint="j0" gear="0.01" ctrllimited="true" ctrlrange="-1 1"/>
<motor joint="j1" gear="0.02" ctrllimited="true" ctrlrange="-1 1"/></actuator></mujoco>"""
BOX = '<geom type="box" pos="-.1 0 0" size=".1 .02 .01" euler="0 0 20" density="700"/>'


BODIES = {
    "swimmer3": make_body("swimmer3"),
    "swimmer6-eel": make_body("swimmer6-eel"),
    "gymnasium-swimmer": make_body("gymnasium-swimmer"),
    "odd": XmlBody.from_text("odd", ODD.format(last=BOX)),
}
DRAWS = st.fixed_dictionaries(
    {},
    optional={
        "link_mass": st.floats(0.3, 3.0),
        "link_length": st.floats(0.5, 2.0),
        "gear": st.floats(0.0, 2.0),
        "density": st.floats(0.0, 2.0),
        "viscosity": st.floats(0.0, 0.3),
    },
).filter(bool)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(BODIES)), draw=DRAWS)
def test_a_body_with_parameters_of_its_own_is_the_body_compiled_with_them(name, draw):
    physics, expected = MujocoBatch(BODIES[name], 2), stretched(BODIES[name], draw)
    physics.set(np.array([1]), {key: np.array([value]) for key, value in draw.items()})
    model, _ = physics.mujoco(1)
    for field in DERIVED:
        ours, theirs = getattr(model, field), getattr(expected, field)
        if field == "body_inertia":  # MuJoCo sorts the principal moments, of which no frame depends on the order
            ours, theirs = np.sort(ours), np.sort(theirs)
        assert np.allclose(ours, theirs, rtol=1e-9, atol=1e-12), field
    assert (model.opt.density, model.opt.viscosity) == pytest.approx((expected.opt.density, expected.opt.viscosity))
    untouched, _ = physics.mujoco(0)
    assert np.allclose(untouched.body_mass, BODIES[name].compile().body_mass, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["swimmer6", "gymnasium-swimmer", "odd"])
def test_a_drawn_body_moves_as_the_compiled_one(name):
    body = BODIES.get(name) or make_body(name)
    draw = {"link_mass": 1.3, "link_length": 0.8, "gear": 1.1, "density": 0.9, "viscosity": 0.05}
    physics, model = MujocoBatch(body, 1), stretched(body, draw)
    physics.set(np.array([0]), {key: np.array([value]) for key, value in draw.items()})
    physics.reset(np.array([0]), np.array([0.4]), np.zeros((1, body.n_joints)))
    data = mujoco.MjData(model)
    data.qpos[:] = physics.get_state()["qpos"][0]
    rng = np.random.default_rng(0)
    for _ in range(100):
        action = rng.uniform(-1, 1, (1, body.n_joints))
        physics.act(action)
        physics.step()
        data.ctrl[:] = action[0]
        mujoco.mj_step(model, data, physics.n_substeps)
        assert np.abs(physics.get_state()["qpos"][0] - data.qpos).max() < 1e-7


def test_links_whose_inertia_is_stated_can_be_made_heavier_but_not_longer():
    inertial = '<inertial pos="-.1 0 0" mass=".1" diaginertia=".001 .001 .001"/>'
    body = XmlBody.from_text("stated", ODD.format(last=inertial + BOX))
    physics = MujocoBatch(body, 1)
    physics.set(np.array([0]), {"link_mass": np.array([2.0])})
    assert physics.mujoco(0)[0].body_mass.sum() == pytest.approx(2 * body.compile().body_mass.sum())
    with pytest.raises(InvalidBody, match=r"not those of their geoms.*set link_mass instead"):
        physics.set(np.array([0]), {"link_length": np.array([2.0])})


def test_such_links_are_drawn_heavier_on_lanes_too():
    link = '<body name="b" pos="-.05 0 0"><inertial pos="-.1 0 0" mass=".1" diaginertia=".001 .001 .001"/>'
    chain = FILTERED.replace('<body name="b">', link).replace('dyntype="filter" dynprm="0.3" ', "")
    body = XmlBody.from_text("stated", chain)
    seen = []
    for physics in ("lanes", "mujoco"):
        envs = EnvBatch("swim", 2, body, physics=physics, randomize={"link_mass": (0.5, 2.0)})
        envs.seed([0, 1])
        envs.reset(np.arange(2))
        seen.append([envs.step(np.full((2, 1), 0.5)).observation for _ in range(20)])
        again = pickle.loads(pickle.dumps(envs))
        assert again.facts()["mass"] == pytest.approx(envs.facts()["mass"])
    np.testing.assert_allclose(*seen, atol=1e-6)


@pytest.mark.parametrize("physics", ["mujoco", "lanes"])
def test_a_state_of_bodies_that_were_not_drawn_undoes_draws(physics):
    plain, drawn = (EnvBatch("swim", 2, physics=physics, randomize=each) for each in ({}, {"link_mass": (2, 3)}))
    for envs in (plain, drawn):
        envs.seed([0, 1])
        envs.reset(np.arange(2))
    drawn.set_state(plain.get_state())
    assert drawn.physics.parameter("link_mass").tolist() == [1, 1]
    for _ in range(5):
        one, other = (envs.step(np.ones((2, 5))).observation for envs in (plain, drawn))
    assert np.array_equal(one, other)


def test_log_uniform_draws_are_even_in_the_logarithm():
    envs = EnvBatch("swim", 400, body="swimmer3", randomize={"link_mass": (0.1, 10.0, "log")})
    envs.seed(range(400))
    envs.reset(np.arange(400))
    factors = np.array([envs.physics.mujoco(i)[0].body_mass.sum() for i in range(400)]) / 0.03
    assert 0.1 <= factors.min() < 0.2
    assert 5 < factors.max() <= 10
    assert abs(np.log(factors).mean()) < 0.2
    with pytest.raises(InvalidTask, match="give a low above 0"):
        EnvBatch("swim", 1, randomize={"gear": (0.0, 1.0, "log")})


FILTERED = """<mujoco><option timestep="0.005" density="1000"/><worldbody><body name="a">
<joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/><joint type="hinge" axis="0 0 1"/>
<geom type="capsule" fromto="0 0 0 .2 0 0" size=".02"/>
<body name="b"><joint name="j0" type="hinge" axis="0 0 1" limited="true" range="-60 60"/>
<geom type="capsule" fromto="0 0 0 -.2 0 0" size=".02"/></body></body></worldbody><actuator>
<general joint="j0" gear="0.2" dyntype="filter" dynprm="0.3" ctrllimited="true" ctrlrange="-1 1"/>
</actuator></mujoco>"""


@pytest.mark.parametrize("body", [XmlBody.from_text("filtered", FILTERED), make_body("swimmer4")], ids=lambda b: b.name)
def test_a_state_holds_what_actuators_remember(body):
    envs = SwimmerVectorEnv(2, body=body, episode_steps=60, randomize={"link_mass": (0.5, 2.0)})
    envs.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        envs.step(rng.uniform(-1, 1, (2, body.n_joints)))
    again = SwimmerVectorEnv(2, body=body, episode_steps=60, randomize={"link_mass": (0.5, 2.0)})
    again.set_state(pickle.loads(pickle.dumps(envs.get_state())))
    for _ in range(60):
        actions = rng.uniform(-1, 1, (2, body.n_joints))
        for one, other in zip(envs.step(actions)[:4], again.step(actions)[:4], strict=True):
            assert np.array_equal(one, other)


def test_bodies_that_run_away_are_ended_with_their_last_observation_and_said(tmp_path):
    code = """
import numpy as np
from nervecord.envs import SwimmerVectorEnv
env = SwimmerVectorEnv(3, body="swimmer6", autoreset_mode="Disabled", reward="com")
before, _ = env.reset(seed=0)
state = env.get_state()
state["physics"]["qvel"][1, 3:] = 1e9
env.set_state(state)
seen, reward, terminated, truncated, info = env.step(np.ones((3, 5)))
assert terminated.tolist() == [False, True, False], terminated
assert not truncated.any()
assert info["diverged"].tolist() == [False, True, False]
assert reward[1] == 0 and np.isfinite(reward).all() and np.isfinite(seen).all()
assert env.single_observation_space.contains(seen[1])
assert np.isfinite(info["net_speed"]).all()
env.reset(options={"reset_mask": terminated})
assert not env.step(np.ones((3, 5)))[2].any()
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=os.environ, capture_output=True)
    assert list(tmp_path.iterdir()) == []  # MuJoCo's own log file, for one


# The sense context of swimmer6, swimmer6-heavy (twice the mass) and swimmer6-thick (0.1 Pa s).
CONTEXTS = [[0] * 6, [0, 0, math.log(2), 0, 0, 0], [0, 0, 0, 0, 0, math.log(2)]]


@pytest.mark.parametrize("physics", ["mujoco", "lanes"])
def test_context_is_the_logarithm_of_what_is_drawn(physics):
    ranges = {"link_length": (0.5, 0.5), "link_mass": (3, 3), "gear": (2, 2), "density": (0.1, 4), "viscosity": (0, 1)}
    envs = EnvBatch("swim", 3, "swimmer12", physics=physics, senses=["context", "time"], randomize=ranges)
    envs.seed([1, 2, 3])
    envs.reset(np.arange(3))
    models = [envs.physics.mujoco(index)[0].opt for index in range(3)]
    fluids = [(math.log(model.density / 3000), math.log(1 + model.viscosity / 0.1)) for model in models]
    expected = [[math.log(2), math.log(0.5), math.log(3), math.log(2), *fluid] for fluid in fluids]
    held = envs.get_state()
    # Only the first is drawn anew.
    envs.reset(np.array([0]))
    moved = envs.step(np.zeros((3, 11))).observation
    assert moved[1:, :6] == pytest.approx(np.array(expected[1:]), abs=1e-6)
    assert (moved[0, 4:6] != np.float32(expected[0][4:])).all()
    envs.set_state(held)
    assert envs.observation()[:, :6] == pytest.approx(np.array(expected), abs=1e-6)


def test_a_batch_of_several_bodies_steps_each_as_alone():
    names = ["swimmer6", "swimmer6-heavy", "swimmer6-thick"]
    together = SwimmerVectorEnv(6, body=names, senses=["joint_pos", "body_velocities", "context"], episode_steps=30)
    seen, _ = together.reset(seed=4)
    assert np.array_equal(seen[:, together.layout["context"]], np.tile(CONTEXTS, (2, 1)))
    alone = [SwimmerVectorEnv(1, body=names[i % 3], episode_steps=30) for i in range(6)]
    first = [env.reset(seed=4 + index)[0][0] for index, env in enumerate(alone)]
    size = alone[0].layout.size
    assert np.array_equal(seen[:, :size], first)
    rng = np.random.default_rng(0)
    for _ in range(40):
        actions = rng.uniform(-1, 1, (6, 5))
        stepped = together.step(actions)
        each = [env.step(actions[index : index + 1]) for index, env in enumerate(alone)]
        assert np.array_equal(stepped[0][:, :size], [one[0][0] for one in each])
        assert np.array_equal(stepped[1], [one[1][0] for one in each])
    assert stepped[4]["body"].tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("task", ["chemotaxis", "forage", "escape", "twomedia"])
def test_bodies_of_several_lengths_do_not_share_a_task_in_body_lengths(task):
    with pytest.raises(InvalidTask, match="swimmer6-long and swimmer6 differ in length; give each environments of its"):
        EnvBatch(task, 2, body=["swimmer6-long", "swimmer6"])
    EnvBatch(task, 2, body=["swimmer6", "swimmer6-heavy"]).close()


def test_a_start_distance_is_in_lengths_of_its_own_body():
    envs = EnvBatch("navigate", 40, body=["swimmer6", "swimmer6-long"])
    envs.seed(range(40))
    envs.reset(np.arange(40))
    found = envs.metrics()
    lengths = found["start_distance"] / np.tile([0.6, 0.9], 20)
    assert found["stratum"].tolist() == [max(bound for bound in (0.0, 1.0, 2.5) if bound <= each) for each in lengths]


@pytest.mark.parametrize(
    ("old", "new"), [('<joint name="j0" type="hinge" axis="0 0 1"', '<joint name="j0" type="hinge" axis="0 0 -1"'),
                     ('ctrlrange="-1 1"', 'ctrlrange="-2 2"')], ids=["axis", "range"],
)  # fmt: skip
def test_bodies_of_other_signs_or_ranges_do_not_share_a_batch(old, new):
    bodies = [XmlBody.from_text(name, text) for name, text in (("one", FILTERED), ("two", FILTERED.replace(old, new)))]
    with pytest.raises(InvalidBody, match="one and two differ in signs of joints, ranges of motors"):
        EnvBatch("swim", 2, bodies)
    EnvBatch("swim", 2, [bodies[0], XmlBody.from_text("same", FILTERED)]).close()


def test_bodies_that_do_not_fit_beside_each_other_are_one_line():
    with pytest.raises(InvalidBody, match=r"swimmer8 \(8 links\) cannot share a batch with swimmer6"):
        EnvBatch("swim", 2, body=["swimmer6", "swimmer8"])
    with pytest.raises(InvalidBody, match="no body"):
        EnvBatch("swim", 2, body=[])


def drawn_swimmer(rng):
    """A swimmer with any of its fields far from the usual."""
    from nervecord.envs import Fluid, Swimmer

    power = lambda low, high: float(10 ** rng.uniform(np.log10(low), np.log10(high)))  # noqa: E731
    return Swimmer(
        name="drawn",
        n_links=int(rng.integers(3, 12)),
        link_length=power(0.02, 0.5),
        link_mass=power(1e-4, 0.5),
        gear=power(1e-6, 1.0),
        joint_range=float(rng.uniform(0.2, 3.0)),
        range_bias=float(rng.uniform(0, 0.9)),
        habitat=Fluid(power(10, 1e4), power(1e-5, 10)),
        taper=float(rng.uniform(0, 0.9)),
    )


def follow(seed):
    """Step a drawn body in a batch and by mj_step; return whether each diverged, and how far they differ."""
    rng = np.random.default_rng(seed)
    body = drawn_swimmer(rng)
    envs = EnvBatch("swim", 1, body=body, reward="com")
    envs.seed([seed])
    envs.reset(np.array([0]))
    model, data = envs.physics.mujoco(0)
    worst = 0.0
    for _ in range(60):
        action = rng.uniform(-1, 1, (1, body.n_joints))
        step = envs.step(action)
        data.ctrl[:] = action[0]
        mujoco.mj_step(model, data, envs.physics.n_substeps)
        bad = [mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC]
        said = any(data.warning[int(kind)].number for kind in bad)
        assert np.isfinite(step.observation).all()
        assert envs.observation_space.contains(step.observation[0])
        if step.metrics["diverged"][0] or said:
            assert step.terminated[0]
            assert step.reward[0] == 0
            fast = np.abs(envs.physics.read("link_vel")).max() >= 1e3
            return bool(step.metrics["diverged"][0]), said or fast, worst
        worst = max(worst, float(np.abs(envs.physics.get_state()["qpos"][0] - data.qpos).max()))
    return False, False, worst


@pytest.mark.parametrize("seeds", [range(40), pytest.param(range(40, 200), marks=pytest.mark.slow)], ids=["40", "160"])
def test_no_drawn_body_differs_from_mj_step_and_every_divergence_is_said(seeds):
    found = [follow(seed) for seed in seeds]
    assert max(worst for _, _, worst in found) == 0
    assert [ours for ours, _, _ in found] == [theirs for _, theirs, _ in found]
    assert any(ours for ours, _, _ in found)
