"""Optional libraries, installed by extras."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import sys
from pathlib import Path
from typing import Any

from .errors import MissingDependency

_ROOT = Path(__file__).resolve().parent
# Extras leave these out where they have no wheels; docs/platforms.md says the same.
_NO_WHEELS = {
    "dm_control": ("Python 3.13 and later (its labmaze)", sys.version_info >= (3, 13)),
    "shimmy": ("Python 3.13 and later (its dm_control)", sys.version_info >= (3, 13)),
    "hmmlearn": ("Python 3.14 and later", sys.version_info >= (3, 14)),
    "rsatoolbox": ("Linux on ARM", platform.machine() == "aarch64"),
}


def require(module: str, extra: str, *others: str) -> Any:
    """Import a module of an optional extra; the error also names those of `others` that are missing.

    Raises:
        MissingDependency: it is not installed; the message has the install command.
    """
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        reason = absence(extra, module, *others) or f"{module} cannot be imported: {error}"
        raise MissingDependency(reason) from error
    if missing := absence(extra, *others):
        raise MissingDependency(missing)
    return found


def absence(extra: str, *modules: str) -> str:
    """Return one line on which of these modules of an extra are not installed, and why; empty where all are."""
    packages = list(dict.fromkeys(module.split(".")[0] for module in modules))
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    for package in missing:
        where, applies = _NO_WHEELS.get(package, ("", False))
        if applies:
            return f"{package} is not installed: it has no wheels for {where}"
    # The version of a checkout is not on the package index.
    source = f'-e "{_ROOT}[{extra}]"' if (_ROOT / "pyproject.toml").exists() else f'"nervecord[{extra}]"'
    verb = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {verb} not installed: pip install {source}" if missing else ""
