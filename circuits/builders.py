"""Circuits of equal segments along a body, as the registry builds them: one unit or more for each joint."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import CircuitMismatch
from .along import Along
from .contract import Circuit
from .cpg import CPG
from .escape import Escape
from .ncap.klinotaxis import Klinotaxis
from .ncap.navigator import Navigator
from .ncap.ncap import NCAP
from .ncap.plus import NCAPPlus
from .relay import Relay
from .relay_klinotaxis import RelayKlinotaxis
from .relay_navigator import RelayNavigator


def _along_body(kind: Callable[..., Circuit], *needs: str) -> Callable[..., Circuit]:
    """Return the builder of a circuit that needs these senses; one with a clock reads the time where it is observed."""
    signature = inspect.signature(kind, eval_str=True)
    has_clock = "observe_time" in signature.parameters

    def build(senses: Mapping[str, int], n_motors: int, **options: Any) -> Circuit:
        if senses["joint_pos"] != n_motors:
            raise CircuitMismatch(f"{senses['joint_pos']} joints are sensed and {n_motors} are moved; give as many")
        clock: dict[str, Any] = {"observe_time": "time" in senses} if has_clock else {}
        return kind(n_motors, **clock, **options)

    shown = [item for item in signature.parameters.values() if item.name != "observe_time"]
    build.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    build.facts = kind.facts  # type: ignore[attr-defined]
    build.needs = needs  # type: ignore[attr-defined]
    return build


ncap = _along_body(NCAP, "joint_pos")
ncap_plus = _along_body(NCAPPlus, "joint_pos", "body_velocities")
klinotaxis = _along_body(Klinotaxis, "joint_pos", "odour")
navigator = _along_body(Navigator, "joint_pos", "to_target")
along = _along_body(Along, "joint_pos", "body_velocities")
cpg = _along_body(CPG, "joint_pos")
relay = _along_body(Relay, "joint_pos")
escape = _along_body(Escape, "joint_pos", "touch")
relay_klinotaxis = _along_body(RelayKlinotaxis, "joint_pos", "odour")
relay_navigator = _along_body(RelayNavigator, "joint_pos", "to_target")
