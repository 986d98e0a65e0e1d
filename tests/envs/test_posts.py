"""Posts: lattices, room for starts, contacts that hold, what links feel of them, and what cannot hold."""

import json

import mujoco
import numpy as np
import pytest
from nervecord.envs import (
    Drag,
    EnvBatch,
    Fluid,
    Landscape,
    Lattice,
    Post,
    Wall,
    XmlBody,
    Zone,
    gel,
    make_arena,
    make_body,
    newtonian,
)  # fmt: skip
from nervecord.envs.arenas import arena_json
from nervecord.envs.arenas.posts import gaps, patch_of, stands_of
from nervecord.errors import InvalidArena, InvalidBody, InvalidTask
from nervecord.testing import check_arena

CLUTTER = Landscape(
    posts=(Post(0.4, 0.3), Post(-0.4, -0.3, 0.1)), walls=(Wall(0.0, 0.6, 0.3),), lattice=Lattice(gap=0.5)
)


def test_posts_keep_the_laws_of_arenas_and_are_kept_as_json():
    check_arena(CLUTTER)
    assert make_arena(json.loads(json.dumps(arena_json(CLUTTER)))) == CLUTTER


@pytest.mark.parametrize(
    ("lattice", "neighbours"),
    [(Lattice(), 4), (Lattice("hexagonal"), 6), (Lattice("hexagonal", radius=0.05, gap=0.1), 6)],
)
def test_each_post_of_a_lattice_has_its_neighbours_at_the_gap(lattice, neighbours):
    patch = patch_of(lattice)
    away = np.linalg.norm(patch.places - patch.places[0], axis=1)
    pitch = 2 * lattice.radius + lattice.gap
    assert np.isclose(away, pitch).sum() == neighbours
    assert away[1:].min() == pytest.approx(pitch)


def test_a_random_lattice_keeps_its_gap_even_where_it_repeats_itself():
    lattice = Lattice("random", 0.04, 0.08, largest=0.25, seed=3)
    patch = patch_of(lattice)
    between = np.linalg.norm(patch.places[:, None] - patch.places, axis=-1) - patch.radius[:, None] - patch.radius
    assert between[~np.eye(len(between), dtype=bool)].min() >= 0.08 - 1e-9
    assert patch.n_cell > 10
    assert 0.04 <= patch.radius.min() < 0.1 < patch.radius.max() <= 0.25


@pytest.mark.parametrize("shape", ["square", "hexagonal", "random"])
def test_a_lattice_moved_by_whole_cells_is_the_same_lattice(shape):
    """Near the body, wherever that is; a patch reaches 0.7 body lengths beyond its centre."""
    stands = stands_of([], [], Lattice(shape), 0.6)
    rng = np.random.default_rng(0)
    lattice = stands.placed(rng)
    centre = rng.uniform(-2, 2, 2)

    def posts_around(place):
        ends, _ = stands.pieces(place)
        return ends[:, 0]

    near = posts_around(stands.near(lattice, centre))
    cells = np.stack(np.meshgrid(*[np.arange(-20, 21)] * 2), -1).reshape(-1, 2) * stands.cell
    turn = np.array([[np.cos(lattice[2]), np.sin(lattice[2])], [-np.sin(lattice[2]), np.cos(lattice[2])]])
    everywhere = (posts_around(lattice)[: stands.n_cell, None] + cells @ turn).reshape(-1, 2)

    def within(places):
        found = places[np.linalg.norm(places - centre, axis=1) < 0.7 * 0.6]
        return found[np.lexsort(found.T.round(6))]

    np.testing.assert_allclose(within(near), within(everywhere), atol=1e-9)
    assert len(within(near)) > 0


def test_gaps_between_rounded_pieces():
    pieces = np.array([[[0.0, 0], [1, 0]], [[0.5, -1], [0.5, 1]], [[0.0, 2], [1, 2]], [[3.0, 0], [3, 0]]])
    found = gaps(pieces, np.full(4, 0.1), pieces, np.full(4, 0.1))
    np.testing.assert_allclose(found[0], [-0.2, -0.2, 1.8, 1.8], atol=1e-9)
    assert found[1, 2] == pytest.approx(0.8)


def swum(arena, body="swimmer6", n=4, steps=120, task="lattice", **options):
    """Return environments after a swim by a wave of the motors, and the forces on links at each step."""
    envs = EnvBatch(task, n, body, arena, episode_steps=steps, n_threads=1, **options)
    envs.seed(list(range(n)))
    envs.reset(np.arange(n))
    phase, felt, stepped = np.arange(envs.body.n_joints) / envs.body.n_links, [], None
    for step in range(steps):
        stepped = envs.step(np.tile(np.sin(2 * np.pi * (step / 42 - phase)), (n, 1)))
        felt.append(envs.physics.touch())
    return envs, stepped, np.array(felt)


