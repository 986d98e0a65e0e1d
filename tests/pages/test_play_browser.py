"""A live agent in a real browser, through its own server."""

import contextlib

import numpy as np
import pytest
from browser import look_over, until
from nervecord.drawing.palette import REST
from nervecord.pages.player import Player
from nervecord.training.learning.training import train
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.runs.config import RunConfig
from PIL.ImageColor import getrgb
from playing import places, serving

pytest.importorskip("aiohttp", reason="the server is an extra: pip install 'nervecord[play]'")


def test_food_and_media_are_changed_in_a_browser(forager, opened, tmp_path):
    held = Player(forager)
    with contextlib.closing(held), serving(held) as (_, url), opened(url, 1200) as page:
        until(page, "document.querySelector('#clock').textContent !== '0.00 s'")
        page.click("#pause")
        until(page, "document.querySelector('#pause').textContent === 'Resume'")
        page.wait_for_timeout(200)  # what was on its way is drawn
        page.click(".pool", position={"x": 40, "y": 60})
        until(page, "document.querySelector('circle.target').getAttribute('visibility') === 'visible'")
        box = page.locator("circle.target").bounding_box()
        pool = page.locator(".pool").bounding_box()
        place = box["x"] + box["width"] / 2 - pool["x"], box["y"] + box["height"] / 2 - pool["y"]
        np.testing.assert_allclose(place, (40, 60), atol=2)
        page.click("#drop")
        until(page, "!document.querySelector('#said').textContent")
        nose = np.array(held.moment()["line"][0])
        assert np.linalg.norm(nose - held.moment()["target"]) == pytest.approx(0.6, abs=1e-3)
        page.select_option("#medium", "agar")
        until(page, "document.querySelector('#ground-key').textContent.includes('agar, K 40')")
        until(page, "document.querySelector('.pool image').getAttribute('visibility') === 'visible'")
        assert "odour" in page.inner_text("#ground-key")
        page.screenshot(path=tmp_path / "play.png")


def test_an_agent_is_played_with_in_a_browser(served, opened):
    server, url = served
    with opened(url) as page:
        until(page, "document.querySelector('#clock').textContent !== '0.00 s'")
        first = page.locator(".pool .worm").get_attribute("d")
        until(page, f"document.querySelector('.pool .worm').getAttribute('d') !== '{first}'")

        page.locator("#pause").click()
        until(page, "document.querySelector('#pause').textContent === 'Resume'")
        stopped = page.locator("#clock").inner_text()
        page.wait_for_timeout(200)
        assert page.locator("#clock").inner_text() == stopped
        page.locator("#pause").click()
        until(page, f"document.querySelector('#clock').textContent !== '{stopped}'")

        page.locator("[data-neuron=B_d_1] use").click()
        until(page, "document.querySelector('#done li')?.firstChild.textContent === 'silence B_d_1'")
        assert server.player.interventions == (Intervention("B_d_1"),)
        page.locator("[data-neuron=B_d_1]").focus()
        page.keyboard.press("Enter")
        until(page, "!document.querySelector('#done li')")

        page.locator("#which").fill("osc_d")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('#done li')?.firstChild.textContent === 'silence osc_d'")
        assert page.locator("#value").is_hidden()
        page.locator("#kind").select_option("clamp")
        page.locator("#which").fill("B_v_2")
        page.locator("#value").fill("0.5")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('#done').textContent.includes('clamp B_v_2 0.5')")
        page.get_by_label("let B_v_2 go").click()
        until(page, "!document.querySelector('#done').textContent.includes('B_v_2')")

        assert page.locator(".lead").inner_text().startswith("swimmer6 · ")
        assert float(page.locator("#return").inner_text()) >= 0
        # The trace has run: its newest column has the colours of the palette.
        lit = page.evaluate(
            "find('trace').getContext('2d').getImageData(find('trace').width - 1, 0, 1, 1e2).data.some(each => each)"
        )
        assert lit

        page.locator("#which").fill("nobody")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('#said').textContent.startsWith(\"unknown neuron 'nobody'\")")

        page.locator("#speed").fill("1")
        until(page, "document.querySelector('#speed-out').textContent.startsWith('2.00')")
        assert comes_true(page, lambda: server.speed == 2.0)

        com = server.player.envs.physics.read("com_pos")[0, 1]
        page.locator("[data-push=up]").click()
        assert comes_true(page, lambda: server.player.envs.physics.read("com_pos")[0, 1] > com)

        page.locator("#length").fill("1.5")
        until(page, "document.querySelector('#length-out').textContent === '15.0 cm'")
        page.locator("#links").fill("8")
        until(page, "document.querySelectorAll('[data-neuron^=B_d]').length === 7")


def test_arrow_keys_go_on_changing_the_links_where_the_wiring_is_drawn_anew(served, opened):
    server, url = served
    with opened(url) as page:
        page.locator("#links").focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        until(page, "document.querySelectorAll('[data-neuron^=B_d]').length === 8")
        assert page.evaluate("document.activeElement.id") == "links"
        assert page.locator("#links-out").inner_text() == "9"
        page.keyboard.press("ArrowLeft")
        until(page, "document.querySelectorAll('[data-neuron^=B_d]').length === 7")
        assert server.player.n_links == 8
        # The new drawing answers as the first did.
        page.locator("[data-neuron=B_d_6] use").click()
        until(page, "document.querySelector('#done li')?.firstChild.textContent === 'silence B_d_6'")


def comes_true(page, happened):
    """Return whether something happens within 5 s: a page's labels change before the server has heard."""
    for _ in range(100):
        if happened():
            return True
        page.wait_for_timeout(50)
    return False


