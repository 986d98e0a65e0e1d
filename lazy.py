"""Packages whose names load when they are first used, so that importing one is light."""

from __future__ import annotations

import ast
import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .moved import RENAMED


def lazy_exports(package: str, file: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package: it loads what the package imports under `TYPE_CHECKING`.

    Type checkers and readers see plain imports, and nothing is listed twice.

    Args:
        package: its `__name__`.
        file: its `__file__`.
    """
    places: dict[str, tuple[str, str]] = {}
    for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for each in node.body:
                assert isinstance(each, ast.ImportFrom)
                module = f"{'.' * each.level}{each.module or ''}"
                places |= {alias.asname or alias.name: (module, alias.name) for alias in each.names}

    renamed = RENAMED.get(package.partition(".")[2], {})

    def load(name: str) -> Any:
        if name in renamed:
            warnings.warn(f"{package}.{name} is now {renamed[name]}", DeprecationWarning, stacklevel=2)
            name = renamed[name]
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, original = places[name]
        try:
            found = importlib.import_module(module, package)
        except AttributeError as error:
            # To Python it would say that this package has no such name, and its cause would be lost.
            raise ImportError(f"{package}.{name} cannot be imported: {error}") from error
        return getattr(found, original)

    return load
