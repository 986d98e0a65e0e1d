"""Write the page in which the shipped agents swim, worm.html; mkdocs calls it for the docs' first page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nervecord.pages.web import web_page
from nervecord.training.runs.run import Run
from nervecord.training.runs.shipped import PREFIX, shipped_names


def on_post_build(config: Any, **_: Any) -> None:
    """Write the page beside the first one, as mkdocs asks for when all others are written."""
    names = sorted(shipped_names(), key=lambda name: not name.startswith("ncap"))  # the worm's own circuit first
    page = web_page([Run(PREFIX + name) for name in names])
    (Path(config["site_dir"]) / "worm.html").write_text(page, encoding="utf-8")