def within(page, part):
    """Return whether all of a part of the pool lies within it."""
    inner, outer = page.locator(part).bounding_box(), page.locator(".pool").bounding_box()
    return all(
        outer[side] <= inner[side] and inner[side] + inner[size] <= outer[side] + outer[size]
        for side, size in (("x", "width"), ("y", "height"))
    )


def test_the_longest_body_is_in_view_with_its_scale(player, opened):
    player.resize(links=24, length=2.0)
    with serving(player) as (_, url), opened(url) as page:
        until(page, "document.querySelector('#clock').textContent !== '0.00 s'")
        page.locator("#pause").click()
        assert within(page, ".pool .worm")
        # 4.8 m long, of which a third is 1.6 m.
        assert page.locator(".pool text", has_text="1 m").count() == 1
        assert within(page, ".pool .bar")


def test_a_target_out_of_view_has_an_arrow_to_it(tmp_path, opened):
    config = RunConfig("ncap", "es", task="navigate", steps=800, episode_steps=50, algorithm_options={"n_envs": 4})
    held = Player(train(config, tmp_path / "navigate", progress=False))
    with serving(held) as (server, url), opened(url) as page:
        server.is_paused = True
        for place, seen in (((1.5, -1.5), False), ((0.1, 0.1), True)):
            held.envs.task.place_target(0, np.array(place))
            page.locator("[data-push=up]").click()
            state = "visible" if seen else "hidden"
            until(page, f"document.querySelector('circle.target').getAttribute('visibility') === '{state}'")
            arrow = page.locator("g.target")
            assert (arrow.get_attribute("visibility") == "hidden") is seen
            if not seen:
                assert within(page, "g.target")
                metres = np.linalg.norm(np.subtract(place, held.moment()["line"][0]))
                assert page.locator(".pool text", has_text=f"{metres:.1f} m").count() == 1
                turned = arrow.get_attribute("transform").split("rotate(")[1].rstrip(")")
                assert 0 < float(turned) < 90
    held.close()


def test_a_silenced_neuron_can_be_read_and_colours_are_explained(served, opened):
    _, url = served
    with opened(url, scheme="dark") as page:
        page.locator("[data-neuron=B_d_1] use").click()
        page.wait_for_selector(".silenced[data-neuron=B_d_1]")
        fill = page.eval_on_selector("[data-neuron=B_d_1] use", "each => getComputedStyle(each).fill")
        assert fill == f"color(srgb {' '.join(f'{channel / 255:.6g}' for channel in getrgb(REST))})"
        key = page.get_by_label("Colours").inner_text()
        assert all(word in key for word in ("above zero", "below zero", "pinned", "excites", "inhibits"))


def test_a_page_fits_a_phone_and_its_text_can_be_read(served, tmp_path, opened):
    server, url = served
    with opened(url, 400) as page:
        page.wait_for_selector(".pool .worm[d]", state="attached")
        page.locator("[data-neuron=B_d_1] use").click()
        page.wait_for_selector("#done li")
        server.is_paused = True
        assert look_over(page, tmp_path, "play") == []
        # A fingertip's worth of every neuron.
        for box in page.locator("[data-neuron]").evaluate_all(
            "all => all.map(each => each.getBoundingClientRect().toJSON())"
        ):
            assert min(box["width"], box["height"]) >= 24


def test_what_cannot_be_is_said_on_the_page(runs, opened):
    held = Player(runs["ctrnn"])
    with serving(held) as (_, url), opened(url) as page:
        page.locator("#links").fill("9")
        until(page, "document.querySelector('#said').textContent !== ''")
        assert page.locator("#said").inner_text().startswith("CTRNN trained on another size")
        until(page, "document.querySelector('#links-out').textContent === '6'")
    held.close()


def test_a_page_says_at_every_click_that_its_server_has_stopped(player, opened):
    with contextlib.ExitStack() as pages:
        with serving(player) as (_, url):
            page = pages.enter_context(opened(url))
            until(page, "socket.readyState === WebSocket.OPEN")
        until(page, "document.querySelector('#said').textContent === 'The server has stopped.'")
        page.locator("[data-push=up]").click()
        assert page.locator("#said").inner_text() == "The server has stopped."


def test_a_post_is_dragged_in_a_browser(rambler, opened, tmp_path):
    held = Player(rambler)
    with contextlib.closing(held), serving(held) as (server, url), opened(url, 1200) as page:
        server.is_paused = True
        until(page, "document.querySelectorAll('.movable').length === 2")
        post = page.locator(".movable").first
        box = post.bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(*middle)
        page.mouse.down()
        page.mouse.move(middle[0] - 30, middle[1] + 20, steps=3)
        page.mouse.up()
        assert comes_true(page, lambda: places(held)[0] != [0.5, 0.4])
        metre = 1 / page.evaluate("view([1, 0])[0] - view([0, 0])[0]")  # pixels
        np.testing.assert_allclose(places(held)[0], [0.5 - 30 / metre, 0.4 - 20 / metre], atol=0.01)
        before = places(held)[0]
        post.focus()
        page.keyboard.press("ArrowUp")
        assert comes_true(page, lambda: places(held)[0] == pytest.approx([before[0], before[1] + 0.06], abs=1e-3))
        assert page.evaluate("document.activeElement.classList.contains('movable')")
        # A wall is no button: it stays, and nothing is told of it.
        assert page.locator(".standing polygon:not(.movable)").get_attribute("role") is None
        page.screenshot(path=tmp_path / "posts.png")
