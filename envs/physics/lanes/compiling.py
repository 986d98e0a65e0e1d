"""Compile the kernel when it is first needed, and keep what was compiled where the user may write."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from ....errors import MissingDependency
from ....version import __version__

_log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
# An edit in any of these makes compiled code stale; numba itself looks at the stamp of one file.
_SOURCES = (_HERE / "kernel.py", _HERE / "rows.py", _HERE.parents[2] / "vectors.py")
_OLDEST = (0, 63)
_compiled: dict[tuple[str, int], Callable[..., None]] = {}
_lock = threading.Lock()


def absence_of_numba() -> str | None:
    """Say in one line why nothing can be compiled here; None where it can. Imports nothing heavy."""
    if importlib.util.find_spec("numba") is None:
        return "the physics of lanes needs numba, which is not installed: pip install numba, or take physics mujoco"
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "the physics of lanes is compiled by numba, which NUMBA_DISABLE_JIT switches off: unset it"
    return None


def compiled(name: Literal["advance", "weigh"], width: int) -> Callable[..., None]:
    """Return a function of the kernel for blocks of `width`, compiled or from the cache; says so if it compiled.

    Raises:
        MissingDependency: numba is missing, too old, or cannot be imported.
    """
    with _lock:
        if (name, width) not in _compiled:
            _compiled[name, width] = _load(name, width)
        return _compiled[name, width]


def cache_folder() -> Path:
    """Return where compiled code is kept: below NUMBA_CACHE_DIR, or below the user's folder of caches."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        base = Path(chosen)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    sources = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:12]
    return base / "nervecord" / f"lanes-{__version__}-{sources}"


def _load(name: str, width: int) -> Callable[..., None]:
    numba = _import_numba()
    from . import kernel

    make, signature = {"advance": (kernel.advance_in, kernel.ADVANCE), "weigh": (kernel.weigh_in, kernel.WEIGH)}[name]
    options = {"error_model": "numpy", "nogil": True}
    began = time.perf_counter()
    try:
        folder = cache_folder()
        _check_writable(folder)
        function = _compile_in(folder, numba, signature, options, make(width))
    except Exception as error:  # a folder that cannot be written, a full disk, a damaged cache: numba names none
        function = numba.njit(signature, **options)(make(width))
        _log.warning(
            "compiled %s of the physics of lanes in %.1f s, but cannot keep it (%s: %s); set NUMBA_CACHE_DIR to a "
            "folder that can be written", name, time.perf_counter() - began, type(error).__name__, error,
        )  # fmt: skip
        return function
    if not sum(function.stats.cache_hits.values()):
        _log.warning(
            "compiled %s of the physics of lanes in %.1f s, once for this machine; kept in %s",
            name, time.perf_counter() - began, folder,
        )  # fmt: skip
    return function


def _import_numba() -> Any:
    if reason := absence_of_numba():
        raise MissingDependency(reason)
    try:
        import numba
    except Exception as error:  # ImportError by numba's own checks, OSError by a library that does not load
        raise MissingDependency(f"the physics of lanes needs numba, which cannot be imported: {error}") from error
    if tuple(map(int, numba.__version__.split(".")[:2])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise MissingDependency(f"numba is {numba.__version__}; the physics of lanes needs {oldest} or later")
    return numba


def _check_writable(folder: Path) -> None:
    # numba passes over a folder that it cannot write, without a word.
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _compile_in(
    folder: Path, numba: Any, signature: str, options: dict[str, Any], function: Callable[..., None]
) -> Any:
    """Compile with numba's cache in `folder`, which numba takes from its configuration and nowhere else."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        return numba.njit(signature, cache=True, **options)(function)
    finally:
        numba.config.CACHE_DIR = before
