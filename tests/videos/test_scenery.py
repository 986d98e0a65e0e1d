"""What is around a body is drawn where it is: media, fields, sources and targets, in pictures, films and maps."""

import dataclasses
import json

import numpy as np
import pytest
from nervecord.agents import Agent, AgentSpec
from nervecord.drawing import TopView, figure_svg
from nervecord.drawing.path_map import path_map
from nervecord.envs import Arena, EnvBatch, Field, Landscape, Source, Zone, gel, newtonian
from nervecord.errors import InvalidRecording
from nervecord.training.rollouts.recorder import record_agent
from nervecord.training.rollouts.recording import Recording
from nervecord.videos.view3d import frames_3d, probe_renderer

WATER, SAND = (246, 249, 252), np.array([200, 150, 60])


def poses_of(task="swim", body="swimmer6", arena=None, **options):
    envs = EnvBatch(task, 1, body, arena, n_threads=1, **options)
    envs.seed([3])
    envs.reset(np.arange(1))
    return envs.poses(0), envs


def pixel(poses, place, zoom=1.0, size=(640, 480)):
    """Return the colour of a picture at a place, m."""
    view = TopView(poses, size, zoom=zoom)
    x, y = view._to_pixels(np.array([place], float), view._camera[0])[0] / 2
    return np.array(view.frame(0)[int(y), int(x)], int)


@pytest.mark.parametrize("n_links", [4, 12, 24])
def test_zones_are_tinted_by_their_place_in_the_arena(n_links):
    length = 0.1 * n_links
    zone = Zone("disc", gel(1.0), x=-0.6 * length, y=0.3 * length, size=0.3 * length, edge=0.1)
    poses, _ = poses_of(body=f"worm{n_links}", arena=Landscape(gel(0.0), (zone,)))
    inside, outside = pixel(poses, (zone.x + 0.03, zone.y + 0.03)), pixel(poses, (0.83 * length, -0.33 * length))
    share = float(zone.share(np.array([zone.x + 0.03, zone.y + 0.03])))
    np.testing.assert_allclose(inside, WATER + 0.55 * share * (SAND - WATER), atol=4)
    assert np.abs(outside - WATER).max() < 40 * (1 - share) + 30


def test_media_are_as_far_apart_in_colour_as_their_order_says():
    arena = Landscape(newtonian(0.3), (Zone(x=0.0, medium=gel(1.0)), Zone(y=0.0, heading=1.57, medium=gel(0.0))))
    (layer,) = poses_of(body="worm8", arena=arena)[0].scenery.layers
    assert [text for _, text in layer.ticks] == ["water", "0.3 Pa s", "agar, K 40"]
    found = layer.at(np.array([[-9.0, -9.0], [9.0, -9.0], [0.0, 9.0]]), 0)
    np.testing.assert_allclose(found, [0.5, 1.0, 0.0], atol=1e-3)
    (alone,) = poses_of(body="worm8", arena=Arena(gel(1.0)))[0].scenery.layers
    assert float(alone.at(np.zeros(2), 0)) == pytest.approx(1.0, abs=0.01)
    assert poses_of()[0].scenery.layers == ()  # the swimmers' own fluid is no layer


def test_an_odour_is_darkest_at_its_source_and_a_temperature_goes_from_blue_to_red():
    arena = Landscape(odour=Field((Source(x=0.5, y=0.2, size=0.1, amplitude=3.0),)))
    poses, _ = poses_of(arena=arena)
    (layer,) = poses.scenery.layers
    np.testing.assert_allclose(layer.at(np.array([[0.5, 0.2], [0.6, 0.2]]), 0), [1.0, np.exp(-0.5)])
    assert layer.ticks[-1] == (1.0, "3")
    poses, _ = poses_of(arena=Landscape(temperature=Field(base=293.0, slope_x=4.0)))
    cold, warm = pixel(poses, (-1.03, 0.07), 0.5), pixel(poses, (1.03, 0.07), 0.5)
    assert cold[2] > cold[0] + 10
    assert warm[0] > warm[2] + 5
    assert [text for _, text in poses.scenery.layers[0].ticks] == ["285 K", "301 K"]


