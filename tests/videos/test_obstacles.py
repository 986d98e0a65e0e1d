"""What stands around a body is recorded and drawn: posts of arenas, lattices without end, links that touch."""

import dataclasses

import numpy as np
import pytest
from nervecord.agents import Agent, AgentSpec
from nervecord.drawing.obstacles import Obstacles
from nervecord.drawing.top_view import TopView
from nervecord.envs import EnvBatch, Landscape, Lattice, Post, SwimmerEnv
from nervecord.errors import InvalidRecording
from nervecord.training.rollouts.recorder import record_agent
from nervecord.training.rollouts.recording import Recording

GREY = (183, 185)  # of what is drawn of #808080


def recorded(arena, steps=6):
    envs = EnvBatch("swim", 1, "swimmer4", arena, episode_steps=steps, n_threads=1)
    found = record_agent(Agent(AgentSpec("ncap", envs.layout, 3)), envs)
    envs.close()
    return found


def is_grey(pixels):
    return (np.abs(np.asarray(pixels, int) - 184) <= 6).all(-1)


def test_posts_are_drawn_where_they_stand_and_kept_in_recordings(tmp_path):
    recorded(Landscape(posts=(Post(0.2, 0.15, 0.04),))).save(tmp_path / "a.nc")
    poses = Recording.load(tmp_path / "a.nc").poses()
    view = TopView(poses, clock=False)
    frame = view.frame(3)
    x, y = (view._to_pixels(np.array([[0.2, 0.15]]), view._camera[3])[0] / 2).astype(int)
    assert is_grey(frame[y - 3 : y + 3, x - 3 : x + 3]).all()
    radius = 0.04 * view._pixels_per_metre / 2
    assert is_grey(frame).sum() == pytest.approx(np.pi * radius**2, rel=0.15)
    nothing = TopView(dataclasses.replace(poses, obstacles=None), clock=False).frame(3)
    assert is_grey(nothing).sum() < 50  # of letters


def test_a_lattice_fills_the_picture():
    poses = recorded(Landscape(lattice=Lattice(radius=0.1, gap=0.3))).poses()
    shown = is_grey(TopView(poses, clock=False).frame(0))
    # Of each corner as of the whole, pi r^2 / pitch^2 are posts.
    for part in (shown, shown[:240, :320], shown[240:, 320:]):
        assert part.mean() == pytest.approx(np.pi * 0.1**2 / 0.5**2, abs=0.06)


def test_links_that_press_on_something_are_marked():
    poses = recorded(Landscape(posts=(Post(0.2, 0.15, 0.04),))).poses()
    touch = np.zeros_like(poses.obstacles.touch)
    touch[2, 1] = 0.1
    pressed = dataclasses.replace(poses, obstacles=dataclasses.replace(poses.obstacles, touch=touch))
    view = TopView(pressed, clock=False)
    yellow = [(np.abs(view.frame(at).astype(int) - (255, 211, 61)).max(-1) < 20).sum() for at in (1, 2)]
    assert yellow[0] == 0
    assert yellow[1] > 50


def test_copies_are_those_of_the_tile():
    square = np.array([[0.1, 0], [0, 0.1], [-0.1, 0], [0, -0.1]])
    angle = 0.3
    one = Obstacles((square,), ("#808080",), np.array([[[5.0, -3.0, angle]]]), (0.5, 0.8), 1)
    rows = one.seen(0, np.array([-1.0, -1.0]), np.array([1.0, 1.0]))
    assert len(rows) == pytest.approx((2.0 + 0.2 * np.sqrt(2)) ** 2 / 0.4, abs=2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    steps = (rows[:, 1:3] - (5.0, -3.0)) @ turn / (0.5, 0.8)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)


def test_environments_draw_what_stands():
    env = SwimmerEnv("swim", body="swimmer4", arena=Landscape(posts=(Post(0.2, 0.15, 0.04),)), render_mode="rgb_array")
    env.reset(seed=0)
    assert is_grey(env.render()).sum() > 200
    env.close()


def test_a_recording_of_other_obstacles_is_refused(tmp_path):
    found = recorded(Landscape(posts=(Post(0.2, 0.15, 0.04),)))
    for wrong in ({"outlines": []}, {"colours": ["red"]}):
        meta = {**found.meta, "obstacles": {**found.meta["obstacles"], **wrong}}
        dataclasses.replace(found, meta=meta).save(tmp_path / "b.nc")
        with pytest.raises(InvalidRecording, match="other obstacles"):
            Recording.load(tmp_path / "b.nc")
