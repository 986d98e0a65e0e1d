"""Probes by name: what a recording tells about the body and its neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .contract import Probe, ProbeResult, Subject
    from .registry import PROBES, run_probe

__all__ = [
    "PROBES",
    "Probe",
    "ProbeResult",
    "Subject",
    "run_probe",
]
__getattr__ = lazy_exports(__name__, __file__)
