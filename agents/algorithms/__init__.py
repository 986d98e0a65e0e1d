"""Algorithms that train circuits, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .algorithm import Algorithm, Learner
    from .population_learner import PopulationAlgorithm, PopulationLearner, PopulationMethod, carry
    from .registry import ALGORITHMS, algorithm_named

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Learner",
    "PopulationAlgorithm",
    "PopulationLearner",
    "PopulationMethod",
    "algorithm_named",
    "carry",
]
__getattr__ = lazy_exports(__name__, __file__)
