"""Compile the kernel on first use, and cache the compiled code in a folder that the user may write."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import platform
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ....errors import MissingDependency
from ....files import user_cache
from ....version import __version__

_log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
# An edit in any of these files makes compiled code stale; numba itself checks the time stamp of only one file.
_SOURCES = (
    *(_HERE / f"{name}.py" for name in ("advance", "kernel", "rows")),
    _HERE.parent / "near_pairs.py",
    *(_HERE.parents[2] / f"{name}.py" for name in ("vectors", "lane_functions")),
)
_OLDEST = (0, 63)
_KEPT_UNUSED = 30 * 86_400  # seconds after which unused compiled code of other versions is removed
# Vector instructions by LLVM's names; every 64-bit ARM has them.
_VECTORS = ("sse2", "neon", "altivec", "vsx", "vector", "v", "lsx")
_compiled: dict[tuple[str, int], Callable[..., None]] = {}
_near: list[Callable[..., int]] = []
_steps: dict[tuple[Callable[..., None], int], Any] = {}
_lock = threading.Lock()


def reason_not_compiled() -> str | None:
    """Return the reason, in one line, why lanes cannot be compiled here, or None. Imports numba where installed."""
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
    """Return whether this CPU has vector registers of eight doubles."""
    return bool(_cpu_features().get("avx512f"))


def compiled(name: Literal["advance", "weigh"], width: int) -> Callable[..., None]:
    """Return a function of the kernel for blocks of `width`, from the cache or compiled now, which is logged.

    Raises:
        MissingDependency: numba is missing, too old, cannot be imported, or cannot compile the kernel.
    """
    with _lock:
        if (name, width) not in _compiled:
            _compiled[name, width] = _load(name, width)
        return _compiled[name, width]


def compiled_step(function: Callable[..., None], width: int) -> int:
    """Return the address of a circuit's step for blocks of `width`, from the cache or compiled now, which is logged.

    Args:
        function: takes numbers (an array), then the rows weights, sensors, memory, motors and room; see `LaneStep`.
        width: environments in a vector.

    Raises:
        MissingDependency: numba is missing, too old, cannot be imported, or cannot compile the function.
    """
    with _lock:
        if (function, width) not in _steps:
            _steps[function, width] = _load_step(function, width)
        return int(_steps[function, width].address)


def step_numbers(numbers: Sequence[float | Callable[..., None]], width: int) -> Float[np.ndarray, " numbers"]:
    """Return a circuit's numbers, each in its own unit, with the address of each step among them; see `LaneStep`.

    Addresses take 52 bits at most, which a double holds.

    Raises:
        MissingDependency: see `compiled_step`.
    """
    return np.array([compiled_step(each, width) if callable(each) else each for each in numbers], float)


def compiled_near() -> Callable[..., int]:
    """Return the search for pairs of a link and a post that are near, from the cache or compiled now, which is logged.

    Raises:
        MissingDependency: numba is missing, too old, cannot be imported, or cannot compile the function.
    """
    with _lock:
        if not _near:
            from ..near_pairs import ARGUMENTS, WRITTEN, near_pairs

            def compile_it(numba: Any, options: dict[str, Any]) -> Any:
                types = numba.types
                arrays = [
                    types.Array(getattr(types, kind), dimensions, "A", readonly=place < len(ARGUMENTS) - WRITTEN)
                    for place, (kind, dimensions) in enumerate(ARGUMENTS)
                ]
                return numba.njit(types.int64(*arrays), nogil=True, **options)(near_pairs)

            _near.append(_compile(compile_it, "the search for near posts", "take another numba"))
        return _near[0]


def cache_folder() -> Path:
    """Return the folder of compiled code: below NUMBA_CACHE_DIR, or below the user's cache folder."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(chosen) / "nervecord" if chosen else user_cache()
    sources = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:12]
    return base / f"lanes-{__version__}-{sources}"


def _load(name: str, width: int) -> Callable[..., None]:
    def compile_it(numba: Any, options: dict[str, Any]) -> Any:
        from . import advance, kernel

        make, signature = {
            "advance": (advance.advance_in, advance.ADVANCE),
            "weigh": (kernel.weigh_in, kernel.WEIGH),
        }[name]
        return numba.njit(signature, nogil=True, **options)(make(width))

    # Few environments have blocks of another width, which are compiled apart.
    what = f"{name} of the physics of lanes, {width} environments at a time"
    return _compile(compile_it, what, "take another numba, or physics mujoco")


def _load_step(function: Callable[..., None], width: int) -> Any:
    def compile_it(numba: Any, options: dict[str, Any]) -> Any:
        from ....vectors import Rows

        signature = numba.types.void(numba.types.CPointer(numba.types.float64), *[Rows(width)] * 5)
        return numba.cfunc(signature, locals={}, **options)(function)

    name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
    return _compile(compile_it, f"{name} for lanes", "mend it or leave lane_step out")


def _compile(compile_it: Callable[[Any, dict[str, Any]], Any], name: str, way_out: str) -> Any:
    """Compile, or load from the cache; work without a cache where none can be written."""
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
        # A folder that cannot be written, a full disk, a damaged cache, or a function without a file, as in a notebook.
        unkept = f"cannot cache it ({type(error).__name__}: {_first_line(error)})"
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
    """Log the start and the duration of a compilation; log nothing where the code comes from the cache."""
    from numba.core import event

    began: list[float] = []

    class Listener(event.Listener):
        def on_start(self, _event: Any) -> None:
            if not began:
                began.append(time.perf_counter())
                _log.warning("compiling %s, once on this machine; takes some seconds", name)

        def on_end(self, _event: Any) -> None:
            """Ignore the end of a single pass: the block logs after all of them."""

    # Passes of the compiler run only if something has to be compiled, after numba has looked into its cache.
    with event.install_listener("numba:run_pass", Listener()):
        yield
    if began:
        _log.warning("compiled %s in %.1f s; %s", name, time.perf_counter() - began[0], where)


def _cpu_features() -> dict[str, bool]:
    """Return this CPU's features by LLVM's names; empty where LLVM does not know them, or none has to be checked."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return {}
    try:
        from llvmlite import binding

        return dict(binding.get_host_cpu_features())
    except (ImportError, RuntimeError):
        return {}


def _first_line(error: Exception) -> str:
    """Return the most informative line of an error; numba's have colours, and begin with the compiler's pass."""
    lines = re.sub(r"\x1b\[\d+m", "", str(error)).strip().splitlines() or [type(error).__name__]
    return lines[1 if lines[0].startswith("Failed in") and len(lines) > 1 else 0].strip()


def _remove_unused(folder: Path) -> None:
    """Mark this folder as in use, and remove folders of other versions unused for a month."""
    with contextlib.suppress(OSError):  # another user's
        os.utime(folder)
    for other in folder.parent.glob("lanes-*"):
        with contextlib.suppress(OSError):  # another process removed it first, or it belongs to another user
            if other != folder and time.time() - other.stat().st_mtime > _KEPT_UNUSED:
                shutil.rmtree(other)


def _check_writable(folder: Path) -> None:
    # numba silently ignores a folder that it cannot write.
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


@contextlib.contextmanager
def _cache_in(folder: Path, numba: Any) -> Iterator[None]:
    """Make numba cache in `folder`; numba takes the folder only from its global configuration."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
