"""What an experiment is, and what of it lies on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .config import RunConfig
    from .references import normalized_return, reference_scores
    from .resolution import Resolved, resolve
    from .result import Result, Weights
    from .results import Results
    from .run import Run, load_agent
    from .score_table import read_scores
    from .shipped import shipped_names

__all__ = [
    "Resolved",
    "Result",
    "Results",
    "Run",
    "RunConfig",
    "Weights",
    "load_agent",
    "normalized_return",
    "read_scores",
    "reference_scores",
    "resolve",
    "shipped_names",
]
__getattr__ = lazy_exports(__name__, __file__)
