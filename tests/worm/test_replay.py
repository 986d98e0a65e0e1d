"""Recorded worms replayed: torques that are known, torques that bring the motion about again, and motors too weak."""

import dataclasses
import json

import mujoco
import numpy as np
import pytest
from nervecord.benchmarks.results.thrust import Wave, balanced_speed
from nervecord.cli.main import main
from nervecord.drawing import Poses
from nervecord.envs import Drag, Fluid, Swimmer, make_body, swimmer
from nervecord.envs.tasks.track import travelling_wave
from nervecord.errors import InvalidArena, InvalidBody, InvalidOption, InvalidRecording, OutputExists
from nervecord.training.rollouts.recording import Recording
from nervecord.videos import render_recording
from nervecord.worm import Posture, Track, film_replay, replay, write_wcon
from nervecord.worm.replay_film import worm_poses
from PIL import Image


def crawl(n_links=12, seconds=1.2, **wave) -> Posture:
    """Return a worm of 1 mm that crawls along the x axis at 0.2 mm/s, its head to the left."""
    made = travelling_wave(n_links, seconds, 0.04, **wave)
    many = len(made.time)
    head = np.stack([-2e-4 * made.time, np.zeros(many)], -1)
    return Posture(made.time, made.joint_pos, np.zeros(many), np.full(many, 1e-3), head)


def forward(found, body=None):
    """Return joint angles, rad, and the centre of mass, m, of the replay's body under its torques alone."""
    model = (body or found.body).compile()
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = found.first
    motors = [model.actuator(name).id for name in found.body.parts.motors]
    joints, com = [], []
    for torque in found.torque:
        mujoco.mj_forward(model, data)
        joints.append(data.qpos[3:].copy())
        com.append(data.subtree_com[1, :2].copy())
        data.ctrl[motors] = torque / model.actuator_gear[motors, 0]
        mujoco.mj_step(model, data)
    return np.array(joints), np.array(com)


@pytest.mark.parametrize("medium", [Fluid(), Drag(20.0, 1.58), Drag(66400.0, 40.0)])
def test_the_bodys_own_motors_bring_the_motion_about_again(medium):
    found = replay(crawl(frequency=0.8), dataclasses.replace(swimmer(6), habitat=medium))
    assert np.abs(found.error).max() < 1e-6  # recordings are in single precision
    joints, com = forward(found, dataclasses.replace(found.body, gear=1.01 * np.abs(found.torque).max()))
    np.testing.assert_allclose(joints[::15], found.target, atol=1e-8)
    np.testing.assert_allclose(com[::15], found.recording.com_pos[0], atol=1e-6)


def test_what_nothing_holds_stays_where_it_is():
    found = replay(crawl(frequency=1.0), dataclasses.replace(swimmer(8), habitat=Fluid(0.0, 0.0)))
    com = np.asarray(found.recording.com_pos[0], float)
    # But for the drift of MuJoCo's steps, which is halved where they are: 0.0027 m at 2 ms, and 0.0013 m at 1 ms.
    assert np.abs(com - com[0]).max() < 0.06 * np.ptp(found.recording.link_pos[0, :, 0], 0).max()


def test_the_torque_of_a_posture_that_is_held_is_that_of_the_joints_springs():
    body, bend = make_body("worm"), np.linspace(-0.3, 0.3, 12)
    still = Posture(np.arange(9) * 0.1, np.tile(bend, (9, 1)), np.zeros(9), np.full(9, 1e-3), np.zeros((9, 2)))
    found = replay(still, body)
    np.testing.assert_allclose(found.torque, np.tile(body.stiffness * bend, (len(found.torque), 1)), rtol=1e-9)
    assert found.facts()["speed, body lengths/s"] < 1e-9


