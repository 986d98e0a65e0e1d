"""Many runs: sweeps, ablations, comparisons, transfer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .ablations import ablate
    from .comparisons import Comparison, compare
    from .ncap_paper.reproduction import reproduce
    from .routing import Routing, route
    from .sweeps import Sweep, sweep, sweep_groups
    from .transfers import transfer, transfer_model, transfer_table, worst_and_mean

__all__ = [
    "Comparison",
    "Routing",
    "Sweep",
    "ablate",
    "compare",
    "reproduce",
    "route",
    "sweep",
    "sweep_groups",
    "transfer",
    "transfer_model",
    "transfer_table",
    "worst_and_mean",
]
__getattr__ = lazy_exports(__name__, __file__)
