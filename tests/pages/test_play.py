"""A live agent: moved by hand in Python, and in a real browser through its own server."""

import asyncio
import base64
import contextlib
import io
import json
import re
import socket
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from browser import look_over, until
from nervecord.cli.main import main
from nervecord.drawing.palette import REST
from nervecord.envs import Drag, gel
from nervecord.errors import CircuitMismatch, InvalidArena, InvalidBody, InvalidTask, NervecordError, UnknownName
from nervecord.pages.player import Player
from nervecord.training.learning.training import train
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.runs.config import RunConfig
from PIL import Image
from PIL.ImageColor import getrgb

pytest.importorskip("aiohttp", reason="the server is an extra: pip install 'nervecord[play]'")
from nervecord.pages.play_server import PlayServer, _Watcher, from_elsewhere


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


def test_a_page_that_stops_reading_keeps_no_other_page_waiting(served, monkeypatch):
    aiohttp = pytest.importorskip("aiohttp")
    send, sent_by = aiohttp.web.WebSocketResponse.send_json, []

    async def send_json(page, told):
        sent_by.append(page)
        if page is sent_by[0]:
            await asyncio.sleep(3600)
        await send(page, told)

    async def watch(url):
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{url}live"),
            session.ws_connect(f"{url}live") as other,
        ):
            times = []
            for _ in range(5):
                times.append((await other.receive_json(timeout=60))["time"])
                await other.send_str("drew")
            return times

    monkeypatch.setattr(aiohttp.web.WebSocketResponse, "send_json", send_json)
    times = asyncio.run(watch(served[1]))
    assert times == sorted(set(times))


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
    player.toggle("B_d_1")
    held = []
    for _ in range(60):
        player.step()
        held.append(player._activity[index])
    assert not np.any(held)
    player.toggle("B_d_1")
    assert player.interventions == ()
    for _ in range(60):
        player.step()
        held.append(player._activity[index])
    assert np.any(held)
    with pytest.raises(UnknownName, match="unknown neuron 'B_d_9'"):
        player.toggle("B_d_9")


def test_a_push_moves_the_body_where_it_should(player):
    for direction, axis, sign in (("left", 0, -1), ("right", 0, 1), ("up", 1, 1), ("down", 1, -1)):
        player.restart()
        before = np.array(player.envs.physics.read("com_pos")[0])
        player.push(direction)
        for _ in range(3):
            player.step()
        moved = np.array(player.envs.physics.read("com_pos")[0]) - before
        assert sign * moved[axis] > 0.01, direction
    with pytest.raises(UnknownName, match="direction"):
        player.push("in")