def test_the_torque_in_a_thick_medium_is_that_of_slender_links():
    drag = Drag(1e4, 1.0)
    body = Swimmer("x", 3, 0.1, 1e-6, habitat=drag)
    time = np.arange(9) * 0.1
    # Head and tail turn to the same side of the middle link at rate w, which by symmetry does not turn.
    rate = 0.1
    joints = np.stack([rate * (time - 0.4), rate * (time - 0.4)], -1)
    found = replay(Posture(time, joints, np.zeros(9), np.full(9, 1e-3), np.zeros((9, 2))), body)
    middle = len(found.torque) // 2
    # With v the speed of the middle across: c l (v + 2 (v + w l / 2)) = 0, so v = -w l / 3. About a joint, a link of
    # centre speed u = v + w l / 2 = w l / 6 needs c l u l / 2 + c l^3 w / 12 = c l^3 w / 6.
    known = 1e4 * 0.1**3 * rate / 6
    assert np.abs(found.torque[middle]) == pytest.approx(known, rel=0.01)


def test_a_wave_swims_as_fast_as_forces_balance():
    wave, ratio, period = Wave(12, 0.65, 8.0), 10.0, 60  # control steps
    joints = np.array([wave.angles(step / period)[0] for step in range(2 * period + 2)])
    many = len(joints)
    posture = Posture(np.arange(many) * 0.03, joints, np.zeros(many), np.full(many, 1e-3), np.zeros((many, 2)))

    def speed(of_drag):
        body = dataclasses.replace(swimmer(12), habitat=Drag(200.0, of_drag))
        com = np.asarray(replay(posture, body).recording.com_pos[0], float)
        return np.linalg.norm(com[2 * period] - com[period]) / (wave.wavelength * 1.2)

    # MuJoCo's steps drift alike at every ratio, and at 1 a wave has no thrust.
    assert speed(ratio) - speed(1.0) == pytest.approx(balanced_speed(wave, ratio), abs=2e-3)


def test_weak_motors_fall_behind_and_say_so():
    posture = crawl(seconds=1.0, frequency=1.0)
    strong = replay(posture, "swimmer6", "motors", gear=0.1)
    weak = replay(posture, "swimmer6", "motors", gear=5e-4)
    assert strong.facts()["error, rms, rad"] < 3e-3 < 0.1 < weak.facts()["error, rms, rad"]
    assert strong.facts()["at that limit or above, share of joints and time"] == 0
    assert weak.facts()["at that limit or above, share of joints and time"] > 0.3
    assert np.abs(weak.torque).max() == pytest.approx(5e-4)
    exact = replay(posture, "swimmer6")
    np.testing.assert_allclose(weak.needed, exact.torque, atol=1e-12)
    assert exact.facts()["largest torque, N m"] == exact.facts()["largest torque that following takes, N m"] > 5e-4


def test_joints_get_the_range_that_a_recording_needs():
    wide = replay(crawl(amplitude=1.2), "swimmer6").facts()
    assert wide["joint range, rad"] == pytest.approx(1.1 * wide["largest joint angle, rad"], rel=0.01)
    assert wide["error, rms, rad"] < 1e-6
    assert replay(crawl(amplitude=0.2), "swimmer6").body == swimmer(6)


def test_the_longest_stretch_is_replayed_at_its_own_time():
    posture = crawl(seconds=3.2, frequency=1.0)  # two periods follow the gap
    joints = posture.joint_pos.copy()
    joints[20:30] = np.nan
    found = replay(dataclasses.replace(posture, joint_pos=joints), "swimmer6")
    assert found.start == pytest.approx(posture.time[30])
    np.testing.assert_allclose(found.target[0], posture.relinked(6).joint_pos[30], atol=1e-12)
    assert found.facts()["speed of the recorded worm, body lengths/s"] == pytest.approx(0.2, rel=0.1)


def test_a_replay_is_a_recording_and_a_film(tmp_path):
    write_wcon(tmp_path / "w.wcon", [crawl(seconds=0.6, frequency=1.0).track("w")])
    out, film = tmp_path / "r.nc", tmp_path / "r.gif"
    main(["worm", "replay", str(tmp_path / "w.wcon"), "--body", "swimmer6", "--out", str(out), "--film", str(film),
          "--arena", "water", "--drive", "motors", "--gear", "50", "--json"])  # fmt: skip
    held = Recording.load(out)
    assert held.meta["name"] == "swimmer6"
    assert held.activity.shape == (1, held.n_steps, 0)
    with Image.open(film) as shown:
        assert shown.size == (960, 480)
        assert shown.n_frames == pytest.approx(held.n_steps / 2, abs=1)
    render_recording(held, tmp_path / "own.gif", seconds=0.1)


