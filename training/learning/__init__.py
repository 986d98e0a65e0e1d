"""Training: learners, checkpoints, workers, curricula."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .checks import check
    from .curricula import CurriculumConfig, CurriculumRun, curriculum
    from .engine import run_tasks
    from .initial import untrained
    from .protection import protect
    from .training import Moment, resume, summary, train

__all__ = [
    "CurriculumConfig",
    "CurriculumRun",
    "Moment",
    "check",
    "curriculum",
    "protect",
    "resume",
    "run_tasks",
    "summary",
    "train",
    "untrained",
]
__getattr__ = lazy_exports(__name__, __file__)