def test_starts_touch_nothing_and_swimmers_stay_outside_of_posts():
    envs, stepped, felt = swum(None, steps=200)
    assert not felt[0].any()
    assert stepped.metrics["penetration"].max() < 0.2e-3  # of a radius of 10 mm
    assert stepped.metrics["touching"].max() > 0
    assert (felt[felt > 0] > 0).all()
    # The forces are those of MuJoCo's contacts, which the recorded model has too.
    model, data = envs.physics.mujoco(0)
    assert model.opt.timestep == 0.002
    assert mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "lattice") >= 0
    assert data.ncon >= 0
    envs.close()


@pytest.mark.parametrize(("medium", "most"), [(newtonian(1.0), 1e-3), (gel(1.0), 0.3e-3)])
def test_the_worm_stays_outside_of_posts_in_thick_media(medium, most):
    _, stepped, felt = swum(Landscape(medium=medium, lattice=Lattice()), "worm", n=2, steps=40)
    assert felt.max() > 0
    assert stepped.metrics["penetration"].max() < most
    assert not stepped.metrics["diverged"].any()


def steps_among(arena, body, looks_at_all, n=4, steps=150):
    """Return the places of links and the touches of each step, which looks at what is near, or at everything."""
    envs = EnvBatch("lattice", n, body, arena, episode_steps=steps, n_threads=1)
    if looks_at_all:
        nearby, batch = envs.physics._standing._nearby, envs.physics._batch
        for name, masks in nearby._all.items():
            batch.expand(name)[:] = masks
        nearby._search = None
    envs.seed(list(range(n)))
    envs.reset(np.arange(n))
    phase, found, n_all = np.arange(envs.body.n_joints) / envs.body.n_links, [], 0
    for step in range(steps):
        # Steps of some environments alone are looked at as those of all.
        ids = None if step % 3 else np.arange(n)[step % 2 :: 2]
        envs.step(np.tile(np.sin(2 * np.pi * (step / 42 - phase)), (n, 1)), ids)
        found.append(np.concatenate([envs.physics.read("link_pos").reshape(n, -1), envs.physics.touch()], 1))
        if step > 2 and not looks_at_all:
            n_all += int(envs.physics._standing._nearby._looks_at_all.sum())
    penetration = envs.metrics()["penetration"]
    envs.close()
    return np.array(found), penetration, n_all


@pytest.mark.parametrize(
    ("body", "arena"),
    [
        ("swimmer6", Landscape(lattice=Lattice(gap=0.1))),
        ("swimmer6-strong", Landscape(lattice=Lattice("random", 0.04, 0.08, largest=0.15))),
        ("swimmer12", Landscape(lattice=Lattice("hexagonal", 0.02, 0.09))),
        ("swimmer6", CLUTTER),
        ("swimmer6", Landscape(posts=(Post(0.0, 0.45, 0.4),))),
    ],
)
def test_looking_only_at_what_is_near_changes_nothing(body, arena):
    near, everything = (steps_among(arena, body, looks_at_all) for looks_at_all in (False, True))
    np.testing.assert_array_equal(near[0], everything[0])
    np.testing.assert_array_equal(near[1], everything[1])
    assert (near[0][..., -make_body(body).n_links :] > 0).any()
    # Where more is near than a model has slots for, an environment looks at everything.
    assert (near[2] > 0) == (body == "swimmer6-strong" or arena == Landscape(lattice=Lattice(gap=0.1)))


def test_a_push_is_looked_ahead_of():
    """It changes the speed between two steps, and with it what is near."""
    envs, physics = pushed_against(posts=tuple(Post(0.1, y, 0.05) for y in (-0.1, 0.1, 0.3, 0.5)))
    physics.push(0, np.array([3.0, 0.0]))
    physics.step()
    assert physics.penetration()[0] > 0
    envs.close()


def test_posts_that_touch_nothing_change_nothing():
    posts = (Post(0.4, 0.3), Post(-0.3, -0.3))
    (ghost, _, felt), (alone, _, _) = (
        swum(arena, task="swim", steps=30) for arena in (Landscape(posts=posts, solid=False), Landscape())
    )
    assert not felt.any()
    np.testing.assert_allclose(ghost.physics.read("link_pos"), alone.physics.read("link_pos"), atol=1e-9)


