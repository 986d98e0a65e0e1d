"""An agent acts: evaluations, recordings, interventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .evaluation import Evaluation, evaluate, evaluate_agent, evaluate_model
    from .interventions import Intervention
    from .nwb import write_nwb
    from .recorder import disturbances, record, record_agent, record_model
    from .recording import Recording
    from .saved_models import SavedModel
    from .weights_history import History, history

__all__ = [
    "Evaluation",
    "History",
    "Intervention",
    "Recording",
    "SavedModel",
    "disturbances",
    "evaluate",
    "evaluate_agent",
    "evaluate_model",
    "history",
    "record",
    "record_agent",
    "record_model",
    "write_nwb",
]
__getattr__ = lazy_exports(__name__, __file__)
