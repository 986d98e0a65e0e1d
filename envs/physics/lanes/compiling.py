"""Compile the kernel when it is first needed, and keep what was compiled where the user may write."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import platform
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from ....errors import MissingDependency
from ....version import __version__

_log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
# An edit in any of these makes compiled code stale; numba itself looks at the stamp of one file.
_SOURCES = (
    *(_HERE / f"{name}.py" for name in ("advance", "kernel", "rows")),
    *(_HERE.parents[2] / f"{name}.py" for name in ("vectors", "lane_functions")),
)
_OLDEST = (0, 63)
_KEPT_UNUSED = 30 * 86_400  # seconds: compiled code of other versions that nobody loaded for so long is removed
# Vector instructions by the names that LLVM has for them; every 64-bit ARM has them.
_VECTORS = ("sse2", "neon", "altivec", "vsx", "vector", "v", "lsx")
_compiled: dict[tuple[str, int], Callable[..., None]] = {}
_steps: dict[tuple[Callable[..., None], int], Any] = {}
_lock = threading.Lock()


def reason_not_compiled() -> str | None:
    """Say in one line why lanes cannot be compiled here; None where they can. Imports numba where it is installed."""
    other = "or take physics mujoco"
    if importlib.util.find_spec("numba") is None:
        return f"the physics of lanes needs numba, which is not installed: pip install numba, {other}"
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return f"the physics of lanes is compiled by numba, which NUMBA_DISABLE_JIT switches off: unset it, {other}"
    try:
        import numba
    except Exception as error:  # ImportError by numba's own checks, OSError by a library that does not load
        return f"the physics of lanes needs numba, which cannot be imported: {_first_line(error)}; mend it, {other}"
    if tuple(map(int, numba.__version__.split(".")[:2])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        return f"numba is {numba.__version__}; the physics of lanes needs {oldest} or later: pip install -U numba"
    features = _cpu_features()
    if features and not any(features.get(name) for name in _VECTORS):
        cpu = platform.machine()
        return f"the physics of lanes needs vector instructions, and this CPU ({cpu}) has none: {other[3:]}"
    return None


def has_wide_registers() -> bool:
    """Say whether this CPU has vector registers of eight doubles."""
    return bool(_cpu_features().get("avx512f"))


def compiled(name: Literal["advance", "weigh"], width: int) -> Callable[..., None]:
    """Return a function of the kernel for blocks of `width`, compiled or from the cache; says so if it compiles.

    Raises:
        MissingDependency: numba is missing, too old, cannot be imported, or cannot compile the kernel.
    """
    with _lock:
        if (name, width) not in _compiled:
            _compiled[name, width] = _load(name, width)
        return _compiled[name, width]


def compiled_step(function: Callable[..., None], width: int) -> int:
    """Return the address of a circuit's step for blocks of `width`, compiled or from the cache; says so if it compiles.

    Args:
        function: of numbers, an array, and rows: weights, sensors, memory, motors and room; see `LaneStep`.
        width: environments in a vector.

    Raises:
        MissingDependency: numba is missing, too old, cannot be imported, or cannot compile the function.
    """
    with _lock:
        if (function, width) not in _steps:
            _steps[function, width] = _load_step(function, width)
        return int(_steps[function, width].address)


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
    def compile_it(numba: Any, options: dict[str, Any]) -> Any:
        from . import advance, kernel

        make, signature = {
            "advance": (advance.advance_in, advance.ADVANCE),
            "weigh": (kernel.weigh_in, kernel.WEIGH),
        }[name]
        return numba.njit(signature, nogil=True, **options)(make(width))

    return _compile(compile_it, f"{name} of the physics of lanes", "take another numba, or physics mujoco")


def _load_step(function: Callable[..., None], width: int) -> Any:
    def compile_it(numba: Any, options: dict[str, Any]) -> Any:
        from ....vectors import Rows

        signature = numba.types.void(numba.types.CPointer(numba.types.float64), *[Rows(width)] * 5)
        return numba.cfunc(signature, locals={}, **options)(function)

    name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
    return _compile(compile_it, f"{name} for lanes", "mend it or leave lane_step out")


def _compile(compile_it: Callable[[Any, dict[str, Any]], Any], name: str, way_out: str) -> Any:
    """Compile, or load what is in the cache; without a cache where none can be written."""
    if reason := reason_not_compiled():
        raise MissingDependency(reason)
    import numba

    options, folder = {"error_model": "numpy"}, cache_folder()
    try:
        _check_writable(folder)
        with _telling(name, f"kept in {folder}"), _cache_in(folder, numba):
            made = compile_it(numba, {**options, "cache": True})
        _remove_unused(folder)
        return made
    except Exception as error:
        # A folder that cannot be written, a full disk, a damaged cache, a function of no file, such as a notebook's.
        unkept = f"cannot keep it ({type(error).__name__}: {_first_line(error)})"
    unkept += "; set NUMBA_CACHE_DIR to a folder that can be written"
    try:
        with _telling(name, unkept):
            return compile_it(numba, options)
    except Exception as error:
        raise MissingDependency(
            f"numba {numba.__version__} cannot compile {name}: {_first_line(error)}; {way_out}"
        ) from error


@contextlib.contextmanager
def _telling(name: str, where: str) -> Iterator[None]:
    """Say what is compiled before it is, and its time afterwards; say nothing where it comes from the cache."""
    from numba.core import event

    began: list[float] = []

    class Listener(event.Listener):
        def on_start(self, _event: Any) -> None:
            if not began:
                began.append(time.perf_counter())
                _log.warning("compiling %s, once for this machine: some seconds", name)

        def on_end(self, _event: Any) -> None:
            """Leave alone what ends: the block does so after all passes."""

    # Passes of the compiler run only if there is something to compile, after numba has looked into its cache.
    with event.install_listener("numba:run_pass", Listener()):
        yield
    if began:
        _log.warning("compiled %s in %.1f s; %s", name, time.perf_counter() - began[0], where)


def _cpu_features() -> dict[str, bool]:
    """Return what LLVM says of this CPU; empty where it says nothing, or where nobody needs to ask."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return {}
    try:
        from llvmlite import binding

        return dict(binding.get_host_cpu_features())
    except (ImportError, RuntimeError):
        return {}


def _first_line(error: Exception) -> str:
    """Return the line of an error that says most; numba's have colours, and begin with where it was in its work."""
    lines = re.sub(r"\x1b\[\d+m", "", str(error)).strip().splitlines() or [type(error).__name__]
    return lines[1 if lines[0].startswith("Failed in") and len(lines) > 1 else 0].strip()


def _remove_unused(folder: Path) -> None:
    """Note that this folder is in use, and remove those of other versions that have not been for a month."""
    with contextlib.suppress(OSError):  # another user's
        os.utime(folder)
    for other in folder.parent.glob("lanes-*"):
        with contextlib.suppress(OSError):  # another process is faster, or owns it
            if other != folder and time.time() - other.stat().st_mtime > _KEPT_UNUSED:
                shutil.rmtree(other)


def _check_writable(folder: Path) -> None:
    # numba passes over a folder that it cannot write, without a word.
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


@contextlib.contextmanager
def _cache_in(folder: Path, numba: Any) -> Iterator[None]:
    """Let numba keep its cache in `folder`, which it takes from its configuration and nowhere else."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