def pushed_against(**things):
    """Return a straight swimmer in a vacuum, and its physics, moving at 0.5 m/s to the side where things stand."""
    envs = EnvBatch("swim", 1, arena=Landscape(Fluid(0.0), **things), n_threads=1)
    envs.physics.reset(np.arange(1), np.zeros(1), np.zeros((1, 5)))
    envs.physics.push(0, np.array([0.5, 0.0]))
    return envs, envs.physics


def test_touch_is_the_impulse_of_contacts():
    """What the links feel in all, over time, is the momentum that they lose."""
    envs, physics = pushed_against(walls=(Wall(0.05, 0.2, np.pi / 2, 4.0, 0.02),))
    places, impulse = [physics.read("com_pos")[0, 0]], 0.0
    for _ in range(12):
        physics.step()
        impulse += physics.touch().sum() * envs.dt
        places.append(physics.read("com_pos")[0, 0])
    before, after = ((places[k + 1] - places[k]) / envs.dt for k in (0, -2))
    assert before == pytest.approx(0.5, rel=1e-3)
    assert after < 0.4
    assert impulse == pytest.approx(6 * 0.01 * (before - after), rel=0.02)


@pytest.mark.parametrize("mass", [0.0, 0.002])
def test_what_has_a_mass_can_be_pushed(mass):
    _, physics = pushed_against(posts=(Post(0.08, 0.2, 0.05, mass),))
    for _ in range(6):
        physics.step()
    x, y, _ = physics.obstacle_poses()[0, 0]
    assert y == pytest.approx(0.2, abs=0.01)
    assert (x > 0.1) == (mass > 0)


def test_an_episode_goes_on_bit_for_bit():
    envs, _, _ = swum(CLUTTER, steps=60)
    state, action = envs.get_state(), np.full((4, 5), 0.3)
    after = [envs.step(action) for _ in range(5)][-1]
    envs.set_state(state)
    again = [envs.step(action) for _ in range(5)][-1]
    np.testing.assert_array_equal(again.observation, after.observation)
    for name, values in after.metrics.items():
        np.testing.assert_array_equal(again.metrics[name], values)


def test_lattices_are_drawn_by_the_episodes_seed():
    def first(seed):
        envs = EnvBatch("lattice", 1, n_threads=1)
        envs.seed([seed])
        envs.reset(np.arange(1))
        return envs.physics.obstacle_poses()[0]

    np.testing.assert_array_equal(first(5), first(5))
    assert np.abs(first(5) - first(6)).max() > 0.01


def test_longer_links_start_where_they_have_room():
    envs = EnvBatch("lattice", 16, randomize={"link_length": (1.25, 1.25)}, n_threads=1)
    envs.seed(range(16))
    envs.reset(np.arange(16))
    stepped = envs.step(np.zeros((16, envs.body.n_joints)))
    assert stepped.metrics["penetration"].max() < 1e-4
    assert not stepped.terminated.any()


def test_the_first_episode_counts_touches_as_any_other():
    envs = EnvBatch("lattice", 1, senses=["joint_pos"], n_threads=1)
    found = []
    for _ in range(2):
        envs.seed([24])
        envs.reset(np.arange(1))
        rng = np.random.default_rng(3)
        found.append([envs.step(rng.uniform(-1, 1, (1, 5))).metrics["touching"][0] for _ in range(40)])
    assert found[0] == found[1]
    assert found[0][0] > 0


def test_the_task_pays_the_way_from_the_start():
    envs, stepped, _ = swum(None, steps=50)
    gained = np.linalg.norm(envs.physics.read("com_pos") - envs.task.com_start, axis=1) / 0.6
    np.testing.assert_allclose(stepped.metrics["lengths_per_second"], gained / (50 * 0.03))
    still = EnvBatch("lattice", 2, episode_steps=30, n_threads=1)
    still.seed([1, 2])
    still.reset(np.arange(2))
    for _ in range(30):
        last = still.step(np.zeros((2, 5)))
    assert last.metrics["stuck"].tolist() == [1.0, 1.0]


