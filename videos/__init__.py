"""Films of recorded rollouts."""

from ..drawing.top_view import TopView
from .encode import write_film
from .look import Look
from .render import render_recording

__all__ = ["Look", "TopView", "render_recording", "write_film"]
