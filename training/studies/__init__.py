"""Many runs: sweeps, ablations, comparisons, transfer, tables of architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .ablations import ablate
    from .comparisons import Comparison, compare
    from .damages import damage
    from .nas.making import make_table
    from .nas.plans import TablePlan
    from .nas.searching import ranking_stability, search_table
    from .nas.spaces import SearchSpace
    from .nas.table import ArchitectureTable, open_table
    from .ncap_paper.reproduction import reproduce
    from .routing import Routing, route
    from .sweeps import Sweep, sweep, sweep_groups
    from .transfers import transfer, transfer_model, transfer_table, worst_and_mean

__all__ = [
    "ArchitectureTable",
    "Comparison",
    "Routing",
    "SearchSpace",
    "Sweep",
    "TablePlan",
    "ablate",
    "compare",
    "damage",
    "make_table",
    "open_table",
    "ranking_stability",
    "reproduce",
    "route",
    "search_table",
    "sweep",
    "sweep_groups",
    "transfer",
    "transfer_model",
    "transfer_table",
    "worst_and_mean",
]
__getattr__ = lazy_exports(__name__, __file__)
