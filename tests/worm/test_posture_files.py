"""Postures of tables and of Tierpsy's files: what they say, and one line where they do not say enough."""

import h5py
import numpy as np
import pandas as pd
import pytest
from nervecord.cli.main import main
from nervecord.errors import InvalidOption, InvalidRecording, UnknownName
from nervecord.worm import Posture, Track, read_postures, to_links
from nervecord.worm.posture_report import posture_table


def waves(many=12, points=49, length=1e-3):
    """Return midlines [T, K, 2], m, of a wave that travels down a worm, and their times, s."""
    place, time = np.linspace(0, 1, 8 * (points - 1) + 1), np.arange(many) * 0.05
    tangent = 0.7 * np.sin(2 * np.pi * (place / 0.65 - 0.4 * time[:, None]))
    steps = np.stack([np.cos(tangent), np.sin(tangent)], -1)[:, :-1] * length / (len(place) - 1)
    return np.pad(np.cumsum(steps, 1), ((0, 0), (1, 0), (0, 0)))[:, ::8] + 5e-3, time


def as_track(points, time):
    return Track("w", time, tuple(points), np.ones(len(time), bool))


def point_table(path, points, time, scale=1.0, **more):
    columns = {f"{axis}_{i}": points[:, i, j] * scale for i in range(points.shape[1]) for j, axis in enumerate("xy")}
    pd.DataFrame({**more, "time": time, **columns}).to_csv(path, index=False)
    return path


def test_midlines_of_a_table_are_those_of_their_points(tmp_path):
    points, time = waves()
    file = point_table(tmp_path / "x.csv", points[::-1], time[::-1], 1e3)
    ((name, (track, found)),) = read_postures(file, 12, unit="mm").items()
    known = to_links(as_track(points, time), 12)
    assert name == "x"
    for each in ("time", "joint_pos", "heading", "length", "head"):
        np.testing.assert_allclose(getattr(found, each), getattr(known, each), atol=1e-9)
    assert track.known.all()
    (flipped,) = read_postures(file, 12, unit="mm", flip_y=True).values()
    np.testing.assert_allclose(flipped[1].joint_pos, -known.joint_pos, atol=1e-9)
    (slow,) = read_postures(file, 12, unit="mm", time_unit="min").values()
    np.testing.assert_allclose(slow[1].time, 60 * time)


def test_swaps_and_gaps_of_a_table_are_found(tmp_path):
    points, time = waves()
    points[4], points[7, 0], points[9] = points[4, ::-1], np.nan, np.nan
    file = point_table(tmp_path / "x.csv", points, time, 1e6)
    ((track, found),) = read_postures(file, 6, unit="um").values()
    assert track.suspects.tolist() == [4]
    assert np.flatnonzero(np.isnan(found.heading)).tolist() == [7, 9]
    ((_, turned),) = read_postures(file, 6, unit="um", fix_swaps=True).values()
    assert np.linalg.norm(np.diff(turned.head[:7], axis=0), axis=1).max() < 1e-4


def test_angles_come_back_from_a_table_as_they_were(tmp_path):
    points, time = waves()
    made = to_links(as_track(points, time), 8)
    gone = Posture(*(np.where(np.arange(12)[(...,) + (None,) * (each.ndim - 1)] == 5, np.nan, each)
                     if name != "time" else each for name, each in vars(made).items()))  # fmt: skip
    posture_table({"a": made, "b": gone}).to_csv(tmp_path / "x.csv", index=False)
    found = read_postures(tmp_path / "x.csv")
    for name, known in (("a", made), ("b", gone)):
        for each in ("time", "joint_pos", "heading", "length", "head"):
            np.testing.assert_allclose(getattr(found[name][1], each), getattr(known, each), atol=1e-12)
    degrees = pd.DataFrame({"time": time, **{f"angle_{i}": np.degrees(q) for i, q in enumerate(made.joint_pos.T)}})
    degrees.to_csv(tmp_path / "d.csv", index=False)
    ((_, alone),) = read_postures(tmp_path / "d.csv", degrees=True).values()
    np.testing.assert_allclose(alone.joint_pos, made.joint_pos, atol=1e-12)
    assert np.isnan(alone.length).all()
    with pytest.raises(InvalidRecording, match=r"bends by .* rad at a joint, beyond a half turn; give --degrees"):
        read_postures(tmp_path / "d.csv")
    assert read_postures(tmp_path / "x.csv", 4)["a"][1].joint_pos.shape == (12, 3)


