"""Probes by name: what a recording tells about the body and its neurons."""

from __future__ import annotations

from ...circuits import Wiring
from ...errors import UnknownName
from ..recording import Recording
from .diagram import diagram, draw_wiring, to_dot, to_networkx
from .gait import gait
from .probe import Probe, ProbeResult

PROBES: dict[str, Probe] = {
    "gait": Probe("frequency, wave, speed and efficiency of the undulation", gait),
    "diagram": Probe("the wiring drawn, with signs and weights", diagram),
}


def run_probe(name: str, recording: Recording, wiring: Wiring) -> ProbeResult:
    """Run the probe of that name.

    Raises:
        UnknownName: no such probe.
        InvalidRecording: the recording does not hold what the probe needs.
    """
    if name not in PROBES:
        raise UnknownName("probe", name, PROBES)
    return PROBES[name].run(recording, wiring)


__all__ = ["PROBES", "Probe", "ProbeResult", "draw_wiring", "run_probe", "to_dot", "to_networkx"]
