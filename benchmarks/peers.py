"""The libraries that benchmarks compare with, and why one of them is absent."""

from __future__ import annotations

import importlib.util
import sys

_WHY = {
    "dm_control": "its dependency labmaze has no wheels for Python 3.13 and later; use Python 3.11 or 3.12",
    "shimmy": "the bench extra brings it, with dm_control, on Python 3.11 and 3.12 only",
}


def absence(*modules: str) -> str:
    """Say in one line which of these modules are not installed, and why; an empty string where all are."""
    return "; ".join(
        f"{name} is not installed: {_reason(name)}" for name in modules if not importlib.util.find_spec(name)
    )


def _reason(module: str) -> str:
    if module in _WHY and sys.version_info >= (3, 13):
        return _WHY[module]
    return "pip install 'nervecord[bench]'"
