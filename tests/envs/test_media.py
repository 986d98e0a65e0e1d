"""Media without inertia: coefficients, the thrust of a wave, the worm in them, and what cannot be."""

import dataclasses
import json

import numpy as np
import pytest
from nervecord.benchmarks.results.thrust import Wave, balanced_speed, stepped_speed
from nervecord.benchmarks.results.worm_gait import Gaits, curve, verdict, wave_of
from nervecord.envs import Arena, Drag, EnvBatch, Swimmer, gel, make_arena, make_body, newtonian
from nervecord.envs.bodies.registry import body_from_json
from nervecord.errors import InvalidArena, InvalidBody, UnknownName
from nervecord.testing import check_arena
from nervecord.training.learning.training import train
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from nervecord.worm.behaviour import DIGITISED


def test_coefficients_are_those_of_the_animal():
    """Boyle et al. 2012: 5.2e-6 and 3.3e-6 kg/s in water, 0.128 and 3.2e-3 on agar; 20 N s/m^2 stands for water's."""
    assert dataclasses.astuple(make_arena("water").medium) == pytest.approx((20.0, 5.2 / 3.3))
    agar = make_arena("agar").medium
    assert agar.across == pytest.approx(20 * 0.128 / 5.2e-6)
    assert agar.ratio == pytest.approx(40)
    assert make_arena("agar_low").medium == dataclasses.replace(agar, ratio=10.0)
    assert dataclasses.astuple(make_arena({"name": "newtonian", "viscosity": 0.3}).medium) == pytest.approx((6000, 1.5))
    half = gel(0.5)
    assert half.across == pytest.approx((20 + agar.across) / 2)
    assert half.across / half.ratio == pytest.approx((20 * 3.3 / 5.2 + agar.across / 40) / 2)
    # Where drag across is 100 times that of water, the ratio is 32.
    assert gel((100 - 1) / (0.128 / 5.2e-6 - 1)).ratio == pytest.approx(32, abs=0.5)


@pytest.mark.parametrize("name", ["water", "newtonian", "gel", "agar", "agar_low"])
def test_arenas_of_media_keep_the_laws(name):
    check_arena(name, "worm8")


@pytest.mark.parametrize(
    ("wave", "ratio", "expected"),
    [
        (Wave(12, 1.5, 3.0), 1.5, 0.0282), (Wave(12, 1.0, 5.0), 5.0, 0.3528), (Wave(12, 0.65, 8.0), 40.0, 0.7016),
        (Wave(6, 0.65, 8.0), 40.0, 0.4814), (Wave(12, 1.5, 3.0), 1.0, 0.0),
    ],
)  # fmt: skip
def test_the_balance_of_forces_has_known_answers(wave, ratio, expected):
    assert balanced_speed(wave, ratio) == pytest.approx(expected, abs=1e-4)


def test_small_waves_have_gray_and_hancocks_thrust():
    wave, ratio = Wave(200, 0.1, 0.2 * 2 * np.pi / 0.1), 10.0
    z = 0.2**2 / 2
    assert balanced_speed(wave, ratio, steps=60) == pytest.approx((ratio - 1) * z / (1 + ratio * z), rel=0.01)


@pytest.mark.parametrize("physics", ["mujoco", "lanes"])
def test_a_wave_swims_as_fast_as_forces_balance(physics):
    wave = Wave(6, 1.0, 5.0)
    still = stepped_speed(wave, 1.0, physics)
    for ratio in (1.5, 40.0):
        assert stepped_speed(wave, ratio, physics) - still == pytest.approx(balanced_speed(wave, ratio), abs=5e-4)


def test_the_worm_is_scaled_by_groups():
    for n in (8, 13, 24, 48):
        body = make_body(f"worm{n}")
        length = body.link_sizes[0].sum()
        modulus = body.stiffness * body.link_length
        assert body.habitat.across * length**4 / modulus == pytest.approx(0.398)
        assert body.damping / body.stiffness == pytest.approx(0.1821)
        assert body.gear * length / modulus == pytest.approx(12.55)
        assert body.link_mass / (body.habitat.across * body.link_length) == pytest.approx(5e-3)
        assert body.joint_range == pytest.approx(min(12 / n, 3.0))
    assert make_body("worm") == make_body("worm13")
    assert make_body("worm").stiffness == pytest.approx(1435, abs=1)
    again = body_from_json(json.loads(json.dumps(make_body("worm8").to_json())))
    assert again == make_body("worm8")


def steps_of(physics, **options):
    envs = EnvBatch("swim", 3, "worm6", physics=physics, episode_steps=50, n_threads=1, **options)
    envs.seed([1, 2, 3])
    envs.reset(np.arange(3))
    for step in range(30):
        envs.step(np.sin(0.4 * step - np.arange(5))[None] * np.array([[0.2], [0.6], [1.0]]))
    found = envs.physics.read("link_pos").copy(), envs.physics.read("joint_pos").copy()
    envs.close()
    return found


