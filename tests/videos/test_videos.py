"""Films: what is drawn, what is written, and that nothing is lost."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from nervecord.circuits import MLP, NCAP, Neuron, Wiring
from nervecord.cli.doctor import doctor
from nervecord.drawing import Poses
from nervecord.drawing.camera import shot
from nervecord.drawing.palette import ABOVE, EXCITES, INHIBITS
from nervecord.drawing.strongest import strongest
from nervecord.errors import InvalidFilm, MissingDependency, OutputExists, UnknownName
from nervecord.training.learning.initial import untrained
from nervecord.training.learning.training import train
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from nervecord.videos import TopView, render_recording, write_film
from nervecord.videos.films import render
from nervecord.videos.neuron_view import NeuronView
from nervecord.videos.view3d import draws, frames_3d, probe_renderer
from PIL import Image
from PIL.ImageColor import getrgb
from planted import planted

av = pytest.importorskip("av")


def test_mp4_has_every_frame_at_the_control_rate(tmp_path):
    path = render_recording(planted(n_links=6, steps=40), tmp_path / "worm.mp4", size=(320, 240))
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        frames = sum(1 for _ in film.decode(stream))
        assert (stream.width, stream.height, frames) == (320, 240, 40)
        assert float(stream.average_rate) == pytest.approx(33, abs=1)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_gif_and_webp_are_animated(tmp_path, suffix):
    path = render_recording(planted(n_links=4, steps=20), tmp_path / f"worm{suffix}", size=(160, 120))
    with Image.open(path) as film:
        assert film.size == (160, 120)
        assert film.n_frames == 10


@pytest.mark.parametrize("fps", [24, 30, 40])
def test_a_gif_takes_as_long_as_what_it_shows(fps, tmp_path):
    frames = (np.full((16, 16, 3), 3 * frame, np.uint8) for frame in range(fps))
    write_film(frames, tmp_path / "worm.gif", fps)
    milliseconds = 0
    with Image.open(tmp_path / "worm.gif") as film:
        for frame in range(film.n_frames):
            film.seek(frame)
            milliseconds += film.info["duration"]
    assert milliseconds == 1000


def test_a_gif_keeps_the_colours_that_mean_something(tmp_path):
    # Legends and thin lines are a few pixels of a large picture in other colours.
    frame = NeuronView(*neurons_of(6, 30)).frame(10).astype(int)
    write_film([frame.astype(np.uint8)], tmp_path / "worm.gif", 15)
    with Image.open(tmp_path / "worm.gif") as film:
        changes = np.abs(np.asarray(film.convert("RGB"), int) - frame).max(-1)
    coloured = np.ptp(frame, axis=-1) > 60
    assert (changes[coloured] > 40).mean() < 0.01
    wires = np.zeros_like(coloured)
    wires[30:400, 470:] = np.ptp(frame, axis=-1)[30:400, 470:] > 25
    lines = [wires, *((frame == getrgb(colour)).all(-1) for colour in (EXCITES, INHIBITS))]
    assert [changes[line].mean() < 6 for line in lines] == [True] * 3


def test_the_scale_bar_is_as_long_as_it_says():
    view = TopView(planted(n_links=6).poses(), size=(640, 480))
    frame = view.frame(0)
    # The bar is the longest dark run in the lowest rows.
    dark = (frame[-20:-8, :, :].sum(-1) < 200).any(0)
    run = max(len(part) for part in "".join("#" if pixel else " " for pixel in dark).split())
    assert run == pytest.approx(view.scale_bar() * 640 / (2.4 * 0.6), abs=3)  # 2.4 bodies fit in a frame
    assert view.scale_bar() == 0.2


@pytest.mark.parametrize("n_links", [3, 6, 24, 100])
def test_the_body_is_drawn_where_it_is(n_links):
    view = TopView(planted(n_links=n_links).poses(), size=(320, 240))
    frame = view.frame(500).astype(int)
    coloured = np.ptp(frame, axis=-1) > 60
    rows, _ = np.nonzero(coloured)
    assert len(rows) >= 8
    assert abs(rows.mean() - 120) < 60


def test_what_is_at_the_upper_right_is_drawn_there():
    plain = planted(n_links=6, steps=5)
    marked = dataclasses.replace(plain, target_pos=plain.com_pos + np.array([0.2, 0.3]))
    pictures = [TopView(each.poses(), size=(320, 240)).frame(2).astype(int) for each in (plain, marked)]
    rows, columns = np.nonzero(np.abs(pictures[1] - pictures[0]).sum(-1) > 60)
    # 320 pixels are 2.4 lengths of the body, which is 0.6 m long.
    assert (columns.mean() - 160, 120 - rows.mean()) == pytest.approx((0.2 * 320 / 1.44, 0.3 * 320 / 1.44), abs=2)


@pytest.mark.parametrize("away", [(5.0, 3.0), (-4.0, 0.1), (0.0, -9.0)])
def test_an_arrow_points_to_a_target_out_of_view(away):
    plain = planted(n_links=6, steps=5)
    marked = dataclasses.replace(plain, target_pos=plain.com_pos + np.array(away))
    pictures = [TopView(each.poses(), size=(320, 240)).frame(2).astype(int) for each in (plain, marked)]
    rows, columns = np.nonzero(np.abs(pictures[1] - pictures[0]).sum(-1) > 60)
    seen = np.array([columns.mean() - 160, 120 - rows.mean()])
    assert np.allclose(seen / np.linalg.norm(seen), np.divide(away, np.linalg.norm(away)), atol=0.05)
    assert len(rows) > 100
    assert min(160 - abs(seen[0]), 120 - abs(seen[1])) < 30, "stands at the edge"


@pytest.mark.parametrize("look", [{}, {"camera": "fixed"}, {"zoom": 4.0}], ids=["follow", "fixed", "near"])
@pytest.mark.parametrize("n_links", [3, 6, 24])
def test_no_edge_lies_outside_of_the_part_that_is_drawn_with_edges(n_links, look, monkeypatch):
    view = TopView(planted(n_links=n_links).poses(), size=(320, 240), **look)
    whole = (0, 0, *view.size)
    for instant in (0, 77, 500):
        part = view._edged(instant, view._camera[instant])
        pictures = []
        for box in (part, whole):
            monkeypatch.setattr(view, "_edged", lambda *_, box=box: box)
            pictures.append(view.frame(instant))
            monkeypatch.undo()
        left, top, right, bottom = part
        differs = (pictures[0] != pictures[1]).any(-1)
        # Inside, the last digit of a place may decide a pixel.
        differs[top:bottom, left:right] = False
        assert part != whole or "zoom" in look
        assert not differs.any()


def test_a_film_of_a_few_seconds_simulates_no_more(tmp_path):
    config = RunConfig(steps=64, episode_steps=200, algorithm_options={"n_envs": 2})
    run = train(config, tmp_path / "run", progress=False)
    few, whole = record(run, 1, seconds=0.3), record(run, 1)
    assert (few.n_steps, few.lengths.tolist(), whole.n_steps) == (10, [10], 200)
    assert np.array_equal(few.link_pos, whole.link_pos[:, :10])
    # A part of an episode that would take minutes in whole.
    long = dataclasses.replace(config, episode_steps=1_000_000)
    with untrained(long) as unlimited, Image.open(render(unlimited, tmp_path / "x.gif", seconds=0.3)) as film:
        assert film.n_frames == 5


def test_an_existing_film_is_kept(tmp_path):
    path = tmp_path / "worm.gif"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExists):
        render_recording(planted(steps=4), path)
    assert path.read_bytes() == b"precious"


def test_an_interrupted_film_leaves_nothing(tmp_path):
    def frames():
        yield np.zeros((32, 32, 3), np.uint8)
        raise KeyboardInterrupt

    for suffix in (".mp4", ".gif"):
        with pytest.raises(KeyboardInterrupt):
            write_film(frames(), tmp_path / f"worm{suffix}", 30)
    assert list(tmp_path.iterdir()) == []


def test_unknown_formats_are_refused():
    with pytest.raises(UnknownName, match="known: gif, mp4, webp"):
        render_recording(planted(steps=4), "worm.avi")


def laid_out(n_links):
    """Return the poses of a body at one instant, straight along the x axis, its head to the right."""
    places = 0.1 * np.arange(n_links)[::-1]
    return Poses(
        name="straight", dt=0.03, link_pos=np.stack([places, np.zeros(n_links)], 1)[None],
        link_angle=np.zeros((1, n_links)), joint_pos=np.zeros((1, n_links - 1)),
        com_pos=np.array([[places.mean(), 0.0]]), target_pos=None, link_length=np.full(n_links, 0.1),
        link_width=np.full(n_links, 0.02), joint_limit=np.full(n_links - 1, 1.0),
    )  # fmt: skip


@pytest.mark.parametrize("n_links", [6, 60])
def test_mujocos_renderer_draws_a_body_that_is_lit_and_thick_enough_to_see(n_links):
    if probe_renderer() is None:
        pytest.skip("no OpenGL without a screen on this machine")
    (frame,) = frames_3d(laid_out(n_links), (320, 240))
    assert frame.mean() > 150, "the scene is dark"
    body = np.ptp(frame.astype(int), axis=-1) > 30
    thick, columns = body.sum(0), np.flatnonzero(body.any(0))
    assert np.ptp(columns) == pytest.approx(320 / 2.4, rel=0.1)
    assert 3 <= np.median(thick[columns]) < 20


@pytest.mark.parametrize(
    ("platform", "tried", "told"),
    [("linux", ["egl", "osmesa"], "apt-get"), ("win32", ["wgl"], "driver"), ("darwin", ["cgl", "glfw"], "driver")],
)
def test_each_system_is_asked_for_its_own_opengl_and_told_how_to_get_it(platform, tried, told, monkeypatch):
    asked = []

    def refuse(command, env, **_):
        asked.append(env["MUJOCO_GL"])
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setenv("MUJOCO_GL", "disable")
    for each in (probe_renderer, draws):
        each.cache_clear()
    try:
        with pytest.raises(MissingDependency, match=told):
            next(frames_3d(laid_out(3), (320, 240)))
        assert told in str(doctor()["problems"])
    finally:
        for each in (probe_renderer, draws):
            each.cache_clear()
    assert asked == tried


def shots(tmp_path, name="worm.mp4", **look):
    """Return rate, size and number of frames of a film of 40 control steps of 30 ms."""
    path = render_recording(planted(n_links=6, steps=40), tmp_path / name, **look)
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        return float(stream.average_rate), (stream.width, stream.height), sum(1 for _ in film.decode(stream))


def test_rate_and_speed_set_the_frames_and_not_the_time_that_they_show(tmp_path):
    assert shots(tmp_path, "a.mp4", fps=10) == (10, (640, 480), 12)
    assert shots(tmp_path, "b.mp4", fps=10, speed=0.5, size=(200, 160)) == (10, (200, 160), 24)
    assert shots(tmp_path, "c.mp4", fps=20, speed=2) == (20, (640, 480), 12)


@pytest.mark.parametrize(
    ("look", "line"),
    [
        ({"view": "4d"}, "unknown view '4d'"),
        ({"camera": "drone"}, "unknown camera 'drone'; known: fixed, follow"),
        ({"fps": 0}, "fps is 0; give a number from 1 to 120"),
        ({"fps": 60}, "fps is 60; a gif shows at most 50"),
        ({"speed": -1}, "speed is -1; give a number from 0.01 to 100"),
        ({"size": (10, 480)}, "size is (10, 480); give width and height in pixels"),
        ({"zoom": float("nan")}, "zoom is nan"),
        ({"episode": 3}, "episode is 3; give 0 to 0"),
        ({"view": "neurons"}, "give it, as wiring="),
    ],
)
def test_a_film_that_cannot_be_is_one_line_before_any_work(tmp_path, look, line):
    with pytest.raises((InvalidFilm, UnknownName)) as raised:
        render_recording(planted(steps=4), tmp_path / "worm.gif", **look)
    assert line in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_fixed_camera_sees_all_of_the_path_and_stays():
    recording = planted(n_links=6, steps=400)
    view = TopView(recording.poses(), (400, 300), camera="fixed")
    first, last = (np.ptp(view.frame(instant).astype(int), axis=-1) > 60 for instant in (0, 399))
    for body in (first, last):
        rows, columns = np.nonzero(body)
        assert len(rows) > 50
        assert min(rows.min(), 299 - rows.max(), columns.min(), 399 - columns.max()) > 0
    moved = recording.com_pos[0, 399] - recording.com_pos[0, 0]
    shift = np.array([np.nonzero(body)[1].mean() for body in (first, last)])
    pixels_per_metre = np.min([400, 300] / shot(recording.poses(), "fixed", 1)[1])
    assert np.diff(shift)[0] == pytest.approx(moved[0] * pixels_per_metre, rel=0.05)


def test_twice_the_zoom_shows_a_body_twice_as_long():
    lengths = []
    for zoom in (0.5, 1):
        frame = TopView(laid_out(6), (400, 300), clock=False, zoom=zoom).frame(0)[40:260]
        lengths.append(np.ptp(np.flatnonzero((np.ptp(frame.astype(int), axis=-1) > 60).any(0))))
    assert lengths[1] == pytest.approx(2 * lengths[0], rel=0.03)


def neurons_of(n_links, steps=100):
    """Return a recording in which every neuron rests, the circuit's wiring, and the neurons' names."""
    circuit = NCAP(n_links - 1)
    names = tuple(neuron.name for neuron in circuit.neurons)
    silent = np.zeros((1, steps, len(names)), np.float32)
    return dataclasses.replace(planted(n_links=n_links, steps=steps), activity=silent, neurons=names), circuit.wiring()


@pytest.mark.parametrize("n_links", [4, 12, 24, 60])
def test_a_neuron_is_lit_by_its_activity_in_the_wiring_and_over_time(n_links):
    """The same frame with one neuron at rest and at its largest differs at that neuron's place alone."""
    recording, wiring = neurons_of(n_links)
    recording.activity[:, 50:, recording.neurons.index("B_d_1")] = 1
    view = NeuronView(recording, wiring)
    before, lit = (view.frame(instant).astype(int) for instant in (49, 50))
    assert before.shape == (720, 1280, 3)
    x, y = (round(value) for value in view.place("B_d_1"))
    assert tuple(lit[y, x]) == getrgb(ABOVE)
    rows, columns = np.nonzero(np.abs(lit - before)[:400, 470:].sum(-1) > 120)
    assert np.hypot(rows - y, columns + 470 - x).max() < 14, "another neuron was lit"
    # Beneath, the second half of its row is lit in either, paler where it is still to come.
    row = (np.abs(lit[420:690, 90:1260] - getrgb(ABOVE)).sum(-1) < 30).sum(1)
    pale = (np.abs(before[420:690, 90:1260] - getrgb(ABOVE)).sum(-1) < 30).sum(1)
    assert row.max() > 0 == pale.max()


