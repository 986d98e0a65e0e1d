"""Ctrl-C, SIGTERM and SIGHUP: stop at safe points, where no work is half done."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

# Windows has no SIGHUP.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
# A terminal and a launcher (uv run, timeout) may both deliver one Ctrl-C.
_ONE_PRESS = 0.5


class Stopped(KeyboardInterrupt):
    """A signal asked to stop.

    Attributes:
        signal: number of the signal; a command that it ends exits with 128 + signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.signal = number


class Stop:
    """Whether a signal has asked to stop; see `stopping`."""

    def __init__(self) -> None:
        self._signal: int | None = None
        self._at = 0.0

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self._signal is not None

    def check(self) -> None:
        """Raise `Stopped` if a signal has come; call it where no work is half done, such as after a checkpoint.

        Raises:
            Stopped: a signal has come.
        """
        if self._signal is not None:
            raise Stopped(self._signal)

    def _receive(self, number: int, _frame: Any) -> None:
        now = time.monotonic()
        if self._signal is None:
            self._signal, self._at = number, now
            if sys.stderr is not None and sys.stderr.isatty():
                # Not through Python's stream: the signal may have interrupted a write to it.
                os.write(2, b"\nstopping at the next checkpoint; once more stops at once\n")
        elif now - self._at > _ONE_PRESS:
            raise Stopped(number)


@contextlib.contextmanager
def stopping() -> Iterator[Stop]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request, which the block checks at safe points.

    A second signal raises `Stopped` at once. At the end of the block, the signal goes to the handler before: it
    ends a script that SIGTERM would have ended, and a notebook's cell gets its KeyboardInterrupt. Signals
    that are ignored (by nohup) stay ignored. Outside the main thread, which alone can handle signals, this
    does nothing.

        with stopping() as stop, run.lock():
            while not learner.done:
                learner.advance()
                if stop.requested:
                    save()
                    stop.check()

    Raises:
        Stopped: a signal asked the block to stop.
    """
    stop = Stop()
    with _handling(_SIGNALS, stop._receive):
        try:
            yield stop
        except Stopped as stopped:
            number = stopped.signal
        else:
            if not stop.requested:
                return
            # The signal came after the last safe point, and must not be lost.
            number = stop._signal or 0
    signal.raise_signal(number)
    raise Stopped(number)


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise `Stopped`, as SIGINT raises KeyboardInterrupt, so that open files are closed."""

    def stop(number: int, _frame: Any) -> None:
        raise Stopped(number)

    with _handling(_SIGNALS[1:], stop):
        yield


@contextlib.contextmanager
def _handling(numbers: list[int], handler: Callable[[int, Any], None]) -> Iterator[None]:
    before: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                # None is a handler that is not Python's, which Python could not restore.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
