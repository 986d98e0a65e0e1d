"""Drawing bodies, wirings and figures from arrays: nothing here knows a run or a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .figures import figure_svg
    from .neuron_layout import neuron_places
    from .poses import Poses
    from .top_view import TopView
    from .wiring import draw_wiring, to_networkx

__all__ = [
    "Poses",
    "TopView",
    "draw_wiring",
    "figure_svg",
    "neuron_places",
    "to_networkx",
]
__getattr__ = lazy_exports(__name__, __file__)