def dark(frame):
    """Return where letters are."""
    return frame.astype(int).sum(-1) < 420


@pytest.mark.parametrize("n_links", [4, 12, 24, 60])
def test_every_row_of_neurons_is_named_whatever_their_number(n_links):
    recording, wiring = neurons_of(n_links, 10)
    view = NeuronView(recording, wiring)
    frame = view.frame(0)
    for kind in ("q_d", "B_d", "muscle_d", "muscle_v", "B_v", "q_v"):
        x, y = (round(value) for value in view.place(f"{kind}_0"))
        # Its own name beside it, or the row's at the left.
        words = frame[y - 6 : y + 7, 462 : x - 12], frame[y - 6 : y + 7, x + 6 : x + 60]
        assert any(dark(part).sum() > 20 for part in words), kind
    strip = frame[410:, :80]
    assert dark(strip).any(1).sum() > 40, "rows of the activity have no names"


def test_nothing_of_a_wiring_is_left_out_unsaid(monkeypatch):
    import nervecord.videos.wiring_panel as panel

    recording, wiring = neurons_of(60, 10)
    assert NeuronView(recording, wiring)._panel.note == ""
    monkeypatch.setattr(panel, "_MOST_EDGES", 100)
    said = NeuronView(recording, wiring)
    drawn = len(strongest(wiring.synapses, 100))
    assert said._panel.note == f"{drawn} of {len(wiring.synapses)} synapses, the strongest"


