"""Zones: media by place, the same in both kinds of physics."""

import json

import numpy as np
import pytest
from nervecord.envs import Arena, Drag, EnvBatch, Fluid, Landscape, Zone, gel, make_arena, newtonian
from nervecord.envs.arenas import arena_json
from nervecord.envs.arenas.zones import drag_at
from nervecord.errors import InvalidArena, InvalidBody
from nervecord.testing import check_arena

WATER, AGAR = gel(0.0), gel(1.0)
THREE = Landscape(
    WATER,
    zones=(
        Zone(x=-0.2, medium=gel(0.01)),
        Zone("disc", gel(0.5), y=0.5, size=0.3, edge=0.12),
        Zone("ramp", newtonian(0.3), y=-0.2, heading=-1.5, size=0.5),
    ),
)


def test_zones_keep_the_laws_of_arenas():
    check_arena(THREE, "worm8")
    assert make_arena(json.loads(json.dumps(arena_json(THREE)))) == THREE


def test_the_medium_of_a_place():
    across, ratio = drag_at(WATER, (Zone(x=1.0, medium=AGAR),), np.array([[-9.0, 3], [1, 5], [9, 0], [1.1, 0]]))
    half = np.sqrt([WATER.across * AGAR.across, WATER.ratio * AGAR.ratio])
    np.testing.assert_allclose(across[:3], [WATER.across, half[0], AGAR.across], rtol=1e-9)
    np.testing.assert_allclose(ratio[:3], [WATER.ratio, half[1], AGAR.ratio], rtol=1e-9)
    # An edge's width from the line, log c has gone 1 / (1 + 1/e) of the way.
    way = np.log(across[3] / WATER.across) / np.log(AGAR.across / WATER.across)
    assert way == pytest.approx(1 / (1 + np.exp(-1)))


def test_later_zones_lie_on_top_and_ramps_are_linear():
    over = (Zone("disc", AGAR, size=5.0), Zone("ramp", newtonian(0.3), size=2.0))
    across, _ = drag_at(WATER, over, np.array([[-1.0, 0], [1, 0], [2, 0], [4, 0]]))
    np.testing.assert_allclose(
        np.log(across),
        [np.log(AGAR.across), (np.log(AGAR.across) + np.log(6000)) / 2, np.log(6000), np.log(6000)], rtol=1e-6,
    )  # fmt: skip


def swim(physics, arena, ids=None):
    envs = EnvBatch("swim", 5, "worm8", arena=arena, physics=physics, episode_steps=200, n_threads=1)
    envs.seed(list(range(5)))
    envs.reset(np.arange(5))
    for step in range(50):
        action = np.sin(0.4 * step - 0.8 * np.arange(7))[None] * np.linspace(0.2, 1, 5)[:, None]
        envs.step(action, ids if step % 2 else None)
    places = envs.physics.read("link_pos").copy()
    envs.close()
    return places


def test_lanes_have_the_zones_of_mujoco():
    ours, theirs = swim("lanes", THREE), swim("mujoco", THREE)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)
    assert np.abs(ours - swim("lanes", Arena(WATER))).max() > 0.01
    some = np.array([0, 3])
    np.testing.assert_allclose(swim("lanes", THREE, some), swim("mujoco", THREE, some), rtol=0, atol=1e-11)


@pytest.mark.parametrize("physics", ["lanes", "mujoco"])
def test_a_copy_of_the_model_has_the_motors_commands_in_drag(physics):
    envs = EnvBatch("swim", 2, "worm8", arena=THREE, physics=physics, n_threads=1)
    envs.seed([0, 1])
    envs.reset(np.arange(2))
    envs.step(np.linspace(-1, 1, 14).reshape(2, 7))
    model, data = envs.physics.mujoco(1)
    motors = [model.actuator(name).id for name in envs.body.parts.motors]
    np.testing.assert_allclose(data.ctrl[motors], np.linspace(-1, 1, 14)[7:], atol=1e-6)
    assert model.nu == 7 + 3 * 8
    assert envs.facts()["mass"] == pytest.approx(0.08)
    envs.close()


def test_links_are_drawn_heavier_among_zones_and_go_on_from_a_state():
    seen = []
    for physics in ("lanes", "mujoco"):
        envs = EnvBatch("swim", 2, "worm8", THREE, physics, n_threads=1, randomize={"link_mass": (0.5, 2.0)})
        envs.seed([0, 1])
        envs.reset(np.arange(2))
        mass = envs.facts()["mass"]
        envs.set_state(envs.get_state())
        assert envs.facts()["mass"] == pytest.approx(mass)
        assert mass != pytest.approx(0.08)
        seen.append([envs.step(np.full((2, 7), 0.5)).observation for _ in range(20)])
        envs.close()
    np.testing.assert_allclose(*seen, atol=1e-6)


@pytest.mark.parametrize("physics", ["lanes", "mujoco"])
def test_a_zone_that_is_everywhere_is_its_medium(physics):
    everywhere = Landscape(WATER, zones=(Zone("disc", newtonian(0.3), size=1000.0),))
    np.testing.assert_allclose(swim(physics, everywhere), swim(physics, Arena(newtonian(0.3))), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Landscape(zones=(Zone(),)), InvalidArena, "give a Drag"),
        (lambda: Landscape(Fluid(), zones=(Zone(),)), InvalidArena, "give a Drag"),
        (lambda: Zone(medium=Fluid()), InvalidArena, "medium"),
        (lambda: Zone("square"), InvalidArena, "shape is 'square'"),
        (lambda: Zone("disc", size=0.0), InvalidArena, "size is 0"),
        (lambda: Zone(x=float("nan")), InvalidArena, "x is nan"),
        (lambda: Zone(medium=Drag(1.0, 2.0), edge=-1.0), InvalidArena, "edge is -1"),
        (lambda: make_arena({"name": "landscape", "zones": [{"radius": 1}]}), InvalidArena, "zone"),
        (lambda: make_arena({"name": "landscape", "zones": 3}), InvalidArena, "zones"),
        (lambda: Landscape(WATER, {"agar": Zone()}), InvalidArena, "give a list of zones, later ones on top"),
        (lambda: Landscape(WATER, {Zone()}), InvalidArena, "give a list of zones, later ones on top"),
        (lambda: Landscape(WATER, (Zone(),) * 300), InvalidArena, "there are 300 zones; give 256 at most"),
        (lambda: Zone(x=2000.0), InvalidArena, "x is 2000.0; give a number from -1000 to 1000"),
        (lambda: Zone(medium={"across": -1.0}), InvalidArena, "across is -1.0; give a number above 0"),
        (lambda: Zone(medium={"across": 1.0, "ratio": 0.5}), InvalidArena, "ratio is 0.5; give a number, 1 or more"),
        (lambda: swim("lanes", Landscape(WATER, (Zone(edge=0.05),))), InvalidArena, "give an edge of 0.1 or more"),
        (lambda: EnvBatch("swim", 1, "worm8", THREE, randomize={"drag": (1, 2)}).reset(np.arange(1)), InvalidBody,
         "drag cannot be drawn in an arena with zones"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(make, error, says):
    with pytest.raises(error, match=says) as refused:
        make()
    assert "\n" not in str(refused.value)
