"""What a command found, as text for people: names beside values, and every number rounded alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from ..training.rollouts.evaluation import Evaluation

_EMPTY = {"None": "", "[]": "none"}
_DIGITS = 4
_LARGEST_IN_FULL = 1e15


def number(value: float) -> str:
    """Return a number with 4 digits, as intervals show theirs; whole numbers, and those above 9999, without a fraction.

    It stays in its own unit.
    """
    if abs(value) < _LARGEST_IN_FULL and (abs(value) >= 10**_DIGITS or float(value).is_integer()):
        return f"{value:.0f}"
    return f"{value:.{_DIGITS}g}"


def table_text(table: pd.DataFrame) -> str:
    """Return a table, each value in its own unit, with a line for each row; what is missing is blank."""
    return str(table.to_string(index=False, na_rep="", float_format=number))


def over_bodies_text(found: Mapping[str, Evaluation]) -> str:
    """Return a line for each body, or what several come to, with the interval of every metric in its own unit."""
    import pandas as pd

    rows = [{"body": body, **{name: str(each) for name, each in scores.intervals.items()}}
            for body, scores in found.items()]  # fmt: skip
    return table_text(pd.DataFrame(rows))


def text(value: Any, indent: str = "") -> str:
    """Return a result as lines: a name and its value, or a name and indented lines below it."""
    if not isinstance(value, dict):
        return f"{indent}{_plain(value)}"
    width = max((len(str(key)) for key in value), default=0)
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and not item:
            continue
        if isinstance(item, dict):
            lines += [f"{indent}{key}", text(item, indent + "  ")]
        elif isinstance(item, list | tuple) and len(item) > 1:
            lines += [f"{indent}{key}", *(f"{indent}  {_plain(line)}" for line in item)]
        else:
            shown = item[0] if isinstance(item, list | tuple) and item else item
            lines.append(f"{indent}{key:<{width}}  {_plain(shown)}".rstrip())
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return number(value) if isinstance(value, float) else _EMPTY.get(str(value), str(value))
