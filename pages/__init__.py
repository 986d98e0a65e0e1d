"""Pages for a browser: report, gallery, play."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .inline import Inline, show
    from .play_server import PlayServer, play
    from .reports import gallery, report, report_model
    from .web import export_web

__all__ = [
    "Inline",
    "PlayServer",
    "export_web",
    "gallery",
    "play",
    "report",
    "report_model",
    "show",
]
__getattr__ = lazy_exports(__name__, __file__)
