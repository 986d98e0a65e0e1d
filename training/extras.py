"""Libraries that only some users need."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import MissingDependency


def require(module: str, extra: str) -> Any:
    """Import a module of an optional extra.

    Raises:
        MissingDependency: it is not installed; names the install command.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.split(".")[0]
        raise MissingDependency(f'{name} is not installed: pip install "nervecord[{extra}]"') from error
