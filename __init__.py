"""nervecord: neural-circuit policies for embodied control.

Importing it registers the gymnasium environments; everything else loads when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .envs.registration import register_environments

if TYPE_CHECKING:
    from .training.evaluate import evaluate as evaluate
    from .training.films import render as render
    from .training.probing import probe as probe
    from .training.report import report as report
    from .training.train import RunConfig as RunConfig
    from .training.train import train as train
    from .training.transfer import transfer as transfer

__version__ = "0.1.0"

_LAZY = {
    "RunConfig": ".training.config",
    "train": ".training.train",
    "evaluate": ".training.evaluate",
    "transfer": ".training.transfer",
    "probe": ".training.probing",
    "render": ".training.films",
    "report": ".training.report",
}
__all__ = ["RunConfig", "evaluate", "probe", "render", "report", "train", "transfer"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module 'nervecord' has no attribute {name!r}")


register_environments()
