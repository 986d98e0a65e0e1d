"""Checks for authors of plug-ins: each takes an object and raises `ContractBroken` if it breaks a law of its contract.

A check returns None where every law holds. The error's message is one line: the object, the law, the fault found, and
the remedy. `docs/guides/testing.md` shows a package that uses the checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .algorithms import check_algorithm
    from .arenas import check_arena
    from .bodies import check_body
    from .circuits import check_circuit
    from .physics import check_physics
    from .probes import check_probe
    from .senses import check_sense
    from .tasks import check_task

__all__ = [
    "check_algorithm",
    "check_arena",
    "check_body",
    "check_circuit",
    "check_physics",
    "check_probe",
    "check_sense",
    "check_task",
]
__getattr__ = lazy_exports(__name__, __file__)
