"""Folders that somebody else may have made: a link, a pipe or a device in one is refused before a file is opened."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from .errors import InvalidRun


def check_plain(folder: Path, *names: str) -> None:
    """Refuse a folder that holds anything but files and folders, however deep.

    A link in a stranger's folder can make a command read a private file into a page, or write over a file of the
    user's; a pipe can make it wait for ever. Links are symbolic links and, on Windows, junctions too. The folder itself
    may be reached by a link, and need not exist.

    Args:
        folder: what is about to be read or written.
        names: look only at these files and folders in it.

    Raises:
        InvalidRun: names the first that is neither a file nor a folder.
    """
    waiting = [folder / name for name in names] or _entries(folder)
    while waiting:
        path = waiting.pop()
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # removed in between, by a training that goes on
        if stat.S_ISLNK(found.st_mode) or _is_junction(found):
            raise InvalidRun(
                f"{path} is a link, which could lead to a private file or to one that would be overwritten; put a copy "
                "in its place, or give --trust (trust=True) if you know who made it"
            )
        if stat.S_ISDIR(found.st_mode):
            waiting += _entries(path)
        elif not stat.S_ISREG(found.st_mode):
            raise InvalidRun(f"{path} is a pipe, a socket or a device; remove it: a run holds files and folders")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted((folder / name for name in os.listdir(folder)), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_junction(found: os.stat_result) -> bool:
    if sys.platform == "win32":
        # Other reparse points, such as OneDrive's files that are not yet downloaded, lead nowhere else.
        return found.st_reparse_tag == stat.IO_REPARSE_TAG_MOUNT_POINT
    return False