def test_obstacles_of_a_users_xml_are_seen():
    xml = """<mujoco><option density="2500"/><worldbody>
      <geom type="sphere" size=".05" pos=".15 .1 0"/><geom type="box" size=".02 .2 .05" pos="-.2 0 0" rgba="1 0 0 1"/>
      <geom type="plane" size="2 2 .1" pos="0 0 -.1"/><geom type="sphere" size=".1" pos="0 0 2"/>
      <body name="head"><joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/>
      <joint type="hinge" axis="0 0 1"/>
      <geom type="capsule" size=".01 .05" euler="0 90 0" contype="0" conaffinity="0"/>
      <body name="tail" pos="-.1 0 0"><joint name="j" type="hinge" axis="0 0 1" range="-60 60" limited="true"/>
      <geom type="capsule" size=".01 .05" pos="-.05 0 0" euler="0 90 0" contype="0" conaffinity="0"/></body></body>
      </worldbody><actuator><motor joint="j" ctrlrange="-1 1" gear=".001"/></actuator></mujoco>"""
    body = XmlBody.from_text("rocks", xml)
    envs = EnvBatch("swim", 1, body, n_threads=1)
    envs.seed([0])
    envs.reset(np.arange(1))
    obstacles = envs.poses().obstacles
    assert obstacles.colours == ("#808080", "#ff0000")
    np.testing.assert_allclose(obstacles.pose[0, :, :2], [[0.15, 0.1], [-0.2, 0]], atol=1e-9)
    np.testing.assert_allclose(np.hypot(*obstacles.outlines[0].T), 0.05)
    np.testing.assert_allclose(np.abs(obstacles.outlines[1]), np.tile([0.02, 0.2], (4, 1)), atol=1e-9)
    with pytest.raises(InvalidArena, match="no geom of rocks touches anything"):
        EnvBatch("swim", 1, body, Landscape(posts=(Post(0.5),)))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Post(radius=0.0), InvalidArena, "radius is 0"),
        (lambda: Post(mass=-1.0), InvalidArena, "mass is -1"),
        (lambda: Wall(length=-1.0), InvalidArena, "length is -1"),
        (lambda: Lattice("cubic"), InvalidArena, "shape is 'cubic'"),
        (lambda: Lattice(gap=0.0), InvalidArena, "gap is 0"),
        (lambda: Lattice(seed=1), InvalidArena, "seed is of a random lattice"),
        (lambda: Lattice("random", largest=0.05), InvalidArena, "give 0.1 or more"),
        (lambda: Landscape(posts=3), InvalidArena, "posts is 3"),
        (lambda: Landscape(walls=[{"width": 1}]), InvalidArena, "wall"),
        (lambda: Landscape(solid=1), InvalidArena, "solid is 1"),
        (lambda: EnvBatch("swim", 1, arena=Landscape(posts=(Post(0.0, -0.05),))), InvalidArena,
         "in the place where the head of swimmer6 starts"),
        (lambda: swum(Landscape(lattice=Lattice(gap=0.01)), steps=1), InvalidArena, "no room for a start"),
        (lambda: EnvBatch("swim", 1, "worm", Landscape(gel(0.0), lattice=Lattice())), InvalidArena, "times as thick"),
        (lambda: EnvBatch("swim", 1, "worm", Landscape(lattice=Lattice())), InvalidArena, "times as thick"),
        (lambda: Landscape(newtonian(1.0), (Zone(medium=newtonian(200.0)),), posts=(Post(),)), InvalidArena,
         "hold up to 100 times"),
        (lambda: EnvBatch("swim", 1, arena=CLUTTER, physics="lanes"), InvalidBody, "posts stand in the arena"),
        (lambda: EnvBatch("swim", 2, ("swimmer6", "swimmer6-long"), CLUTTER), InvalidBody, "of several lengths"),
        (lambda: EnvBatch("swim", 1, "worm", Landscape(newtonian(3.0), posts=(Post(0.5),)),
                          randomize={"drag": (1, 2)}).reset(np.arange(1)), InvalidBody, "among posts in drag"),
        (lambda: EnvBatch("lattice", 1, randomize={"link_length": (1.5, 1.5)}).reset(np.arange(1)), InvalidBody,
         "link_length 1.5 cannot be drawn in a lattice.*draw 1.25 at most"),
        (lambda: EnvBatch("lattice", 1, arena=Landscape(Drag(1.0, 2.0))), InvalidTask, "an arena with posts"),
        (lambda: EnvBatch("swim", 1, senses=["touch"]), InvalidTask, "nothing to touch"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(make, error, says):
    with pytest.raises(error, match=says) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_links_of_the_worm_weigh_what_contacts_need():
    """A time of inertia of 20 ms in the medium, by which no gait changes; without posts, the body's own mass."""
    body = make_body("worm")
    for arena, expected in ((Landscape(newtonian(1.0), posts=(Post(0.5),)), 0.02 * 20_000 * 0.1), (Landscape(), 0.01)):
        assert body.compile(arena=arena).body("head").mass[0] == pytest.approx(expected)
