"""Keep an estimate and its interval in one line of a table's cell, such as 886.7 [873.7, 916.7].

mkdocs calls it for every page.
"""

from __future__ import annotations

import re
from typing import Any

_CELL = re.compile(r"(?<=<td>)[^<]+(?=</td>)")
_INTERVAL = re.compile(r"[+-]?[\d.,]+ \[[+-]?[\d.,]+, [+-]?[\d.,]+\]")


def on_page_content(html: str, **_: Any) -> str:
    """Replace the spaces of intervals by spaces at which a browser breaks no line."""
    return _CELL.sub(lambda cell: _INTERVAL.sub(lambda found: found[0].replace(" ", "&nbsp;"), cell[0]), html)
