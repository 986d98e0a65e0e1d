"""Films of recorded rollouts."""

from .encode import write_film
from .render import render_recording
from .top_view import TopView

__all__ = ["TopView", "render_recording", "write_film"]
