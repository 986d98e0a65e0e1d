"""Write the page of commands from what `nervecord --help` prints; mkdocs calls it for docs/reference/commands.md."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from typing import Any

from nervecord.cli.main import main

PAGE, MARK = "reference/commands.md", "<!-- commands -->"
_COMMAND = re.compile(r"  (\w+) {2,}(\S.*)")
_WIDTH = "100"  # columns
# An option, or an argument without a name, as it stands at the left; its help follows, or is in the next lines.
_OPTION = re.compile(r"(-\S.*?|\[?[A-Z]{2,}[][ A-Z|.{}]*?)(?: {2,}(\S.*))?")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the commands in their page, as mkdocs asks for each page before it is drawn."""
    return markdown.replace(MARK, commands_page()) if page.file.src_uri == PAGE else markdown


def commands_page() -> str:
    """Return Markdown of every command, in the order and the groups of `nervecord --help`.

    Raises:
        ValueError: nothing that looks like a command or an option is in the help.
    """
    parts = []
    for line in _printed("--help").splitlines():
        if command := _COMMAND.fullmatch(line):
            parts += list(_command(command[1], level=3))
        elif re.fullmatch(r"[A-Z].*:", line):
            parts.append(f"## {line[:-1]}")
    if not any(part.startswith("### ") for part in parts):
        raise ValueError("nervecord --help lists no commands")
    return "\n\n".join(parts)


def _command(*words: str, level: int) -> Iterator[str]:
    """Return title, help and options of one command, and of those below it."""
    text = _printed(*words, "--help")
    usage, said = text.split("\n\n", 2)[:2]
    yield f"{'#' * level} {' '.join(words)}"
    yield " ".join(said.split())
    if below := re.search(r"\{([\w,]+)\}$", usage):
        for name in below[1].split(","):
            yield from _command(*words, name, level=level + 1)
        return
    options = [(head, help_) for head, help_ in _options(text) if not head.startswith("-h,")]
    if not options:
        raise ValueError(f"nervecord {' '.join(words)} --help has no options")
    yield "\n\n".join(f"`{head}`\n:   {help_}" for head, help_ in options)


def _options(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, list[str]]] = []
    # In the boxes alone: usage and description stand above them.
    for line in re.findall(r"^│ (.*)│$", text, re.MULTILINE):
        if option := _OPTION.fullmatch(line.rstrip()):
            found.append((option[1], [option[2] or ""]))
        elif found and line.startswith("  "):
            found[-1][1].append(line.strip())
    told = ((head, " ".join(filter(None, lines)).removesuffix(" (default: )")) for head, lines in found)
    return [(head, _escaped(help_)) for head, help_ in told]


def _escaped(text: str) -> str:
    """Return help as Markdown shows it word for word, code in it left as it is."""
    return re.sub(r"`[^`]*`|([*_<>\[\]])", lambda found: f"\\{found[1]}" if found[1] else found[0], text)


def _printed(*words: str) -> str:
    """Return what a command prints."""
    # With an encoding, so that boxes are drawn as on a terminal.
    printed, columns = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDTH
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main(list(words))
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    printed.seek(0)
    return re.sub(r"\x1b\[[\d;]*m", "", printed.read())
