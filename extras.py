"""Libraries that only some users need."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from .errors import MissingDependency

_ROOT = Path(__file__).resolve().parent


def require(module: str, extra: str, *others: str) -> Any:
    """Import a module of an optional extra; `others` are named with it where they are missing too.

    Raises:
        MissingDependency: it is not installed; names the install command.
    """
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise _missing([module.split(".")[0], *filter(_is_missing, others)], extra) from error
    if missing := [*filter(_is_missing, others)]:
        raise _missing(missing, extra)
    return found


def _is_missing(package: str) -> bool:
    return importlib.util.find_spec(package) is None


def _missing(packages: list[str], extra: str) -> MissingDependency:
    # A checkout is not on the package index under its own version.
    where = f'-e "{_ROOT}[{extra}]"' if (_ROOT / "pyproject.toml").exists() else f'"nervecord[{extra}]"'
    verb = "is" if len(packages) == 1 else "are"
    return MissingDependency(f"{' and '.join(packages)} {verb} not installed: pip install {where}")
