"""A live agent: moved by hand in Python, and through its own server."""

import asyncio
import base64
import contextlib
import getpass
import io
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from nervecord.cli.main import main
from nervecord.envs import Drag, gel
from nervecord.errors import CircuitMismatch, InvalidArena, InvalidBody, InvalidTask, NervecordError, UnknownName
from nervecord.pages.player import Player
from nervecord.training.learning.training import train
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.runs.config import RunConfig
from PIL import Image
from playing import places

pytest.importorskip("aiohttp", reason="the server is an extra: pip install 'nervecord[play]'")
from nervecord.pages.play_server import PlayServer, _Watcher, from_elsewhere


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


def test_a_new_episode_has_no_speed_yet(player):
    for _ in range(3):
        player.step()
    assert player.moment()["speed"] is not None
    player.restart()
    assert player.moment()["speed"] is None


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


def test_orders_that_are_none_are_one_line(player):
    server = PlayServer(player)
    for order in ({}, {"speed": 100}, {"speed": "fast"}, {"speed": True}, {"links": 2.5}, {"links": True},
                  {"length": True}, {"fly": True}, {"do": {"kind": "cut", "neuron": "B_d_1", "value": 0}}):  # fmt: skip
        with pytest.raises(NervecordError, match="is no order"):
            server.obey(order)


def test_a_message_that_no_page_sends_is_answered_as_any_mistake(served):
    aiohttp = pytest.importorskip("aiohttp")

    async def answers() -> list[dict]:
        async with aiohttp.ClientSession() as session, session.ws_connect(served[1] + "live") as page:
            told = []
            for message in ("[" * 50_000, f'{{"length": 1{"0" * 400}}}', '{"pause": true}'):
                await page.send_str(message)
                while "answered" not in (answer := await page.receive_json(timeout=20)):
                    pass
                told.append(answer)
            return told

    deep, long, pause = asyncio.run(answers())
    assert "recursion" in deep["error"]
    assert "too large" in long["error"]
    assert "error" not in pause
    assert served[0].is_paused


def test_a_server_stops_at_once_though_pages_are_open(player):
    aiohttp = pytest.importorskip("aiohttp")

    async def stopped() -> float:
        addresses: asyncio.Queue[str] = asyncio.Queue()
        serving = asyncio.ensure_future(PlayServer(player).serve(0, addresses.put_nowait))
        async with aiohttp.ClientSession() as session, session.ws_connect(await addresses.get() + "live") as page:
            await page.receive_json()
            since = time.monotonic()
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            return time.monotonic() - since

    assert asyncio.run(stopped()) < 20  # aiohttp's own is 60


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
        for moment in range(100):
            watcher.show({"time": moment})
            watcher.show({"wiring": moment} if moment == 50 else {})
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


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("no name")])  # before Python 3.13, and since
def test_a_user_without_a_name_may_play(error, monkeypatch):
    def nameless():
        raise error

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert " USER@" in from_elsewhere("http://127.0.0.1:8123/")


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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no Ctrl-C to one process")
def test_json_stands_alone_on_standard_output(runs):
    command = [sys.executable, "-m", "nervecord", "play", str(runs["ncap"].path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as playing:
        while "open http" not in (line := playing.stderr.readline()):
            assert line
        playing.send_signal(signal.SIGINT)
        assert json.loads(playing.communicate(timeout=120)[0]) == {"played": str(runs["ncap"].path)}
    assert playing.returncode == 0


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
