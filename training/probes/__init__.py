"""Probes by name: what a recording tells about the body and its neurons."""

from __future__ import annotations

from ...errors import UnknownName
from .critical_periods import critical_periods
from .diagram import diagram, draw_wiring, neuron_places, to_dot, to_networkx
from .gait import gait
from .learning_regime import learning_regime
from .lesions import lesions
from .noise_orbits import noise_orbits
from .probe import Probe, ProbeResult, Subject
from .transitions import transitions

PROBES: dict[str, Probe] = {
    "gait": Probe("frequency, wave, speed and efficiency of the undulation", gait),
    "lesions": Probe("the return that remains without each neuron", lesions, is_study=True),
    "learning_regime": Probe("rich or lazy: how far training moved weights, kernel and codes", learning_regime),
    "noise_orbits": Probe("how noise makes a recurrent circuit wander and change its output", noise_orbits),
    "transitions": Probe("the neurons that kick the output from one state into the next", transitions),
    "critical_periods": Probe("when in training a missing sense costs most", critical_periods, is_study=True),
    "diagram": Probe("the wiring drawn, with signs and weights", diagram),
}


def run_probe(name: str, subject: Subject) -> ProbeResult:
    """Run the probe of that name.

    Raises:
        UnknownName: no such probe.
        InvalidRecording: the recording does not hold what the probe needs.
    """
    if name not in PROBES:
        raise UnknownName("probe", name, PROBES)
    return PROBES[name].run(subject)


__all__ = [
    "PROBES",
    "Probe",
    "ProbeResult",
    "Subject",
    "draw_wiring",
    "neuron_places",
    "run_probe",
    "to_dot",
    "to_networkx",
]
