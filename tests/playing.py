"""Agents that are played with, and the server that shows them."""

import asyncio
import contextlib
import threading

import pytest
from nervecord.pages.player import Player
from nervecord.training.learning.training import train
from nervecord.training.runs.config import RunConfig


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
    from nervecord.pages.play_server import PlayServer  # needs an extra, without which its tests are skipped

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


@pytest.fixture(scope="module")
def forager(tmp_path_factory):
    """Return a run of Forage, whose food smells."""
    config = RunConfig("navigator", "es", task="forage", steps=400, episode_steps=50, algorithm_options={"n_envs": 8})
    return train(config, tmp_path_factory.mktemp("forage") / "run", progress=False)


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
