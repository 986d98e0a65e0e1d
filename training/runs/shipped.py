"""Agents that come with the package, by their addresses, such as agent:ncap-plus."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path

from ...errors import InvalidOption, UnknownName
from ...files import sync, user_cache

PREFIX = "agent:"
SHIPPED = Path(__file__).parents[2] / "agents" / "shipped"
_HINT = "`nervecord list agents` says what each is"
_log = logging.getLogger(__name__)
_temporary: dict[Path, tempfile.TemporaryDirectory[str]] = {}


def shipped_names() -> list[str]:
    """Return the names of the agents that come with the package; "agent:" before one makes it an address."""
    return sorted(folder.name for folder in SHIPPED.iterdir() if (folder / "config.json").exists())


def is_address(path: str | Path) -> bool:
    """Return whether a path is none, but the address of an agent that comes with the package."""
    return str(path).startswith(PREFIX)


def check_no_address(out: str | Path) -> None:
    """Refuse an address where something is to be written: no file or folder is ever called so.

    Raises:
        InvalidOption: it is one.
    """
    if is_address(out):
        raise InvalidOption(f"{out} is the address of an agent, as those that come with nervecord; give another --out")


def folder_of(path: str | Path) -> Path:
    """Return the folder that is meant by a path, or by the address of an agent that comes with the package.

    Of an agent it is a copy in the user's cache, made at first use, because results are written beside a run and the
    package may be read-only. Its name has a checksum of the agent's files, so that another version's is another.

    Raises:
        UnknownName: there is no such agent.
    """
    if not is_address(path):
        return Path(path)
    name = str(path).removeprefix(PREFIX)
    if name not in shipped_names():
        raise UnknownName("agent", name, shipped_names(), _HINT)
    source = SHIPPED / name
    copy = user_cache() / "agents" / _checksum(source) / name
    if copy.is_dir():
        return copy
    try:
        _copy(source, copy)
    except OSError as error:
        return _copy_for_now(source, error)
    return copy


def _checksum(folder: Path) -> str:
    """Return twelve digits that tell the content of a folder from any other."""
    digest = hashlib.sha256()
    for file in _files(folder):
        digest.update(f"{file.relative_to(folder).as_posix()} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _copy(source: Path, target: Path) -> None:
    """Copy a folder, whole or not at all; another process may do the same at the same time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as beside:
        partial = Path(beside) / target.name
        for file in _files(source):
            there = partial / file.relative_to(source)
            there.parent.mkdir(parents=True, exist_ok=True)
            # The content alone: what is read-only in the package is written to in the copy.
            shutil.copyfile(file, there)
            sync(there)
        try:
            os.rename(partial, target)
        except OSError:
            if not target.is_dir():  # which another process has made in between
                raise


def _copy_for_now(source: Path, error: OSError) -> Path:
    """Return a copy that goes when the process ends, where the cache cannot be written."""
    if source not in _temporary:
        where = tempfile.TemporaryDirectory(prefix="nervecord-")
        with contextlib.ExitStack() as undo:
            undo.callback(where.cleanup)
            _copy(source, Path(where.name) / source.name)
            undo.pop_all()
        _temporary[source] = where
        _log.warning(
            "nervecord: what is measured of %s%s is not kept: %s cannot be written (%s)",
            PREFIX, source.name, user_cache(), error.strerror or error,
        )  # fmt: skip
    return Path(_temporary[source].name) / source.name