def tierpsy(path, points, time, kind="featuresN", fps=20.0, microns=1.0, **attrs):
    """Write a file of the layout of Tierpsy's repository, of two worms of which the second has a frame without one."""
    many = len(points)
    skeletons = np.concatenate([points, points[:, ::-1]]).astype("f4")
    skeletons[many + 3] = np.nan
    named = {"skeletons": ("worm_index_joined", "frame_number"), "featuresN": ("worm_index_joined", "frame_number"),
             "features": ("worm_index", "timestamp")}[kind]  # fmt: skip
    worm, frame = np.repeat([1, 7], many), np.tile(np.rint(time * 20).astype(int), 2)
    columns = {named[0]: worm, named[1]: frame}
    if kind != "features":
        columns["skeleton_id"] = np.where(np.arange(2 * many) == 2, -1, np.arange(2 * many))
    if kind == "skeletons":
        columns["has_skeleton"] = (np.arange(2 * many) != many + 5).astype("u1")
    rows = np.rec.fromarrays([*columns.values()], names=[*columns])
    with h5py.File(path, "w") as file:
        file["skeleton" if kind == "skeletons" else "coordinates/skeletons"] = skeletons
        table = file.create_dataset("features_timeseries" if kind == "features" else "trajectories_data", data=rows)
        table.attrs.update({"fps": fps, "expected_fps": fps, "microns_per_pixel": microns, **attrs})
    return path


@pytest.mark.parametrize(
    ("kind", "scale", "attrs", "given"),
    [
        ("featuresN", 1e6, {"xy_units": "micrometers"}, {}),
        ("featuresN", 1e6, {"microns": 4.0}, {}),
        ("featuresN", 2.5e5, {"xy_units": "pixels"}, {"unit": "0.004*mm"}),
        ("features", 1e6, {"xy_units": "micrometers"}, {}),
        ("skeletons", 2.5e5, {"microns": 4.0}, {}),
        ("skeletons", 2.5e5, {}, {"unit": "4*um"}),
        ("skeletons", 2.5e5, {"microns": 4.0, "fps": 1.0}, {"time_unit": "0.05*s"}),
    ],
)
def test_skeletons_of_tierpsy_are_read(kind, scale, attrs, given, tmp_path):
    points, time = waves()
    file = tierpsy(tmp_path / f"x_{kind}.hdf5", points * scale, time, kind, **attrs)
    found = read_postures(file, 12, **given)
    assert [*found] == ["1", "7"]
    known = to_links(as_track(points, time), 12)
    one, other = (each for _, each in found.values())
    seen = np.isfinite(one.heading)
    np.testing.assert_allclose(one.joint_pos[seen], known.joint_pos[seen], atol=2e-3)  # the file is in float32
    np.testing.assert_allclose(one.head[seen], known.head[seen], atol=1e-8)
    np.testing.assert_allclose(one.time, time, atol=1e-12)
    assert np.flatnonzero(~seen).tolist() == ([] if kind == "features" else [2])
    assert np.flatnonzero(np.isnan(other.heading)).tolist() == ([3, 5] if kind == "skeletons" else [3])


@pytest.mark.parametrize(
    ("attrs", "given", "words"),
    [
        ({}, {}, "has its skeletons in pixels; give their size, such as --unit 0.004\\*mm"),
        ({"microns": 4.0}, {"unit": "mm"}, "says that its unit is 4e-06 m; leave --unit out"),
        ({"microns": 4.0, "fps": 1.0}, {}, "does not know its frames per second; give a frame's time"),
        ({"microns": 4.0}, {"time_unit": "s"}, "says that it has 20 frames per second; leave --time-unit out"),
        ({}, {"unit": "pixels"}, "'pixels', which says no size"),
    ],
)
def test_units_that_are_missing_or_known_already_are_refused(attrs, given, words, tmp_path):
    points, time = waves()
    with pytest.raises(InvalidRecording, match=words):
        read_postures(tierpsy(tmp_path / "x.hdf5", points, time, "skeletons", **attrs), **given)


