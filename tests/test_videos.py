"""Films: what is drawn, what is written, and that nothing is lost."""

import dataclasses
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest
from nervecord.circuits import NCAP
from nervecord.drawing.wiring import neuron_places
from nervecord.envs import EnvBatch, XmlBody, make_body
from nervecord.errors import OutputExists, UnknownName
from nervecord.videos import TopView, render_recording, write_film
from nervecord.videos.neuron_view import NeuronView
from nervecord.videos.view3d import frames_3d, probe_renderer, qpos_of
from PIL import Image
from planted import planted

av = pytest.importorskip("av")
CHEETAH = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "half_cheetah.xml"


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
    with pytest.raises(UnknownName, match=r"known: .*\.mp4"):
        render_recording(planted(steps=4), "worm.avi")


@pytest.mark.parametrize(
    "body", ["swimmer3-long", "swimmer6-asymmetric", "gymnasium-swimmer", CHEETAH], ids=lambda body: Path(body).stem
)
def test_the_3d_view_has_every_body_where_it_was(body):
    body = XmlBody.from_file(body) if body == CHEETAH else make_body(body)
    envs = EnvBatch("swim", 1, body=body, physics="mujoco")
    envs.reset(np.arange(1))
    rng, poses, truth = np.random.default_rng(0), [], []
    for _ in range(10):
        envs.step(rng.uniform(-1, 1, (1, body.n_joints)))
        read = envs.physics.read
        poses.append([np.array(read(name)[0]) for name in ("joint_pos", "link_angle", "link_pos")])
        truth.append(envs.physics.get_state()["qpos"][0].copy())
    joint_pos, link_angle, link_pos = (np.array(each)[None] for each in zip(*poses, strict=True))
    recording = dataclasses.replace(
        planted(n_links=body.n_links, steps=10), joint_pos=joint_pos, link_angle=link_angle, link_pos=link_pos
    )
    model, found = body.compile(), qpos_of(recording, body)
    data, other = mujoco.MjData(model), mujoco.MjData(model)
    for data.qpos[:], other.qpos[:] in zip(found, truth, strict=True):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_kinematics(model, other)
        np.testing.assert_allclose(data.geom_xpos, other.geom_xpos, atol=1e-9)
        np.testing.assert_allclose(data.geom_xmat, other.geom_xmat, atol=1e-9)


def test_mujocos_renderer_draws_the_body():
    if probe_renderer() is None:
        pytest.skip("no OpenGL without a screen on this machine")
    body = make_body("swimmer6")
    frames = list(frames_3d(body.compile(visual=True), qpos_of(planted(n_links=6, steps=3), body), (160, 120)))
    assert len(frames) == 3
    assert np.ptp(frames[0].astype(int)) > 50


@pytest.mark.parametrize("n_links", [4, 6, 24])
def test_neurons_are_lit_by_their_activity(n_links):
    """The same frame with one neuron at rest and at its largest differs at that neuron's place and below."""
    circuit = NCAP(n_links - 1)
    names = tuple(neuron.name for neuron in circuit.neurons)
    activity = np.zeros((1, 1000, len(names)), np.float32)
    chosen = names.index("B_d_1")
    activity[:, 500:, chosen] = 1
    recording = dataclasses.replace(planted(n_links=n_links), activity=activity, neurons=names)
    view = NeuronView(recording, circuit.wiring())
    before, lit = (view.frame(instant).astype(int) for instant in (499, 500))
    assert before.shape == (640, 1120, 3)
    places = neuron_places(circuit.wiring().neurons)
    xs, ys = np.array(list(places.values())).T
    # The wiring is right of the body and above the activity, within a margin of 42 pixels.
    x = 42 + (places["B_d_1"][0] - xs.min()) / np.ptp(xs) * (560 - 84)
    y = 42 + (ys.max() - places["B_d_1"][1]) / np.ptp(ys) * (400 - 84)
    assert tuple(lit[round(y), 560 + round(x)]) == (227, 98, 9)
    changed = np.abs(lit - before).sum(-1) > 200
    rows, columns = np.nonzero(changed[:400, 560:])
    assert np.hypot(rows - y, columns - x).max() < 17, "another neuron was lit"
    assert changed[410:, 1090:1106].any(), "the activity beneath does not show it"


def test_a_film_of_neurons_is_written(tmp_path):
    circuit = NCAP(5)
    recording = dataclasses.replace(
        planted(n_links=6, steps=20),
        activity=np.zeros((1, 20, len(circuit.neurons)), np.float32),
        neurons=tuple(neuron.name for neuron in circuit.neurons),
    )
    for name in ("worm.mp4", "worm.gif"):
        path = render_recording(recording, tmp_path / name, view="neurons", wiring=circuit.wiring())
        assert path.stat().st_size > 1000