def test_a_target_has_its_size():
    poses, envs = poses_of("forage")
    envs.task.place_target(0, np.array([0.3, 0.35]))
    poses = envs.poses(0)
    for away, is_food in ((0.14, True), (0.16, False)):
        assert (np.abs(pixel(poses, (0.3 + away, 0.35), 0.5) - (255, 184, 108)).max() < 60) == is_food


def test_the_key_names_every_layer():
    arena = Landscape(gel(0.0), (Zone(),), odour=Field((Source(),)), temperature=Field(slope_x=1.0))
    poses, _ = poses_of(body="worm8", arena=arena)
    wide, narrow = (poses.scenery.key(12.0, width) for width in (640, 200))
    assert wide.height >= 3 * 18
    assert wide.width < 640
    assert narrow.width <= wide.width
    assert narrow.height > wide.height
    assert poses_of()[0].scenery.key(12.0, 640) is None
    many = tuple(Zone(medium=newtonian(0.001 * each)) for each in range(2, 40))
    (layer,) = poses_of(body="worm8", arena=Landscape(gel(0.0), many))[0].scenery.layers
    assert not layer.apart
    assert [layer.ticks[0][1], layer.ticks[-1][1]] == ["water", "0.039 Pa s"]


@pytest.fixture(scope="module")
def recording():
    """Return a recording among sources that move and run low."""
    arena = Landscape(
        odour=Field((Source(lifetime=0.05, radius=0.5), Source(x=0.4, course=((1.0, 0.4, 1.0),)))),
        temperature=Field((Source("cone", y=-1.0),), base=280.0),
    )
    envs = EnvBatch("forage", 2, "swimmer4", arena, episode_steps=20, n_threads=1)
    return record_agent(Agent(AgentSpec("navigator", envs.layout, 3)), envs)


def test_a_recording_keeps_what_is_drawn(recording, tmp_path):
    recording.save(tmp_path / "rec.nc")
    kept, now = (each.poses(1).between(3, 20).scenery for each in (Recording.load(tmp_path / "rec.nc"), recording))
    for instant in (0, 16):
        pictures = [each.picture(np.zeros(2), (2.0, 2.0), (32, 32), instant).astype(int) for each in (kept, now)]
        np.testing.assert_allclose(*pictures, atol=1)
    np.testing.assert_allclose(kept.sources_at(10)[1], [0.4, 0.03 * 13], rtol=1e-5)
    first, last = (kept.layers[0].at(np.zeros(2), instant) for instant in (3, 19))
    assert first > last + 0.1  # it ran low
    assert kept.target_radius == pytest.approx(0.1)


def test_recordings_of_before_have_no_surroundings(recording):
    meta = {name: recording.meta[name] for name in ("name", "link_length", "link_width", "joint_limit")}
    old = dataclasses.replace(recording, meta=meta, sources=np.zeros((0, 0, 0)))
    assert old.poses().scenery.layers == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"arena": {"name": "landscape", "odour": 3}},
        {"arena": {"name": "open"}},
        {"arena": 3},
        {"medium": {"across": -1.0}},
        {"scent": {"radius": 1, "smell": 2}},
        {"target_radius": "wide"},
    ],
)
def test_surroundings_that_are_none_are_refused(recording, wrong, tmp_path):
    bad = dataclasses.replace(recording, meta=json.loads(json.dumps({**recording.meta, **wrong})))
    bad.save(tmp_path / "bad.nc")
    with pytest.raises(InvalidRecording, match=r"bad\.nc cannot be read as a recording") as refused:
        Recording.load(tmp_path / "bad.nc")
    assert "\n" not in str(refused.value)


def test_a_map_shows_path_ground_and_targets(recording):
    svg = figure_svg(path_map(recording.poses()))
    for text in ("path of the nose", "target", "odour", "temperature", "281 K"):
        assert text in svg
    assert "data:image/png" in svg


@pytest.mark.skipif(probe_renderer() is None, reason="no OpenGL works here")
def test_the_ground_of_the_3d_view_lies_where_it_should():
    arena = Landscape(gel(0.0), (Zone(y=0.1, heading=np.pi / 2, medium=gel(1.0)),))
    frame = next(frames_3d(poses_of(body="worm8", arena=arena)[0], (320, 240), zoom=0.5)).astype(int)
    far, near = frame[20, 40:280].mean(0), frame[200, 20:100].mean(0)  # larger y is farther away
    assert far[0] - far[2] > 20 > near[0] - near[2]
