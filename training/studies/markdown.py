"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def markdown_table(titles: Iterable[Any], *rows: Iterable[Any]) -> str:
    """Return a table with a title for each column."""
    titles = list(titles)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (titles, ["---"] * len(titles), *rows))
