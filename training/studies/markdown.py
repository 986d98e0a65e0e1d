"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def markdown_table(titles: Iterable[Any], *rows: Iterable[Any]) -> str:
    """Return a table with a title for each column; a | in a cell is escaped."""
    titles = list(titles)
    lines = (titles, ["---"] * len(titles), *rows)
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
