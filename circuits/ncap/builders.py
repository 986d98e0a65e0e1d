"""Circuits along a body, as the registry builds them: one unit for each joint, and the time where it is observed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import CircuitMismatch
from ..contract import Circuit
from .navigator import Navigator
from .ncap import NCAP
from .plus import NCAPPlus


def _along_body(kind: type[NCAP] | type[NCAPPlus] | type[Navigator], *needs: str) -> Callable[..., Circuit]:
    def build(senses: Mapping[str, int], n_motors: int, **options: Any) -> Circuit:
        if senses["joint_pos"] != n_motors:
            raise CircuitMismatch(f"{senses['joint_pos']} joints are sensed and {n_motors} are moved; give as many")
        return kind(n_motors, observe_time="time" in senses, **options)

    signature = inspect.signature(kind, eval_str=True)
    shown = [item for item in signature.parameters.values() if item.name != "observe_time"]
    build.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    build.facts = kind.facts  # type: ignore[attr-defined]
    build.needs = needs  # type: ignore[attr-defined]
    return build


ncap = _along_body(NCAP, "joint_pos")
ncap_plus = _along_body(NCAPPlus, "joint_pos", "body_velocities")
navigator = _along_body(Navigator, "joint_pos", "to_target")
