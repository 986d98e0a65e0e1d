"""Data of living worms, and comparisons of simulations with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .atlas import Atlas, load_atlas
    from .behaviour import Published, published
    from .compare import WormComparison, compare_worms
    from .data import CalciumRecording, read_worms
    from .fitting import Fit, Model, fit, fit_circuit
    from .posture import Posture, Track, of_recording, to_links
    from .posture_files import read_postures
    from .propagation import Propagation, propagate, propagate_in_body
    from .propagation_table import PropagationTable, Row, compare_propagation
    from .replay_film import film_replay
    from .replays import Replay, replay
    from .scoring import Score, score
    from .shapes import Eigenworms, eigenworms
    from .swims import Swim, swim_of
    from .wcon import read_wcon, write_wcon

__all__ = [
    "Atlas",
    "CalciumRecording",
    "Eigenworms",
    "Fit",
    "Model",
    "Posture",
    "Propagation",
    "PropagationTable",
    "Published",
    "Replay",
    "Row",
    "Score",
    "Swim",
    "Track",
    "WormComparison",
    "compare_propagation",
    "compare_worms",
    "eigenworms",
    "film_replay",
    "fit",
    "fit_circuit",
    "load_atlas",
    "of_recording",
    "propagate",
    "propagate_in_body",
    "published",
    "read_postures",
    "read_wcon",
    "read_worms",
    "replay",
    "score",
    "swim_of",
    "to_links",
    "write_wcon",
]
__getattr__ = lazy_exports(__name__, __file__)
