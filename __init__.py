"""nervecord: neural-circuit policies for embodied control.

Importing it registers the gymnasium environments; everything else loads when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .envs.registration import register_environments
from .lazy import lazy_exports
from .moved import forward_moved_modules
from .version import __version__ as __version__

if TYPE_CHECKING:
    from .pages.reports import report
    from .training.learning.training import train
    from .training.probes.probing import probe
    from .training.rollouts.evaluation import evaluate
    from .training.runs.config import RunConfig
    from .training.studies.transfers import transfer
    from .videos.films import render

__all__ = ["RunConfig", "evaluate", "probe", "render", "report", "train", "transfer"]
__getattr__ = lazy_exports(__name__, __file__)

register_environments()
forward_moved_modules()