@pytest.mark.parametrize(
    "options",
    [
        {}, {"arena": "agar"}, {"arena": {"name": "newtonian", "viscosity": 0.3}},
        {"randomize": {"drag": (1.0, 1e4, "log"), "drag_ratio": (1.0, 40.0)}},
        {"randomize": {"drag": (1.0, 1e4, "log"), "link_length": (0.8, 1.2), "link_mass": (0.8, 1.2)}},
    ],
)  # fmt: skip
def test_lanes_step_media_as_mujoco_does(options):
    for ours, theirs in zip(steps_of("lanes", **options), steps_of("mujoco", **options), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)


def test_a_drawn_medium_is_the_medium_of_that_factor():
    drawn = steps_of("mujoco", randomize={"drag": (50.0, 50.0), "drag_ratio": (10.0, 10.0)})
    made = steps_of("mujoco", arena=Arena(Drag(1000.0, 10.0)))
    np.testing.assert_allclose(drawn[0], made[0], rtol=0, atol=1e-9)


def test_a_run_in_a_medium_is_stepped_by_lanes_and_opens_again(tmp_path):
    config = RunConfig(
        "relay", body="worm8", arena={"name": "gel", "m": 0.001}, circuit_options={"init": "worm", "limit": 12.0},
        steps=800, episode_steps=50, randomize={"drag": (0.5, 2.0, "log")}, algorithm_options={"n_envs": 8},
    )  # fmt: skip
    run = train(config, tmp_path / "run")
    assert run.resolved.config.physics == "lanes"
    assert run.config.to_json()["arena"] == {"name": "gel", "m": 0.001}
    assert Run(tmp_path / "run").config.arena.medium == gel(0.001)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Drag(-1.0), InvalidArena, "across is -1"),
        (lambda: Drag(0.0), InvalidArena, "across is 0"),
        (lambda: Drag(1.0, 0.5), InvalidArena, "ratio is 0.5"),
        (lambda: gel(1.5), InvalidArena, "m is 1.5"),
        (lambda: newtonian(0.0), InvalidArena, "viscosity is 0"),
        (lambda: make_arena({"name": "newtonian", "viscosity": -1}), InvalidArena, "viscosity is -1"),
        (lambda: make_arena({"name": "water", "m": 1}), InvalidArena, "water"),
        (lambda: make_arena({"name": "open", "medium": {"acros": 1}}), InvalidArena, "across and ratio"),
        (lambda: make_arena("jelly"), UnknownName, "jelly"),
        (lambda: make_body("worm1"), InvalidBody, "n_links is 1"),
        (lambda: Swimmer(habitat="agar"), InvalidBody, "habitat"),
        (lambda: EnvBatch("swim", 1, randomize={"drag": (1, 2)}).reset(np.arange(1)), InvalidBody, "water or agar"),
    ],
)
def test_what_cannot_be_is_one_line(make, error, says):
    with pytest.raises(error, match=says) as refused:
        make()
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_relay_moves_as_the_animal_from_water_to_28_pa_s():
    """Known answers of a prototype on MuJoCo: frequency 1.93 to 0.17 Hz, wavelength 1.75 to 0.72 body lengths."""
    gaits = curve(13, "relay")
    assert verdict(gaits) == "as the animal"
    ends = [(each.frequency.mean(), each.wavelength.mean()) for each in (gaits[0], gaits[-1])]
    np.testing.assert_allclose(ends, [(1.93, 1.75), (0.17, 0.72)], rtol=0.03)


def test_a_wave_is_measured():
    seconds, place = np.arange(0, 20, 0.03)[:, None], np.arange(1, 13) / 13
    bend = 3.0 * np.cos(2 * np.pi * (place / 0.8 - 0.7 * seconds)) + 0.5
    frequency, wavelength, amplitude = wave_of(bend, 0.03)
    assert (frequency, wavelength, amplitude) == pytest.approx((0.7, 0.8, 3.0), rel=0.02)
    assert wave_of(bend[:, ::-1], 0.03)[1] == pytest.approx(-0.8, rel=0.02)


def test_the_verdict_follows_its_rule():
    def gaits(frequency, wavelength, speed=0.1):
        return [Gaits(*(np.full(2, value) for value in (f, w, 5.0, speed)))
                for f, w in zip(frequency, wavelength, strict=True)]  # fmt: skip

    f, w = DIGITISED[:, 1], DIGITISED[:, 2]
    assert verdict(gaits(f, w)) == "as the animal"
    assert verdict(gaits(1.5 * f, w)) == "adapts"
    assert verdict(gaits(f, w, speed=-0.1)) == "neither"
    assert verdict(gaits(f, np.full(8, 1.0))) == "neither"
    rising = w.copy()
    rising[3] = 1.06 * rising[2]
    assert verdict(gaits(f, rising)) == "neither"
