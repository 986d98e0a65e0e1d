"""nervecord: neural-circuit policies for embodied control.

Importing it registers the gymnasium environments; everything else loads when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .envs.registration import register_environments
from .version import __version__ as __version__

if TYPE_CHECKING:
    from .pages.reports import report as report
    from .training.learning.training import RunConfig as RunConfig
    from .training.learning.training import train as train
    from .training.probes.probing import probe as probe
    from .training.rollouts.evaluation import evaluate as evaluate
    from .training.studies.transfers import transfer as transfer
    from .videos.films import render as render

_LAZY = {
    "RunConfig": ".training.runs.config",
    "train": ".training.learning.train",
    "evaluate": ".training.rollouts.evaluate",
    "transfer": ".training.studies.transfer",
    "probe": ".training.probes.probing",
    "render": ".videos.films",
    "report": ".pages.report",
}
__all__ = ["RunConfig", "evaluate", "probe", "render", "report", "train", "transfer"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module 'nervecord' has no attribute {name!r}")


register_environments()