def test_other_files_of_hdf5_are_refused(tmp_path):
    points, time = waves()
    (tmp_path / "a.hdf5").write_text("no", encoding="utf-8")
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["trajectories_data"] = np.zeros(3)
    own = tierpsy(tmp_path / "c.hdf5", points, time, "skeletons", microns=4.0)
    with h5py.File(own, "a") as file:
        del file["skeleton"]
        file["skeleton"] = h5py.ExternalLink(tmp_path / "b.hdf5", "trajectories_data")
    for name, words in (("a", "no file of Tierpsy's"), ("b", "has no skeleton of"), ("c", "has no skeleton of")):
        with pytest.raises(InvalidRecording, match=words):
            read_postures(tmp_path / f"{name}.hdf5")


@pytest.mark.parametrize(
    ("name", "text", "given", "error", "words"),
    [
        (
            "x.csv",
            "time,x_0,y_0\n0,1,1",
            {},
            InvalidRecording,
            "does not state the unit of x and y; give it, such as --unit mm",
        ),
        ("x.csv", "time,x_0,y_0\n0,1,1", {"unit": "frames"}, InvalidRecording, "which says no size"),
        ("x.csv", "time,x_0,y_0,x_1\n0,1,1,1", {"unit": "mm"}, InvalidRecording, "has no column y_1"),
        ("x.csv", "time,x_0,y_0,x_2,y_2\n0,1,1,1,1", {"unit": "mm"}, InvalidRecording, "has no column x_1"),
        ("x.csv", "time,a\n0,1", {}, InvalidRecording, "has columns of neither angles nor points"),
        ("x.csv", "time,x_0,angle_0\n0,1,1", {}, InvalidRecording, "has columns of both angles and points"),
        ("x.csv", "time,angle_0,angle_1\n0,1,1", {"unit": "mm"}, InvalidOption, "--unit would have no effect"),
        (
            "x.csv",
            "time,angle_0,angle_1\n0,1,1",
            {"fix_swaps": True},
            InvalidOption,
            "--fix-swaps would have no effect",
        ),
        ("x.csv", "time,angle_0,angle_1\n0,1,", {}, InvalidRecording, "no time with every angle"),
        ("x.csv", "time,x_0,y_0\n0,1,1", {"degrees": True}, InvalidOption, "--degrees would have no effect"),
        ("x.wcon", "{}", {"unit": "mm"}, InvalidOption, "says its own units"),
        ("x.txt", "", {}, UnknownName, "unknown posture format '.txt'"),
        ("nope.csv", None, {}, InvalidRecording, "cannot be read as CSV: No such file"),
        ("nope.hdf5", None, {}, InvalidRecording, "no file of Tierpsy's"),
        ("x.csv", "time,x_0,y_0\n0,1,1", {"n_links": 1}, InvalidOption, "links is 1; give 2 to 1000"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(name, text, given, error, words, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(error, match=words) as refused:
        read_postures(tmp_path / name, **given)
    assert "\n" not in str(refused.value)


def test_the_command_writes_one_worm_of_several(tmp_path, capsys):
    points, time = waves()
    file = str(tierpsy(tmp_path / "x.hdf5", points * 2.5e5, time, "skeletons", microns=4.0))
    main(["worm", "posture", file, "--worm", "7", "--links", "8", "--out", str(tmp_path / "a.csv")])
    assert [*read_postures(tmp_path / "a.csv")] == ["7"]
    capsys.readouterr()
    for command, words in (
        (["posture", file, "--worm", "2"], "unknown worm '2'"),
        (["replay", file], "holds the worms 1, 7; name one, such as --worm '1'"),
    ):
        with pytest.raises(SystemExit):
            main(["worm", *command])
        assert words in capsys.readouterr().err