def test_the_command_tells_numbers_with_their_units(tmp_path, capsys):
    write_wcon(tmp_path / "w.wcon", [crawl(13, seconds=4.0, frequency=1.0).track("w")])
    main(["worm", "replay", str(tmp_path / "w.wcon"), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["worm"], said["body"], said["drive"]) == ("w", "worm", "prescribed")
    assert said["frequency, Hz"] == pytest.approx(1.0, rel=0.05)
    assert all("," in name for name in said if name not in ("worm", "body", "drive"))
    assert "note" not in said
    points = crawl(24, seconds=1.0).track("w").points
    swapped = tuple(each[::-1] if at in (5, 6) else each for at, each in enumerate(points))
    write_wcon(tmp_path / "few.wcon", [Track("w", np.arange(len(points)) * 0.04, swapped, np.ones(len(points), bool))])
    main(["worm", "replay", str(tmp_path / "few.wcon"), "--body", "swimmer20", "--json"])
    first, second = json.loads(capsys.readouterr().out)["note"]
    assert first.startswith("20 links need 41 points or more, and there are 25")
    assert second.startswith("head and tail are probably swapped at 2 times; --fix-swaps")
    for options, words in (
        (["--gear", "1"], "--gear would have no effect"),
        (["--body", "swimer6"], "unknown body"),
        (["--arena", '{"name": "landscape", "posts": [{"x": 0.5}]}'], "in one medium without posts"),
        (["--out", "x.wcon"], "unknown recording format"),
        (["--film", "x.txt"], "unknown film format"),
        (["--worm", "v"], "unknown worm 'v'"),
    ):
        with pytest.raises(SystemExit):
            main(["worm", "replay", str(tmp_path / "w.wcon"), *options])
        assert words in capsys.readouterr().err


def test_the_worm_is_drawn_where_it_was():
    posture = crawl(seconds=2.0)
    body = replay(posture, "swimmer6").recording.poses()
    drawn = worm_poses(posture, posture.time[:10], body)
    nodes = posture.nodes()[:10]
    np.testing.assert_allclose(drawn.link_pos, (nodes[:, :-1] + nodes[:, 1:]) / 2, atol=1e-12)
    unknown = worm_poses(dataclasses.replace(posture, length=posture.length * np.nan), posture.time[:10], body)
    assert isinstance(unknown, Poses)
    assert unknown.link_length.sum() == pytest.approx(body.link_length.sum())
    assert np.abs(unknown.com_pos).max() < 1e-12


@pytest.mark.parametrize(
    ("posture", "options", "error", "words"),
    [
        (crawl(), {"gear": 1.0}, InvalidOption, "give drive='motors' too"),
        (crawl(), {"gear": 0.0, "drive": "motors"}, InvalidOption, "gear is 0.0; give a number above 0"),
        (crawl(), {"drive": "nope"}, InvalidOption, "drive is 'nope'; give prescribed or motors"),
        (crawl(), {"body": "gymnasium-swimmer"}, InvalidBody, "is from XML, whose joints"),
        (crawl(), {"arena": {"name": "landscape", "posts": [{"x": 0.5}]}}, InvalidArena, "without posts or fields"),
        (crawl(seconds=0.04), {}, InvalidRecording, "lasts 0.04 s; a replay needs 0.09 s or more"),
    ],
)
def test_what_cannot_be_replayed_is_refused(posture, options, error, words):
    with pytest.raises(error, match=words):
        replay(posture, **options)


def test_a_film_beside_is_not_written_over(tmp_path):
    (tmp_path / "x.gif").write_text("", encoding="utf-8")
    with pytest.raises(OutputExists):
        film_replay(replay(crawl(), "swimmer6"), tmp_path / "x.gif")
