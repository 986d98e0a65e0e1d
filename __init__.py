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
    from .pages.play_server import play
    from .pages.reports import gallery, report
    from .sharing.hub import export, import_run
    from .training.learning.checks import check
    from .training.learning.curricula import CurriculumConfig, curriculum
    from .training.learning.training import resume, train
    from .training.probes.probing import probe
    from .training.rollouts.evaluation import evaluate
    from .training.rollouts.interventions import Intervention
    from .training.rollouts.recorder import record
    from .training.runs.config import RunConfig
    from .training.runs.run import Run, load_agent
    from .training.studies.ablations import ablate
    from .training.studies.bricks.growing import grow
    from .training.studies.bricks.merging import merge
    from .training.studies.bricks.study import find_bricks
    from .training.studies.bricks.updating import update_brick
    from .training.studies.comparisons import compare
    from .training.studies.damages import damage
    from .training.studies.ncap_paper.reproduction import reproduce
    from .training.studies.sweeps import Sweep, sweep
    from .training.studies.transfers import transfer
    from .videos.films import render

__all__ = [
    "CurriculumConfig",
    "Intervention",
    "Run",
    "RunConfig",
    "Sweep",
    "ablate",
    "check",
    "compare",
    "curriculum",
    "damage",
    "evaluate",
    "export",
    "find_bricks",
    "gallery",
    "grow",
    "import_run",
    "load_agent",
    "merge",
    "play",
    "probe",
    "record",
    "render",
    "report",
    "reproduce",
    "resume",
    "sweep",
    "train",
    "transfer",
    "update_brick",
]
__getattr__ = lazy_exports(__name__, __file__)

register_environments()
forward_moved_modules()