@pytest.mark.parametrize("most", [0, 300, 3000])
def test_no_neuron_is_drawn_without_the_strongest_of_its_synapses(most):
    wiring = MLP({"joint_pos": 5, "body_velocities": 18}, 5).wiring()
    drawn = strongest(wiring.synapses, most)
    assert most <= len(drawn) < len(wiring.synapses)
    for end in ("pre", "post"):
        for neuron in {getattr(synapse, end) for synapse in wiring.synapses}:
            own = [synapse for synapse in wiring.synapses if getattr(synapse, end) == neuron]
            assert max(own, key=lambda synapse: abs(synapse.weight)) in drawn


def test_names_that_stand_too_close_are_left_out_and_said():
    cells = [Neuron(name, "inter", 0.5, "d") for name in ("AVAL", "AVBL", "AVDL")]
    recording = dataclasses.replace(
        planted(n_links=6, steps=4), activity=np.zeros((1, 4, 3), np.float32), neurons=("AVAL", "AVBL", "AVDL")
    )
    assert NeuronView(recording, Wiring(tuple(cells), ()))._panel.note == "some names"


def test_no_part_of_the_activity_is_blank_however_short_the_film(tmp_path):
    recording, wiring = neurons_of(6, 30)
    recording.activity[:] = 1
    frame = NeuronView(recording, wiring).frame(3)
    inside = frame[430:680, 100:1260].reshape(-1, 3)
    assert (inside.min(1) < 200).mean() > 0.98
    film = render_recording(recording, tmp_path / "worm.gif", view="neurons", wiring=wiring, size=(400, 240))
    with Image.open(film) as opened:
        assert opened.size == (400, 240)
        assert opened.n_frames == 15
