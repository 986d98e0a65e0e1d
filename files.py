"""Files that are written whole or not at all, and JSON that every reader takes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import InvalidRun

_log = logging.getLogger(__name__)
# Folders lie in folders, and most programs of Windows take paths of 260 characters.
LONGEST_NAME = 60
# Seconds for which Windows may refuse to replace what a virus scanner looks at, or a reader has open for a moment.
_PATIENCE = 10.0


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json_text(value) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all; lines end as they do in `text`, on every system."""
    # Names of files that are not UTF-8 are text that cannot be encoded; JSON has the same escapes for them.
    written = text.encode("utf-8", "backslashreplace")
    write_whole(path, lambda partial: partial.write_bytes(written))


def write_csv(path: Path, table: Any, header: bool = True) -> None:
    """Write a pandas table without its index as CSV, whole or not at all; its lines are the same on every system."""

    def write(partial: Path) -> None:
        table.to_csv(partial, index=False, header=header, lineterminator="\n", errors="backslashreplace")

    write_whole(path, write)


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a file beside `path`, then rename it there; on failure leave nothing.

    The file is on the disk before it takes the place of what was there: a machine that loses its power
    keeps the one or the other. A link is replaced, and never written through.
    """
    partial = path.with_name(f".{path.name}.partial")
    with errors_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A killed process left it, or a stranger put a link there, which creating it anew does not follow.
        partial.unlink(missing_ok=True)
        partial.touch(exist_ok=False)
    try:
        with errors_of(path):
            write(partial)
            sync(partial)
        replace(partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()


def replace(old: Path, new: Path) -> None:
    """Rename a file or a folder, in the place of a file that has the new name, and return when that is on the disk.

    Raises:
        PermissionError: on Windows, a program has one of them open, and has not closed it after some seconds.
        OSError: it cannot be renamed.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with errors_of(new):
                os.replace(old, new)
                sync(new.parent)
            return
        except PermissionError as error:
            if sys.platform != "win32":
                raise
            if time.monotonic() > deadline:
                told = "Windows does not let it be replaced; close the program that has it open"
                raise PermissionError(error.errno, told, str(new)) from error
            time.sleep(0.05)


def write_netcdf(path: Path, dataset: Any, encoding: Mapping[str, Any]) -> None:
    """Write an xarray dataset as netCDF (HDF5), whole or not at all; `encoding` is as xarray has it."""
    # In memory first: HDF5 whose file cannot be written, as on a full disk, crashes Python when it closes it.
    # A copy: what failed to write a view of it keeps the view, which crashes Python 3.12 at its end.
    packed = bytes(dataset.to_netcdf(engine="h5netcdf", encoding=encoding))
    write_whole(path, lambda partial: partial.write_bytes(packed))


def sync(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders, and writes their names through.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def user_cache() -> Path:
    """Return the package's folder in the user's cache, as each system has one; it need not exist yet."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "nervecord"


def plain_name(text: str) -> str:
    """Return a text as the name of a file on every system; what is changed or shortened for that has a checksum."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")
    return plain if plain == text and len(plain) <= LONGEST_NAME else with_checksum(plain, text)


def with_checksum(name: str, of: str) -> str:
    """Return the end of a name with the checksum of what it stands for, short enough for a file."""
    return f"{name[9 - LONGEST_NAME :]}-{hashlib.sha256(of.encode()).hexdigest()[:8]}"


@contextlib.contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Let errors of the system name the file that the user knows, and not one beside it or none, as HDF5 does."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in errno.errorcode:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; `what` begins the error's line.

    Raises:
        InvalidRun: it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidRun(f"{what}: {path.name} is missing") from error
    except OSError as error:
        raise InvalidRun(f"{what}: {path.name} cannot be read ({error})") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRun(f"{what}: {path.name} is damaged ({error}); restore it from a copy") from error


def json_text(value: Any, indent: int | None = 1) -> str:
    """Return a value as JSON; NaN and infinity become null, arrays become lists."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
