"""Watch an agent live in a browser: a small server that only this machine can reach."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import getpass
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from ..circuits import takes_pins
from ..drawing import draw_wiring
from ..drawing.figures import figure_svg
from ..envs import Body
from ..errors import NervecordError
from ..extras import require
from ..options import Number, checked
from ..threads import one_thread
from ..training.rollouts.interventions import Intervention, Kind
from ..training.runs.run import A_RUN, Run
from .page_data import render_page, script_json
from .player import LENGTH, LINKS, MEDIA, Player
from .svg import embedded_svg

HOST = "127.0.0.1"
_PORT = Number(1, 2**16 - 1, is_whole=True, also=(0,), none="0 for a free one")
_SPEEDS = (0.1, 4.0)
_DREW = "drew"  # what a page says when it has drawn what it was sent
_TRACE = 12  # seconds of activity that a page shows
_PARTING = 0.5  # seconds that a server that stops gives its pages


class PlayServer:
    """The web server behind `play`: one player, any number of local pages.

    Args:
        player: the player to watch.
    """

    def __init__(self, player: Player) -> None:
        self.player = player
        self.is_paused = False
        self.speed = 1.0
        self._web = require("aiohttp.web", "play")
        self._watchers: set[_Watcher] = set()

    async def serve(self, port: int = 0, ready: Callable[[str], None] = lambda _: None) -> None:
        """Serve until cancelled.

        Args:
            port: 0 takes a free one.
            ready: called with the page's address.

        Raises:
            NervecordError: the port is taken.
        """
        app = self._web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/live", self._live)
        # By default a server that stops waits a minute for pages that are open, and these never leave by themselves.
        runner = self._web.AppRunner(app, access_log=None, shutdown_timeout=_PARTING)
        await runner.setup()
        try:
            site = self._web.TCPSite(runner, HOST, port)
            try:
                await site.start()
            except OSError as error:
                why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
                raise NervecordError(
                    f"port {port} of {HOST} {why}; give another --port, or 0 for a free one"
                ) from error
            self._port = runner.addresses[0][1]
            ready(f"http://{HOST}:{self._port}/")
            await self._swim()
        finally:
            await runner.cleanup()

    async def _swim(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self.player.body.control_dt / self.speed, loop.time() - 0.2)
            await asyncio.sleep(max(0.0, due - loop.time()))
            # Nobody watches: nothing moves, and no core is kept busy.
            if self._watchers and not self.is_paused:
                self.player.step()
                self._show({**self.player.moment(), **self.player.ground()})

    async def _page(self, request: Any) -> Any:
        self._check(request)
        run = self.player.run
        text = render_page(
            "play.html.j2", wiring=self._wiring(), links=LINKS, length=LENGTH, speeds=_SPEEDS,
            media=list(MEDIA), has_target=self.player.has_target, has_posts=self.player.has_posts,
            can_be_pinned=takes_pins(self.player.agent.circuit),
            about=f"{run.description} (task {run.config.task})",
            kinds=get_args(Kind), seconds=_TRACE,
            facts=script_json(self._facts()),
        )  # fmt: skip
        # Which only a header can say: no other site may lay its own page over this one.
        headers = {"Content-Security-Policy": "frame-ancestors 'none'"}
        return self._web.Response(text=text, content_type="text/html", headers=headers)

    async def _live(self, request: Any) -> Any:
        self._check(request)
        page = self._web.WebSocketResponse(heartbeat=20)
        await page.prepare(request)
        watcher = _Watcher(page)
        sending = asyncio.ensure_future(watcher.send())
        self._watchers.add(watcher)
        self._show(self._present())
        try:
            async for message in page:
                if message.data == _DREW:
                    watcher.drew()
                else:
                    self._answer(watcher, message.data)
        finally:
            self._watchers.discard(watcher)
            sending.cancel()
            self._show(self._present())
        return page

    def _answer(self, watcher: _Watcher, text: str) -> None:
        before = self.player.n_links
        answer: dict[str, Any] = {"answered": True}
        try:
            self.obey(json.loads(text))
        except (NervecordError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            answer["error"] = str(error)
        watcher.answer(answer)
        now = self._present()
        if self.player.n_links != before:
            # Other neurons, another drawing.
            now["wiring"] = self._wiring()
        self._show(now)

    def obey(self, order: dict[str, Any]) -> None:
        """Execute a command of a page: pause, speed, push, toggle, do, links, length, drop, move, medium or restart.

        `toggle` silences or releases a neuron; `do` is an intervention (kind, neuron and value); `drop` is a new
        position of the target, such as food, m; `move` is a post, by the index of its outline, and its new position, m.

        Raises:
            NervecordError: the command is invalid; nothing is changed.
        """
        match order:
            case {"pause": bool(pause)}:
                self.is_paused = pause
            case {"speed": speed} if Number(*_SPEEDS).takes(speed):
                self.speed = float(speed)
            case {"push": str(direction)}:
                self.player.push(direction)
            case {"toggle": str(neuron)}:
                self.player.toggle(neuron)
            case {"do": {"kind": "silence" | "clamp" | "drive" as kind, "neuron": str(neuron), "value": value}}:
                self.player.intervene(Intervention(neuron, kind, value))
            case {"links": int(links)} if not isinstance(links, bool):
                self.player.resize(links=links)
            case {"length": int() | float() as length} if not isinstance(length, bool):
                self.player.resize(length=float(length))
            case {"drop": [int() | float() as x, int() | float() as y]}:
                self.player.place_target((x, y))
            case {"move": {"post": int(post), "to": [x, y]}} if not isinstance(post, bool):
                self.player.move_post(post, (x, y))
            case {"medium": str(medium)}:
                self.player.change_medium(medium)
            case {"restart": True}:
                self.player.restart()
            case _:
                raise NervecordError(f"{order} is no order; give pause, speed ({_SPEEDS[0]} to {_SPEEDS[1]}), push, "
                                     "toggle, do, links, length, drop, move, medium or restart")  # fmt: skip

    def _wiring(self) -> str:
        return embedded_svg(figure_svg(draw_wiring(self.player.wiring())), "wiring", "wiring")

    def _facts(self) -> dict[str, Any]:
        player = self.player
        return {
            "names": list(player.neurons), "links": player.n_links, "length": player.length,
            "link_length": float(player.body.link_sizes[0].mean()), "body": player.body.name, "paused": self.is_paused,
            "speed": self.speed, "watching": len(self._watchers), "medium": player.medium, "key": player.key(),
            "outlines": player.outlines(),
            "target_radius": player.envs.poses(0).scenery.target_radius,
            "columns": round(_TRACE / player.body.control_dt), "dt": player.body.control_dt,
        }  # fmt: skip

    def _present(self) -> dict[str, Any]:
        return {"facts": self._facts(), **self.player.moment(), **self.player.ground(anew=True)}

    def _show(self, news: dict[str, Any]) -> None:
        for watcher in self._watchers:
            watcher.show(news)

    def _check(self, request: Any) -> None:
        """Reject cross-origin requests (protection against DNS rebinding and CSRF)."""
        own = {f"{name}:{self._port}" for name in (HOST, "localhost")}
        origin = request.headers.get("Origin")
        if request.host not in own or (origin is not None and origin.removeprefix("http://") not in own):
            raise self._web.HTTPForbidden(text="this page is for this machine alone")


class _Watcher:
    """One page that watches.

    It gets what is new when it has drawn what it got before: a slow page misses moments, neither lagging behind nor
    making others wait, and a hidden one gets none.
    """

    def __init__(self, page: Any) -> None:
        self._page, self._wakes, self._is_ready = page, asyncio.Event(), True
        self._answers: list[dict[str, Any]] = []
        self._news: dict[str, Any] = {}

    def answer(self, answer: dict[str, Any]) -> None:
        self._answers.append(answer)
        self._wakes.set()

    def show(self, news: dict[str, Any]) -> None:
        # What is newer takes the place of what was not sent yet.
        self._news |= news
        self._wakes.set()

    def drew(self) -> None:
        self._is_ready = True
        self._wakes.set()

    async def send(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._wakes.wait()
                self._wakes.clear()
                waiting, self._answers = self._answers, []
                if self._news and self._is_ready:
                    waiting, self._news, self._is_ready = [*waiting, self._news], {}, False
                for message in waiting:
                    await self._page.send_json(message)


def from_elsewhere(url: str) -> str:
    """Return how a page of this machine is reached from another, through SSH."""
    port, user = urlsplit(url).port, "USER"
    with contextlib.suppress(OSError, KeyError, ImportError):  # a user without a name, as in many containers
        user = getpass.getuser()
    return f"ssh -L {port}:{HOST}:{port} {user}@{socket.gethostname()}"


@checked(NervecordError, run=A_RUN, port=_PORT)
def play(
    run: Run | str | Path, body: str | Body | None = None, port: int = 0, ready: Callable[[str], None] = print
) -> None:
    """Serve a run's agent to a browser on this machine, until interrupted.

    Args:
        run: the run or its folder.
        body: another body than the run's own.
        port: port on 127.0.0.1; 0 takes a free one.
        ready: function called with the page's address.

    Raises:
        MissingDependency: aiohttp is not installed.
        InvalidRun, CircuitMismatch, UnknownName: there is no such run or body, or they do not fit together.
        NervecordError: the port is taken or invalid.
    """
    require("aiohttp.web", "play")
    with one_thread(), contextlib.closing(Player(run if isinstance(run, Run) else Run(run), body)) as player:
        asyncio.run(PlayServer(player).serve(port, ready))
