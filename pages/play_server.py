"""Watch an agent live in a browser: a small server on this machine alone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..circuits import takes_pins
from ..drawing.figures import figure_svg
from ..envs import Body
from ..errors import NervecordError
from ..extras import require
from ..options import Number, checked
from ..training.probes import draw_wiring
from ..training.runs.run import A_RUN, Run
from .page_data import embedded_svg, render_page
from .player import LENGTH, LINKS, Player

HOST = "127.0.0.1"
_PORT = Number(1, 2**16 - 1, is_whole=True, also=(0,), none="0 for a free one")
_SPEEDS = (0.1, 4.0)


class PlayServer:
    """Serve one player to any number of pages of this machine.

    Args:
        player: what is watched.
    """

    def __init__(self, player: Player) -> None:
        self.player = player
        self.is_paused = False
        self.speed = 1.0
        self._web = require("aiohttp.web", "play")
        # What each page is still to be told; newer news take the place of older ones.
        self._news: dict[Any, _News] = {}

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
        runner = self._web.AppRunner(app, access_log=None)
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
            if self._news and not self.is_paused:
                self.player.step()
                self._show(self.player.moment())

    async def _page(self, request: Any) -> Any:
        self._check(request)
        config = self.player.run.config
        text = render_page(
            "play.html.j2", wiring=self._wiring(), links=LINKS, length=LENGTH, speeds=_SPEEDS,
            can_be_pinned=takes_pins(self.player.agent.circuit),
            about=f"{config.circuit} trained by {config.algorithm} to {config.task}",
            facts=json.dumps(self._facts()).replace("<", "\\u003c"),
        )  # fmt: skip
        return self._web.Response(text=text, content_type="text/html")

    async def _live(self, request: Any) -> Any:
        self._check(request)
        page = self._web.WebSocketResponse(heartbeat=20)
        await page.prepare(request)
        news = self._news[page] = _News({"facts": self._facts(), **self.player.moment()})
        sending = asyncio.create_task(news.send_to(page))
        try:
            async for message in page:
                await self._answer(page, message.data)
        finally:
            del self._news[page]
            sending.cancel()
        return page

    async def _answer(self, page: Any, text: str) -> None:
        before = self.player.n_links
        answer: dict[str, Any] = {"answered": True}
        try:
            self.obey(json.loads(text))
        except (NervecordError, ValueError, TypeError, AttributeError, RecursionError) as error:
            answer["error"] = str(error)
        with contextlib.suppress(ConnectionError):
            await page.send_json(answer)
        told = {"facts": self._facts(), **self.player.moment()}
        if self.player.n_links != before:
            # Other neurons, another drawing.
            told["wiring"] = self._wiring()
        self._show(told)

    def obey(self, order: dict[str, Any]) -> None:
        """Do what a page asks for: one of pause, speed, push, silence, links, length and restart.

        Raises:
            NervecordError: it cannot be done; everything stays as it was.
        """
        match order:
            case {"pause": bool(pause)}:
                self.is_paused = pause
            case {"speed": speed} if Number(*_SPEEDS).takes(speed):
                self.speed = float(speed)
            case {"push": str(direction)}:
                self.player.push(direction)
            case {"silence": str(neuron)}:
                self.player.silence(neuron)
            case {"links": int(links)} if not isinstance(links, bool):
                self.player.resize(links=links)
            case {"length": int() | float() as length} if not isinstance(length, bool):
                self.player.resize(length=float(length))
            case {"restart": True}:
                self.player.restart()
            case _:
                raise NervecordError(f"{order} is no order; give pause, speed ({_SPEEDS[0]} to {_SPEEDS[1]}), push, "
                                     "silence, links, length or restart")  # fmt: skip

    def _wiring(self) -> str:
        return embedded_svg(figure_svg(draw_wiring(self.player.wiring())), "wiring", "wiring")

    def _facts(self) -> dict[str, Any]:
        player = self.player
        return {
            "names": list(player.neurons), "links": player.n_links, "length": player.length,
            "link_length": float(player.body.link_sizes[0].mean()), "body": player.body.name, "paused": self.is_paused,
            "speed": self.speed,
        }  # fmt: skip

    def _show(self, told: dict[str, Any]) -> None:
        for news in self._news.values():
            news.add(told)

    def _check(self, request: Any) -> None:
        """Refuse pages of other origins, which a browser would let ask this machine."""
        own = {f"{name}:{self._port}" for name in (HOST, "localhost")}
        origin = request.headers.get("Origin")
        if request.host not in own or (origin is not None and origin.removeprefix("http://") not in own):
            raise self._web.HTTPForbidden(text="this page is for this machine alone")


class _News:
    """What a page has not been sent yet: a page that reads slowly skips moments, and keeps no other one waiting."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self._is_new = asyncio.Event()
        self._is_new.set()

    def add(self, told: dict[str, Any]) -> None:
        self._told |= told
        self._is_new.set()

    async def send_to(self, page: Any) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._is_new.wait()
                self._is_new.clear()
                told, self._told = self._told, {}
                await page.send_json(told)


@checked(NervecordError, run=A_RUN, port=_PORT)
def play(
    run: Run | str | Path, body: str | Body | None = None, port: int = 0, ready: Callable[[str], None] = print
) -> None:
    """Serve a run's agent to a browser on this machine, until interrupted.

    Args:
        run: whose agent.
        body: to swim with; the run's own by default.
        port: of 127.0.0.1; 0 takes a free one.
        ready: called with the page's address.

    Raises:
        MissingDependency: aiohttp is not installed.
        InvalidRun, CircuitMismatch, UnknownName: no such run or body, or they do not fit.
        NervecordError: the port is taken, or is none.
    """
    torch.set_num_threads(1)
    require("aiohttp.web", "play")
    player = Player(run if isinstance(run, Run) else Run(run), body)
    try:
        asyncio.run(PlayServer(player).serve(port, ready))
    finally:
        player.close()
