"""Agents that swim inside a notebook, in a frame without a port."""

import pytest
from browser import until
from nervecord import Run, RunConfig, train
from nervecord.errors import CircuitMismatch, InvalidOption, InvalidTask
from nervecord.pages import show


def test_an_agent_swims_in_a_frame_of_a_plain_page(opened, tmp_path):
    """As a notebook or its HTML export embeds it: the frame reaches neither the page around it nor the network."""
    view = show("agent:ncap", Run("agent:relay"), height=700)
    outer = tmp_path / "notebook.html"
    outer.write_text(f"<!doctype html><html><body><h1>A notebook</h1>{view._repr_html_()}</body></html>", "utf-8")
    with opened(outer.as_uri()) as page:
        until(page, "frames.length === 1")
        (frame,) = page.frames[1:]
        frame.wait_for_selector("#neurons button")
        until(frame, "swimmer.now.elapsed > 30")
        frame.get_by_role("button", name="silence B_d_2").click()
        until(frame, "swimmer.activity[swimmer.neurons.indexOf('B_d_2')] === 0")
        assert frame.evaluate("document.querySelector('#agent').options.length") == 2
        assert page.locator("iframe").bounding_box()["height"] == 700
        assert frame.evaluate("window.origin") == "null", "it has no origin: the page around it is out of reach"
        assert (
            frame.evaluate("(() => { try { return parent.document.title; } catch { return 'refused'; } })()")
            == "refused"
        )


def test_neurons_are_in_the_frame_that_a_notebook_has_room_for(opened, tmp_path):
    outer = tmp_path / "notebook.html"
    outer.write_text(f"<!doctype html><html><body>{show('agent:ncap')._repr_html_()}</body></html>", "utf-8")
    with opened(outer.as_uri()) as page:
        page.set_viewport_size({"width": 800, "height": 900})
        until(page, "frames.length === 1")
        (frame,) = page.frames[1:]
        frame.wait_for_selector("#neurons button")
        lowest = (
            "Math.max(...[...document.querySelectorAll('#neurons button')].map(b => b.getBoundingClientRect().bottom))"
        )
        assert frame.evaluate(lowest) < frame.evaluate("innerHeight")


def test_what_a_frame_cannot_show_is_one_line(tmp_path):
    with pytest.raises(InvalidOption, match=r'give one or more, such as show\("agent:ncap"\)'):
        show()
    with pytest.raises(InvalidOption, match="3 is no run; give a run, its folder"):
        show(3)
    with pytest.raises(InvalidOption, match="height is 0"):
        show("agent:ncap", height=0)
    config = RunConfig("ncap", "es", task="navigate", steps=100, episode_steps=10)
    run = train(config, tmp_path / "run", progress=False)
    with pytest.raises(InvalidTask, match=r"pay for speed alone.*; nervecord play shows it"):
        show(run)
    other = train(RunConfig("gru", "es", steps=10, episode_steps=10), tmp_path / "gru", progress=False)
    with pytest.raises(CircuitMismatch, match=r"pages compute ncap, .* and not this GRU; nervecord play"):
        show(other.path)
