"""Midlines of trackers: units, gaps, swapped heads; to joint angles and back without loss."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from nervecord.cli.main import main
from nervecord.errors import InvalidOption, InvalidRecording
from nervecord.worm import Posture, of_recording, read_wcon, to_links, write_wcon
from nervecord.worm.units import si_value
from nervecord.worm.wcon import write_recording

GOLDEN = Path(__file__).parents[1] / "golden" / "wcon"


@pytest.mark.parametrize("file", ["gaps", "swap", "units"])
def test_midlines_become_the_joint_angles_computed_by_hand(file):
    known = np.load(GOLDEN / "wcon_angles.npz")
    tracks = read_wcon(GOLDEN / f"{file}.wcon")
    assert {f"{file}/{track.id}" for track in tracks} == {
        key.rpartition("/")[0] for key in known if key.startswith(file)
    }
    for track in tracks:
        of = f"{file}/{track.id}"
        six, twelve = to_links(track, 6), to_links(track, 12)
        found = {"t": track.time, "angles6": six.joint_pos, "angles12": twelve.joint_pos, "heading": six.heading,
                 "length": six.length, "head": six.head, "suspect": track.suspects}  # fmt: skip
        for name, values in found.items():
            np.testing.assert_allclose(values, known[f"{of}/{name}"], atol=1e-9, err_msg=f"{of} {name}")
        assert (track.seen == np.isfinite(six.heading)).all()


def wave(n_links=8, steps=30) -> Posture:
    rng = np.random.default_rng(0)
    time = np.arange(steps) * 0.03
    joints = 0.6 * np.sin(7 * time[:, None] - np.arange(n_links - 1))
    return Posture(time, joints, rng.uniform(-3, 3, steps), np.full(steps, 0.8), rng.normal(size=(steps, 2)))


def test_angles_come_back_from_a_file_as_they_were(tmp_path):
    made = wave()
    write_wcon(tmp_path / "a.wcon", [made.track("w")], {"seed": 3})
    (track,) = read_wcon(tmp_path / "a.wcon")
    found = to_links(track, 8)
    for name in ("time", "joint_pos", "heading", "length", "head"):
        np.testing.assert_allclose(getattr(found, name), getattr(made, name), atol=1e-12)
    assert json.loads((tmp_path / "a.wcon").read_text(encoding="utf-8"))["@NCRD"] == {"seed": 3}
    with zipfile.ZipFile(tmp_path / "a.wcon.zip", "w") as held:
        held.write(tmp_path / "a.wcon", "a.wcon")
    assert (read_wcon(tmp_path / "a.wcon.zip")[0].time == track.time).all()


def test_gaps_stay_gaps_in_a_file(tmp_path):
    gaps = next(track for track in read_wcon(GOLDEN / "gaps.wcon") if track.id == "w1")
    posture = to_links(gaps, 6)
    write_wcon(tmp_path / "b.wcon", [posture.track("w1")])
    (back,) = read_wcon(tmp_path / "b.wcon")
    again = to_links(back, 6)
    assert (np.isnan(again.heading) == np.isnan(posture.heading)).all()
    assert np.isnan(posture.heading).sum() == 3


def test_swapped_heads_are_turned_where_asked():
    (track,) = read_wcon(GOLDEN / "swap.wcon")
    assert track.suspects.tolist() == [7, 8]
    assert not track.turned().suspects.size
    steps = np.linalg.norm(np.diff(to_links(track.turned(), 6).head, axis=0), axis=1)
    assert steps.max() < 0.3 * np.linalg.norm(np.diff(to_links(track, 6).head, axis=0), axis=1).max()


def test_a_spline_finds_the_bends_between_few_points():
    place = np.linspace(0, 1, 2001)
    tangent = 0.7 * np.sin(2 * np.pi * place / 0.65)
    path = np.stack([np.cumsum(np.cos(tangent)), np.sin(tangent).cumsum()], -1) / 2000
    from nervecord.worm import Track

    few = Track("few", np.zeros(1), (path[::200],), np.ones(1, bool))
    exact = to_links(Track("all", np.zeros(1), (path,), np.ones(1, bool)), 12).joint_pos
    errors = [np.abs(to_links(few, 12, spline).joint_pos - exact).max() for spline in (False, True)]
    assert errors[1] < 0.04 < errors[0]


def test_flipping_y_mirrors_the_bends():
    one, other = (read_wcon(GOLDEN / "units.wcon", flip)[0] for flip in (False, True))
    np.testing.assert_allclose(to_links(one, 6).joint_pos, -to_links(other, 6).joint_pos, atol=1e-12)


@pytest.mark.parametrize(
    ("unit", "dimension", "value"),
    [("mm", "a length", 1e-3), ("Mm", "a length", 1e6), ("0.04*s", "a time", 0.04), ("in/72", "a length", 0.0254 / 72),
     ("µm", "a length", 1e-6), ("microns", "a length", 1e-6), ("millimetres", "a length", 1e-3), ("min", "a time", 60),
     ("mm^2/mm", "a length", 1e-3), ("1/2*ms", "a time", 5e-4)],
)  # fmt: skip
def test_units_have_their_size(unit, dimension, value):
    assert si_value(unit, "x", dimension) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("unit", "dimension", "words"),
    [("pixels", "a length", "says no size; write how large one is, such as 0.04\\*mm"), ("frames", "a time", "04\\*s"),
     ("msecond", "a time", "'msecond' is none"), ("s", "a length", "a time; give a length, such as 'mm'"),
     ("mm*", "a length", "give a length"), ("", "a length", "a number; give a length"), (3, "a length", "give text")],
)  # fmt: skip
def test_units_that_are_none_are_refused(unit, dimension, words):
    with pytest.raises(InvalidRecording, match=words):
        si_value(unit, "x", dimension)


def content(**changes):
    record = {"id": "w", "t": [0.0, 0.1], "x": [[0, 1, 2]] * 2, "y": [[0, 0, 1]] * 2, **changes}
    return {"units": {"t": "s", "x": "mm", "y": "mm"}, "data": record}


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"data": []}, "there are no units of t, x and y"),
        (content(t=[0.1, 0.1]), "worm w has the time 0.1 s twice"),
        (content(t=0.1), "t of worm w is 0.1; give a list"),
        (content(x=[[0, 1, 2]]), "x of worm w has another length than t"),
        (content(y=[[0, 1]] * 2), "has 3 x and 2 y"),
        (content(head="left"), "head is 'left'; give numbers of time, and L, R or \\?"),
        (content(t=[0.0, None]), "a time is null"),
        ({**content(), "data": [{"id": "w"}]}, "is not WCON"),
        ([1], "it is not an object"),
        ("{", "cannot be read as WCON"),
        ('{"units": NaN}', "write null for what is missing"),
        ({**content(), "data": []}, "has no record of a worm"),
    ],
)
def test_files_that_are_no_such_tracks_are_refused(held, words, tmp_path):
    path = tmp_path / "x.wcon"
    path.write_text(held if isinstance(held, str) else json.dumps(held), encoding="utf-8")
    with pytest.raises(InvalidRecording, match=words):
        read_wcon(path)


def test_centroids_are_no_posture(tmp_path):
    (tmp_path / "x.wcon").write_text(json.dumps(content(x=[0.1, 0.2], y=[0.1, 0.2])), encoding="utf-8")
    (track,) = read_wcon(tmp_path / "x.wcon")
    with pytest.raises(InvalidRecording, match="no posture at any of 2 times"):
        to_links(track, 6)
    with pytest.raises(InvalidOption, match="links is 1; give 2 to 1000"):
        to_links(track, 1)


def test_the_command_reports_and_writes_angles_and_midlines(tmp_path, capsys):
    file = str(GOLDEN / "swap.wcon")
    main(["worm", "posture", file, "--links", "12", "--out", str(tmp_path / "a.csv"), "--json"])
    said = json.loads(capsys.readouterr().out)["s"]
    assert said["suspected swaps"] == [7, 8]
    assert said["times"] == 10
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("worm,time,angle_0,")
    assert len(lines) == 11
    main(["worm", "posture", file, "--fix-swaps", "--out", str(tmp_path / "b.wcon")])
    assert not read_wcon(tmp_path / "b.wcon")[0].suspects.size
    for out, words in (
        (tmp_path / "a.csv", "exists; give another --out"),
        (tmp_path / "a.txt", "unknown posture format"),
    ):
        with pytest.raises(SystemExit):
            main(["worm", "posture", file, "--out", str(out)])
        assert words in capsys.readouterr().err


def test_our_recordings_are_postures_of_their_own_joints(tmp_path):
    from nervecord.agents import Agent
    from nervecord.training.rollouts.recorder import record_agent
    from nervecord.training.runs.config import RunConfig
    from nervecord.training.runs.resolution import resolve

    resolved = resolve(RunConfig(episode_steps=12))
    recording = record_agent(Agent(resolved.agent), resolved.make_envs(2))
    recording.save(tmp_path / "rec.nc")
    main(["worm", "posture", str(tmp_path / "rec.nc"), "--out", str(tmp_path / "rec.wcon")])
    write_recording(tmp_path / "same.wcon", recording, {"run": "a", "seed": 1, "step": 5})
    one, other = (json.loads((tmp_path / f"{name}.wcon").read_text(encoding="utf-8")) for name in ("rec", "same"))
    assert other["data"] == one["data"]
    assert other["@NCRD"] == {"run": "a", "seed": 1, "step": 5, "body": "swimmer6"}
    for episode, track in enumerate(read_wcon(tmp_path / "rec.wcon")):
        found, own = to_links(track, 6), of_recording(recording, episode)
        np.testing.assert_allclose(found.joint_pos, recording.joint_pos[episode], atol=1e-6)
        np.testing.assert_allclose(own.nodes()[:, 1:3].mean(1), recording.link_pos[episode][:, 1], atol=1e-5)
        assert (own.joint_pos == recording.joint_pos[episode]).all()


@pytest.mark.slow
def test_record_writes_midlines_with_where_they_are_from(tmp_path):
    main(["record", "agent:cpg", "--episodes", "1", "--out", str(tmp_path / "x.wcon"), "--json"])
    told = json.loads((tmp_path / "x.wcon").read_text(encoding="utf-8"))["@NCRD"]
    assert (told["run"], told["body"]) == ("cpg", "swimmer6")
    assert told["step"] > 0
    (track,) = read_wcon(tmp_path / "x.wcon")
    assert len(track.time) == 1000
