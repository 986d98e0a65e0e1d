"""Probes by name: what a recording tells about the body and its neurons."""

from __future__ import annotations

from typing import Any

from ...errors import UnknownName
from ...registry import Registry
from .biclusters import biclusters
from .complexity import complexity
from .contract import Probe, ProbeResult, Subject
from .critical_periods import critical_periods
from .diagram import diagram
from .facets import facets
from .fixed_points import fixed_points
from .functional_connectome import functional_connectome
from .gait import gait
from .geometry import geometry
from .influential_paths import influential_paths
from .learning_regime import learning_regime
from .lesions import lesions
from .neuron_labels import neuron_labels
from .noise_orbits import noise_orbits
from .robustness import robustness
from .timescales import timescales
from .topology import topology
from .transitions import transitions

_OWN = {
    "gait": Probe("frequency, wave, speed and efficiency of the undulation", gait),
    "neuron_labels": Probe("a sentence for each neuron: when it is active", neuron_labels),
    "influential_paths": Probe("the chains of neurons by which senses move the body", influential_paths),
    "facets": Probe("the different situations in which a neuron is most active", facets),
    "timescales": Probe("how long each neuron's activity remembers itself", timescales),
    "complexity": Probe("how irregular each neuron's activity is", complexity),
    "geometry": Probe("which phases a network holds apart, beside its inputs and outputs", geometry),
    "topology": Probe("how many loops the network's states form", topology),
    "fixed_points": Probe("the states in which a recurrent circuit would rest", fixed_points),
    "robustness": Probe("the return that remains when weights and neurons are disturbed", robustness, is_study=True),
    "functional_connectome": Probe("which neurons change together, and when", functional_connectome),
    "biclusters": Probe("states of the network, and groups of neurons that tell them alike", biclusters),
    "lesions": Probe("the return that remains without each neuron", lesions, is_study=True),
    "learning_regime": Probe("rich or lazy: how far training moved weights, kernel and codes", learning_regime),
    "noise_orbits": Probe("how noise makes a recurrent circuit wander and change its output", noise_orbits),
    "transitions": Probe("the neurons that kick the output from one state into the next", transitions),
    "critical_periods": Probe("when in training a missing sense costs most", critical_periods, is_study=True),
    "diagram": Probe("the wiring drawn, with signs and weights", diagram),
}


def _adopted(probe: Any, name: str) -> Probe:
    if not isinstance(probe, Probe):
        raise TypeError(f"{name} is a {type(probe).__name__}, not a Probe")
    return probe


# Every probe by name, with those of other packages.
PROBES: Registry[Probe] = Registry("nervecord.probes", _OWN, _adopted)


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
    "run_probe",
]
