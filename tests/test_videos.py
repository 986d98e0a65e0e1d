"""Films: what is drawn, what is written, and that nothing is lost."""

import dataclasses
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest
from nervecord.agents import Agent, AgentSpec
from nervecord.circuits import NCAP
from nervecord.envs import EnvBatch, make_body
from nervecord.envs.env_batch import make_layout, make_setting
from nervecord.errors import InvalidRecording, OutputExists, UnknownName
from nervecord.training.rollouts import record_agent
from nervecord.videos import TopView, render_recording, write_film
from nervecord.videos.neuron_view import NeuronView
from nervecord.videos.view3d import frames_3d, probe_renderer, qpos_of
from PIL import Image
from test_probes import planted

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


def test_mujocos_renderer_draws_the_body():
    if probe_renderer() is None:
        pytest.skip("no OpenGL without a screen on this machine")
    recording = planted(n_links=6, steps=3)
    body = make_body("swimmer6")
    frames = list(frames_3d(body, qpos_of(body, recording), (160, 120)))
    assert len(frames) == 3
    assert np.ptp(frames[0].astype(int)) > 50


@pytest.mark.parametrize("name", ["swimmer6-long", "gymnasium-swimmer", "half_cheetah.xml"])
def test_the_3d_view_poses_every_body_as_it_was_recorded(name):
    assets = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
    body = make_body(assets / name if name.endswith(".xml") else name)
    envs = EnvBatch("swim", 1, body=body, physics="mujoco", episode_steps=12)
    layout = make_layout(make_setting("swim", body))
    recording = record_agent(Agent(AgentSpec("mlp", layout, body.n_joints, {"hidden": []}, 0)), envs)
    model = body.compile(visual=True)
    data, links = mujoco.MjData(model), [model.body(link).id for link in body.parts.links]
    for pose, places in zip(qpos_of(body, recording), recording.link_pos[0], strict=True):
        data.qpos[:] = pose
        mujoco.mj_forward(model, data)
        assert np.abs(data.xipos[links][:, list(body.parts.plane)] - places).max() < 1e-5


@pytest.mark.parametrize(("view", "needs"), [("3d", "give body"), ("neurons", "give wiring=")])
def test_a_view_says_what_it_needs_to_draw(view, needs, tmp_path):
    with pytest.raises(InvalidRecording, match=needs):
        render_recording(planted(steps=4), tmp_path / "worm.gif", view=view)


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
    x, y = (round(value / 2) for value in view._places["B_d_1"])
    assert tuple(lit[y, 560 + x]) == (227, 98, 9)
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
