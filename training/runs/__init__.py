"""What an experiment is, and what of it lies on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .config import RunConfig
    from .folder import Folder
    from .resolution import Resolved, resolve, trainable
    from .result import Result, Weights
    from .results import Results
    from .run import Run
    from .score_table import read_scores
    from .trial_files import TrialFiles
    from .trusted_code import trust

__all__ = [
    "Folder",
    "Resolved",
    "Result",
    "Results",
    "Run",
    "RunConfig",
    "TrialFiles",
    "Weights",
    "read_scores",
    "resolve",
    "trainable",
    "trust",
]
__getattr__ = lazy_exports(__name__, __file__)