@pytest.mark.parametrize(("links", "length"), [(6, 1.0), (24, 2.0), (3, 0.5)])
def test_many_pushes_leave_the_physics_whole(player, links, length, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where MuJoCo writes its log of warnings
    player.resize(links=links, length=length)
    for direction in ("right", "up", "left"):
        for _ in range(60):
            player.push(direction)
        assert np.all(np.abs(player.envs.physics.read("root_vel")[0, :2]) <= 1.0)
        for _ in range(40):
            player.step()
        player.restart()
    assert "QACC" not in "".join(capfd.readouterr())
    assert not list(tmp_path.glob("MUJOCO_LOG*"))


def test_a_push_does_not_brake_a_body_that_is_faster_by_itself(player):
    player.envs.physics.push(0, np.array([1.4, 0.2]))
    player.push("right")
    assert player.envs.physics.read("root_vel")[0, :2] == pytest.approx([1.4, 0.2])
    player.push("left")
    assert player.envs.physics.read("root_vel")[0, :2] == pytest.approx([0.9, 0.2])


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


def test_a_neuron_is_clamped_and_driven_by_as_much_as_is_asked_for(player):
    column = player.neurons.index("B_d_2")

    def values():
        found = []
        for _ in range(30):
            player.step()
            found.append(player._activity[column])
        return np.array(found)

    player.intervene(Intervention("B_d_2", "clamp", 0.25))
    assert values() == pytest.approx(0.25)
    player.intervene(Intervention("B_d_2", "drive", 0.5))
    driven = values()
    assert driven.min() >= 0.5 - 1e-6
    assert driven.max() > 0.5
    assert player.moment()["done"] == {"B_d_2": "drive B_d_2 +0.5"}
    player.toggle("B_d_2")
    assert player.moment()["done"] == {}


def test_the_return_is_that_of_the_episode_so_far(player):
    steps = [player.step() or player.moment()["return"] for _ in range(player.envs.episode_steps)]
    # No step's reward is above 1; the last step ends the episode, and the next begins at 0.
    assert 0 < steps[40] <= 41
    assert steps[-2] > steps[40]
    assert steps[-1] == 0


def test_the_medium_changes_under_the_body(runs):
    held = Player(runs["ncap"])
    with contextlib.closing(held):
        held.resize(links=5)
        for _ in range(40):
            held.step()
        before, speed = held.moment(), np.abs(held.envs.physics.read("root_vel")).max()
        held.change_medium("agar")
        after = held.moment()
        assert after["time"] == before["time"] == pytest.approx(1.2)
        np.testing.assert_allclose(after["line"], before["line"], atol=1e-4)
        assert isinstance(held.envs.arena.medium, Drag)
        for _ in range(10):
            held.step()
        assert np.abs(held.envs.physics.read("root_vel")).max() < 0.01 * speed  # agar holds what water does not
        held.resize(links=6)
        assert held.envs.arena.medium == gel(1.0)
        with pytest.raises(UnknownName, match="unknown medium 'mud'"):
            held.change_medium("mud")
        held.change_medium("its own")
        assert held.envs.arena.medium is None


@pytest.fixture(scope="module")
def forager(tmp_path_factory):
    """Return a run of Forage, whose food smells."""
    config = RunConfig("navigator", "es", task="forage", steps=400, episode_steps=50, algorithm_options={"n_envs": 8})
    return train(config, tmp_path_factory.mktemp("forage") / "run", progress=False)


def test_food_is_dropped_and_the_ground_is_drawn_when_it_changes(forager, player):
    with contextlib.closing(Player(forager)) as held:
        assert held.has_target
        assert held.ground()["ground"]["size"] == pytest.approx(6 * 0.6)
        assert held.ground() == {}
        held.place_target([0.3, 0.9])
        assert held.moment()["target"] == [0.3, 0.9]
        for _ in range(17):
            held.step()
        picture = Image.open(io.BytesIO(base64.b64decode(held.ground()["ground"]["picture"].split(",")[1])))
        opacity = np.array(picture)[..., 3]
        row, column = (each.mean() for each in np.nonzero(opacity == opacity.max()))
        x, y = (column + 0.5) / 192 * 3.6 - 1.8, 1.8 - (row + 0.5) / 192 * 3.6
        np.testing.assert_allclose([x, y], [0.3, 0.9], atol=0.03)
        assert [each["name"] for each in held.key()] == ["odour"]
        for place in ([0.0, float("nan")], [0.0, 1e9], [1.0]):
            with pytest.raises(InvalidTask, match="give x and y in m"):
                held.place_target(place)
    assert player.ground() == {"ground": None}
    assert not player.has_target
    with pytest.raises(InvalidTask, match="no target"):
        player.place_target([0.0, 0.0])


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


def test_orders_that_are_none_are_one_line(player):
    server = PlayServer(player)
    for order in ({}, {"speed": 100}, {"speed": "fast"}, {"speed": True}, {"links": 2.5}, {"links": True},
                  {"length": True}, {"fly": True}, {"do": {"kind": "cut", "neuron": "B_d_1", "value": 0}}):  # fmt: skip
        with pytest.raises(NervecordError, match="is no order"):
            server.obey(order)


def test_a_message_nested_too_deeply_is_answered_as_any_mistake(served):
    aiohttp = pytest.importorskip("aiohttp")

    async def answers() -> list[dict]:
        async with aiohttp.ClientSession() as session, session.ws_connect(served[1] + "live") as page:
            told = []
            for message in ("[" * 50_000, '{"pause": true}'):
                await page.send_str(message)
                while "answered" not in (answer := await page.receive_json(timeout=20)):
                    pass
                told.append(answer)
            return told

    deep, pause = asyncio.run(answers())
    assert "recursion" in deep["error"]
    assert "error" not in pause
    assert served[0].is_paused


def test_several_people_watch_and_all_see_what_one_does(served):
    aiohttp = pytest.importorskip("aiohttp")

    async def until_done(page) -> dict:
        while not ((news := await page.receive_json(timeout=20)).get("done") and "facts" in news):
            await page.send_str("drew")
        return news

    async def seen() -> list[dict]:
        live = served[1] + "live"
        async with aiohttp.ClientSession() as http, http.ws_connect(live) as one, http.ws_connect(live) as two:
            await one.send_json({"do": {"kind": "clamp", "neuron": "B_d_1", "value": 0.5}})
            return [await until_done(page) for page in (one, two)]

    told = asyncio.run(seen())
    assert [news["done"] for news in told] == [{"B_d_1": "clamp B_d_1 0.5"}] * 2
    assert [news["facts"]["watching"] for news in told] == [2, 2]


def test_a_slow_page_gets_the_newest_moment_when_it_has_drawn_the_last():
    class Page:
        async def send_json(self, message):
            sent.append(message)

    sent: list[dict] = []

    async def watch() -> None:
        watcher = _Watcher(Page())
        sending = asyncio.ensure_future(watcher.send())
        for time in range(100):
            watcher.show({"time": time})
            watcher.show({"wiring": time} if time == 50 else {})
            await asyncio.sleep(0)
        watcher.answer({"answered": True})
        await asyncio.sleep(0)
        watcher.drew()
        for _ in range(5):
            await asyncio.sleep(0)
        sending.cancel()

    asyncio.run(watch())
    assert sent == [{"time": 0}, {"answered": True}, {"time": 99, "wiring": 50}]


def test_the_command_says_how_to_reach_the_page_from_another_machine():
    assert re.fullmatch(r"ssh -L 8123:127\.0\.0\.1:8123 \S+@\S+", from_elsewhere("http://127.0.0.1:8123/"))


def test_other_origins_are_refused(served):
    _, url = served
    page = urllib.request.urlopen(url)
    assert b"<!doctype html>" in page.read()
    assert page.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
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


def test_posts_are_told_where_they_stand(tmp_path):
    """Those in sight, with every copy of a lattice, as turned as it is; in another medium they stay."""
    arena = {"name": "landscape", "lattice": {"gap": 0.3}, "posts": [{"x": 0.5, "y": 0.4, "radius": 0.03}]}
    config = RunConfig("ncap", "es", steps=40, episode_steps=5, arena=arena, algorithm_options={"n_envs": 8})
    with contextlib.closing(Player(train(config, tmp_path / "run", progress=False))) as held:
        held.step()
        before, outlines = held.moment()["standing"], held.outlines()
        assert [round(float(np.hypot(*np.array(each["corners"]).T).max()), 3) for each in outlines] == [0.03, 0.06]
        own = [row[1:3] for row in before if row[0] == 0]
        assert own == [[0.5, 0.4]]
        lattice = np.array([row[1:3] for row in before if row[0] == 1])
        assert len(lattice) > 15
        between = np.linalg.norm(lattice[:, None] - lattice, axis=-1)
        assert between[between > 1e-3].min() == pytest.approx(0.3, abs=2e-3)
        held.change_medium("0.3 Pa s")
        np.testing.assert_allclose(np.array(held.moment()["standing"])[:, 3], np.array(before)[:, 3], atol=1e-3)


@pytest.fixture(scope="module")
def rambler(tmp_path_factory):
    """Return a run among single posts, of which one can be pushed, with a wall."""
    arena = {
        "name": "landscape",
        "posts": [{"x": 0.5, "y": 0.4, "radius": 0.03}, {"x": -0.4, "y": 0.4, "radius": 0.04, "mass": 0.02}],
        "walls": [{"x": 0.0, "y": 0.9}],
    }
    config = RunConfig("ncap", "es", steps=40, episode_steps=60, arena=arena, algorithm_options={"n_envs": 8})
    return train(config, tmp_path_factory.mktemp("rambler") / "run", progress=False)


def places(held):
    return {int(row[0]): row[1:3] for row in held.moment()["standing"]}


def test_a_post_is_moved_while_the_body_swims_on_and_stays_there(rambler):
    with contextlib.closing(Player(rambler)) as held:
        assert [each["moves"] for each in held.outlines()] == [True, False, True]
        for _ in range(20):
            held.step()
        before = held.moment()
        held.move_post(0, [0.3, -0.3])
        after = held.moment()
        assert after["time"] == before["time"] == pytest.approx(0.6)
        assert after["line"] == before["line"]
        assert places(held)[0] == [0.3, -0.3]
        assert places(held)[2] == [-0.4, 0.4]
        for _ in range(60):
            held.step()
        assert held.moment()["time"] < 0.7  # of the next episode
        assert places(held)[0] == [0.3, -0.3]
        held.change_medium("0.3 Pa s")
        held.resize(links=5)
        assert places(held)[0] == [0.3, -0.3]
        # Starts keep clear of it where it is now.
        held.move_post(0, [0.12, -0.3])
        for _ in range(3):
            held.restart()
            held.step()
            assert held.envs.metrics()["penetration"][0] < 1e-3


def test_a_post_that_was_pushed_is_put_where_it_is_asked_for(rambler):
    with contextlib.closing(Player(rambler)) as held:
        state = held.envs.get_state()
        state["physics"]["qpos"][0, -2:], state["physics"]["qvel"][0, -2:] = (0.1, 0.05), (0.3, 0.0)
        held.envs.set_state(state)
        assert places(held)[2] == pytest.approx([-0.3, 0.45])
        held.move_post(0, [0.45, 0.45])
        assert places(held)[2] == pytest.approx([-0.3, 0.45])  # it goes on as it was
        held.move_post(2, [-0.4, -0.5])
        held.step()
        assert places(held)[2] == pytest.approx([-0.4, -0.5])


@pytest.mark.parametrize(
    ("number", "place", "says"),
    [
        (1, [1.0, 1.0], "a wall stays where it is; move a single post"),
        (3, [1.0, 1.0], "post 3 is none of the 3 that stand here; give 0 to 2"),
        (-1, [1.0, 1.0], "post -1 is none"),
        (0, [float("nan"), 0.0], "give x and y in m"),
        (0, [1.0], "give x and y in m"),
        (0, [2000.0, 0.0], "give x and y in m"),
        (0, ["left", 0.0], "give x and y in m"),
        (0, "nose", "m in link 0; put it where it touches nothing"),
        (0, [-0.38, 0.4], "m in post 2; put it where it touches nothing"),
        (0, [0.0, -0.05], "in the place where the head of swimmer6 starts|m in link 0"),
    ],
)
def test_where_a_post_cannot_be_is_one_line_and_nothing_moves(rambler, number, place, says):
    with contextlib.closing(Player(rambler)) as held:
        for _ in range(5):
            held.step()
        before = held.moment()
        with pytest.raises(InvalidArena, match=says) as refused:
            held.move_post(number, before["line"][0] if place == "nose" else place)
        assert "\n" not in str(refused.value)
        assert held.moment() == before
        held.step()


def test_the_start_of_the_head_stays_free_when_the_body_is_elsewhere(rambler):
    with contextlib.closing(Player(rambler)) as held:
        held.envs.physics.push(0, np.array([1.0, -1.0]))
        for _ in range(40):
            held.step()
        with pytest.raises(InvalidArena, match="in the place where the head of swimmer6 starts"):
            held.move_post(0, [0.0, -0.05])


def test_posts_of_lattices_stay_and_open_water_has_none(player, tmp_path):
    config = RunConfig("ncap", "es", task="lattice", steps=40, episode_steps=5, algorithm_options={"n_envs": 8})
    with contextlib.closing(Player(train(config, tmp_path / "run", progress=False))) as held:
        assert not held.has_posts
        with pytest.raises(InvalidArena, match="a post of a lattice stays where it is"):
            held.move_post(0, [1.0, 1.0])
    with pytest.raises(InvalidArena, match="no post stands here"):
        player.move_post(0, [1.0, 1.0])


def test_a_post_is_moved_by_a_message(rambler):
    with contextlib.closing(Player(rambler)) as held:
        server = PlayServer(held)
        server.obey({"move": {"post": 0, "to": [0.4, 0.5]}})
        assert places(held)[0] == [0.4, 0.5]
        for order in ({"move": 0}, {"move": {"post": True, "to": [0, 1]}}, {"move": {"post": 0, "to": [1]}}):
            with pytest.raises(NervecordError, match="is no order"):
                server.obey(order)
        with pytest.raises(InvalidArena, match="a wall stays"):
            server.obey({"move": {"post": 1, "to": [0.4, 0.5]}})


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
