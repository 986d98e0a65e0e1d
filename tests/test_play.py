"""A live agent: moved by hand in Python, and in a real browser through its own server."""

import asyncio
import contextlib
import json
import socket
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from browser import opened
from nervecord.errors import CircuitMismatch, InvalidBody, NervecordError, UnknownName
from nervecord.training.cli import main
from nervecord.training.config import RunConfig
from nervecord.training.player import Player
from nervecord.training.train import train

pytest.importorskip("aiohttp", reason="the server is an extra: pip install 'nervecord[play]'")
from nervecord.training.play import PlayServer


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        circuit: train(
            RunConfig(circuit, "es", steps=3200, episode_steps=100, algorithm_options={"n_envs": 8}),
            folder / circuit,
            progress=False,
        )
        for circuit in ("ncap", "ctrnn")
    }


@pytest.fixture
def player(runs):
    held = Player(runs["ncap"])
    yield held
    held.close()


@contextlib.contextmanager
def serving(player):
    """Serve a player from a thread of its own, as a command would."""
    server, address, loop = PlayServer(player), [], asyncio.new_event_loop()
    ready = threading.Event()

    def note(url):
        address.append(url)
        ready.set()

    task = None

    def run():
        nonlocal task
        asyncio.set_event_loop(loop)
        task = loop.create_task(server.serve(0, note))
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield server, address[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
    assert not thread.is_alive()
    loop.close()


@pytest.fixture
def served(player):
    with serving(player) as held:
        yield held


def test_a_player_is_the_agent_of_its_run(player):
    for _ in range(40):
        player.step()
    moment = json.loads(json.dumps(player.moment()))
    assert moment["time"] == pytest.approx(1.2)
    assert len(moment["line"]) == player.n_links + 1
    assert len(moment["activity"]) == len(player.neurons)
    lengths = np.linalg.norm(np.diff(moment["line"], axis=0), axis=1)
    assert lengths == pytest.approx([player.body.link_length] * 6, abs=2e-3)


def test_a_silenced_neuron_is_silent_and_comes_back(player):
    index = player.neurons.index("B_d_1")
    player.silence("B_d_1")
    held = []
    for _ in range(60):
        player.step()
        held.append(player._activity[index])
    assert not np.any(held)
    player.silence("B_d_1")
    assert player.silenced == ()
    for _ in range(60):
        player.step()
        held.append(player._activity[index])
    assert np.any(held)
    with pytest.raises(UnknownName, match="unknown neuron 'B_d_9'"):
        player.silence("B_d_9")


def test_a_push_moves_the_body_where_it_should(player):
    for direction, axis, sign in (("left", 0, -1), ("right", 0, 1), ("up", 1, 1), ("down", 1, -1)):
        player.restart()
        before = np.array(player.env.world.simulation.com[0])
        player.push(direction)
        for _ in range(3):
            player.step()
        moved = np.array(player.env.world.simulation.com[0]) - before
        assert sign * moved[axis] > 0.01, direction
    with pytest.raises(UnknownName, match="direction"):
        player.push("in")


def test_a_body_grows_and_one_that_cannot_stays(runs, player):
    player.resize(links=9)
    assert player.n_links == 9
    assert "B_d_7" in player.neurons
    player.resize(length=1.5)
    assert player.body.link_length == pytest.approx(0.15)
    assert player.n_links == 9
    player.step()
    with pytest.raises(InvalidBody, match="give 3 to 24 links"):
        player.resize(links=99)
    foreign = Player(runs["ncap"], "gymnasium-swimmer")
    with pytest.raises(InvalidBody, match="comes from XML"):
        foreign.resize(length=1.5)
    foreign.step()
    foreign.close()
    stiff = Player(runs["ctrnn"])
    with pytest.raises(CircuitMismatch):
        stiff.resize(links=9)
    assert stiff.n_links == 6
    stiff.step()
    stiff.resize(length=0.8)
    stiff.close()


def test_orders_that_are_none_are_one_line(player):
    server = PlayServer(player)
    for order in ({}, {"speed": 100}, {"speed": "fast"}, {"links": 2.5}, {"fly": True}):
        with pytest.raises(NervecordError, match="is no order"):
            server.obey(order)


def test_other_origins_are_refused(served):
    _, url = served
    assert b"<!doctype html>" in urllib.request.urlopen(url).read()
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(url, headers=headers))


def test_a_taken_port_is_one_line(runs, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as stopped:
            main(["play", str(runs["ncap"].path), "--port", str(port)])
    assert stopped.value.code == 2
    assert f"port {port} of 127.0.0.1 is taken" in capsys.readouterr().err


def test_an_agent_is_played_with_in_a_browser(served):
    server, url = served
    with opened(url) as page:
        page.wait_for_function("document.querySelector('#clock').textContent !== '0.00 s'")
        body = page.locator(".pool .body")
        first = body.get_attribute("points")
        page.wait_for_function(f"document.querySelector('.pool .body').getAttribute('points') !== '{first}'")

        page.locator("#pause").click()
        page.wait_for_function("document.querySelector('#pause').textContent === 'Go on'")
        stopped = page.locator("#clock").inner_text()
        page.wait_for_timeout(200)
        assert page.locator("#clock").inner_text() == stopped
        page.locator("#pause").click()
        page.wait_for_function(f"document.querySelector('#clock').textContent !== '{stopped}'")

        page.locator("[id='neuron B_d_1'] use").click()
        page.wait_for_function("document.querySelector('#silenced').textContent === 'Silenced: B_d_1'")
        assert server.player.silenced == ("B_d_1",)
        page.locator("[id='neuron B_d_1']").focus()
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelector('#silenced').textContent === ''")

        page.locator("#which").fill("osc_d")
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelector('#silenced').textContent === 'Silenced: osc_d'")
        page.locator("#which").fill("nobody")
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelector('#said').textContent.startsWith(\"unknown neuron 'nobody'\")")

        page.locator("#speed").fill("1")
        page.wait_for_function("document.querySelector('#speed-out').textContent.startsWith('2.00')")
        assert server.speed == 2.0

        com = server.player.env.world.simulation.com[0, 1]
        page.locator("[data-push=up]").click()
        page.wait_for_timeout(300)
        assert server.player.env.world.simulation.com[0, 1] > com

        page.locator("#length").fill("1.5")
        page.wait_for_function("document.querySelector('#length-out').textContent === '15.0 cm'")
        page.locator("#links").fill("8")
        page.wait_for_function("document.querySelectorAll('[id^=\"neuron B_d\"]').length === 7")
        page.wait_for_function("document.querySelector('.pool .body').getAttribute('points').split(' ').length === 9")


def test_a_page_fits_a_phone(served):
    _, url = served
    with opened(url, 400) as page:
        page.wait_for_selector(".pool .body[points]", state="attached")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_what_cannot_be_is_said_on_the_page(runs):
    held = Player(runs["ctrnn"])
    with serving(held) as (_, url), opened(url) as page:
        page.locator("#links").fill("9")
        page.wait_for_function("document.querySelector('#said').textContent !== ''")
        assert page.locator("#said").inner_text().startswith("CTRNN trained on another size")
        page.wait_for_function("document.querySelector('#links-out').textContent === '6'")
    held.close()
