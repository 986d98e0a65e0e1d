"""Results of commands as readable text, with numbers rounded to 4 digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from ..training.rollouts.evaluation import Evaluation

_EMPTY = dict.fromkeys(("None", "[]", "()"), "none")
_DIGITS = 4
_LARGEST_IN_FULL = 1e15


def number(value: float) -> str:
    """Format a number with 4 significant digits; whole numbers and those above 9999 have no fraction."""
    # From 9999.5 on, four digits would be written as 1e+04.
    if abs(value) < _LARGEST_IN_FULL and (abs(value) >= 10**_DIGITS - 0.5 or float(value).is_integer()):
        return f"{value:.0f}"
    return f"{value:.{_DIGITS}g}"


def table_text(table: pd.DataFrame) -> str:
    """Format a table with one line per row; missing values are blank."""
    return str(table.to_string(index=False, na_rep="", float_format=number))


def over_bodies_text(found: Mapping[str, Evaluation], units: Mapping[str, str]) -> str:
    """Format one line per body or aggregate over bodies, with the interval and unit of every metric."""
    import pandas as pd

    rows = [{"body": body, **{name: each.told(units.get(name, "")) for name, each in scores.intervals.items()}}
            for body, scores in found.items()]  # fmt: skip
    return table_text(pd.DataFrame(rows))


def run_told(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary of a run for readers, who would take its return in training for what `evaluate` measures."""
    found = dict(summary)
    returned = found.pop("training_return")
    if returned is not None:  # as it is before the first episode has ended
        found["training_return"] = f"{number(returned)} while exploring, by perturbed weights or actions; see evaluate"
    return found


def text(value: Any, indent: str = "") -> str:
    """Format a result as lines of names and values; nested results are indented."""
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
