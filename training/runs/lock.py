"""One training at a time in a folder: the second is told who trains there, and nothing is hurt."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import InvalidRun
from ...plain_files import check_plain

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = "lock.json"
# A holder that was killed a moment ago takes as long as this to go, seconds.
_PATIENCE = 2.0
# How often a holder touches its file, and for how long another machine waits for that, seconds.
_BEAT, _SILENCE = 5.0, 15.0


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a folder, which exists, for as long as something is trained in it.

    The system's lock (flock) on lock.json goes with its holder, so that a killed training leaves nothing to
    clean up. Some network folders keep such locks on each machine apart, or have none. There the holder's
    signs of life decide: it touches the file every 5 s, and another machine that finds the file takes over
    once 15 s have passed without a touch.

    Raises:
        InvalidRun: something is trained there already; says who trains, since when, and what to do. Or its lock is a
            link, which could lead to any file.
    """
    check_plain(folder, LOCK)
    path = folder / LOCK
    descriptor = _take(path)
    ended = threading.Event()
    threading.Thread(target=_give_signs_of_life, args=(path, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if sys.platform == "win32":
            # Windows removes no open file: not ours, and then not that of the next holder. One that stays is nobody's.
            os.ftruncate(descriptor, 0)
            os.close(descriptor)
            _remove(path)
        else:
            # Before it is let go: whoever has opened it already sees that it is gone, and makes a new one.
            _remove(path)
            os.close(descriptor)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _take(path: Path) -> int:
    """Return the open file of a lock that is ours."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            holder = _read(descriptor)
            try:
                decides = _lock(descriptor)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InvalidRun(_refusal(path, holder)) from None
                time.sleep(0.05)
                continue
            foreign = holder.get("host") != socket.gethostname()
            if holder and (foreign or not decides) and _gives_signs_of_life(path):
                raise InvalidRun(_refusal(path, holder))
            if _is_at(path, descriptor):
                _write(descriptor)
                descriptor, taken = -1, descriptor
                return taken
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock an open file; False where the folder's system has no locks.

    Raises:
        BlockingIOError: another process holds it.
    """
    try:
        if sys.platform == "win32":
            # Windows keeps others from reading what is locked: a byte behind all that is written.
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise BlockingIOError(*error.args) from error
    except OSError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether the open file is still the one with the name: its last holder removes it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read(descriptor: int) -> dict[str, Any]:
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        found = json.loads(os.read(descriptor, 4096))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(descriptor: int) -> None:
    now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    told = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(told).encode())


def _refusal(path: Path, holder: dict[str, Any]) -> str:
    who = "another process"
    if {"pid", "host", "since"} <= holder.keys():
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    return f"{path.parent} is being trained by {who}; wait for it, stop it or give another --out"


def _give_signs_of_life(path: Path, ended: threading.Event) -> None:
    while not ended.wait(_BEAT):
        with contextlib.suppress(OSError):
            os.utime(path)


def _gives_signs_of_life(path: Path) -> bool:
    """Watch a holder that this system's locks know nothing of; False once it has been silent for long enough."""
    try:
        last, deadline = _touched(path), time.monotonic() + _SILENCE
        while time.monotonic() < deadline:
            time.sleep(min(0.5, _SILENCE / 10))
            if _touched(path) != last:
                return True
    except FileNotFoundError:
        pass
    return False


def _touched(path: Path) -> int:
    # Opened anew, because NFS asks its server again only then.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.fstat(descriptor).st_mtime_ns
    finally:
        os.close(descriptor)
