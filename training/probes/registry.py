"""The probes by name; each is imported when it first runs, so listing them is fast."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from ...errors import UnknownName
from ...registry import Registry
from .contract import Probe, ProbeResult, Subject


def _later(name: str) -> Callable[[Subject], ProbeResult]:
    """Return the probe `name` of the file `name`, imported when it runs."""

    def run(subject: Subject) -> ProbeResult:
        found: ProbeResult = getattr(importlib.import_module(f".{name}", __package__), name)(subject)
        return found

    return run


_OWN = {
    "gait": Probe("frequency, wave, speed and efficiency of the undulation", _later("gait")),
    "behaviour": Probe("speed, reversals, turns and postures, as published for worms", _later("behaviour")),
    "neuron_labels": Probe("a sentence for each neuron: when it is active", _later("neuron_labels")),
    "influential_paths": Probe("which neuron paths carry sensor signals to the motors", _later("influential_paths")),
    "facets": Probe("the different situations in which a neuron is most active", _later("facets")),
    "timescales": Probe("autocorrelation time of each neuron's activity", _later("timescales")),
    "complexity": Probe("how irregular each neuron's activity is", _later("complexity")),
    "spikes": Probe("firing rates and times of spiking neurons, and the cost of spikes", _later("spikes")),
    "geometry": Probe(
        "which phases of movement the network's states separate, compared with its inputs and outputs",
        _later("geometry"),
    ),
    "topology": Probe("topology of the network's states: the number of loops", _later("topology")),
    "fixed_points": Probe("fixed points of a recurrent circuit, and their stability", _later("fixed_points")),
    "robustness": Probe(
        "the return that remains when weights and neurons are disturbed", _later("robustness"), is_study=True
    ),
    "functional_connectome": Probe("which neurons change together, and when", _later("functional_connectome")),
    "biclusters": Probe(
        "states of the network, and groups of neurons that encode the same states", _later("biclusters")
    ),
    "lesions": Probe("the return that remains without each neuron", _later("lesions"), is_study=True),
    "learning_regime": Probe(
        "rich or lazy learning: change of weights, kernel and representations in training", _later("learning_regime")
    ),
    "noise_orbits": Probe("how noise moves a recurrent circuit's state and changes its output", _later("noise_orbits")),
    "transitions": Probe("neurons that trigger transitions between states of the output", _later("transitions")),
    "body_code": Probe("whether neurons encode which body moves, and its gait", _later("body_code"), is_study=True),
    "critical_periods": Probe("when in training a missing sense costs most", _later("critical_periods"), is_study=True),
    "connectivity": Probe("whether the wiring can be read from the activity", _later("connectivity")),
    "predict": Probe(
        "how well activity predicts itself, and whether attention recovers the wiring", _later("predict"), is_study=True
    ),
    "sparsity": Probe("sparsity of activity, and overlap of the neurons active in two phases", _later("sparsity")),
    "diagram": Probe("wiring diagram with signs and weights", _later("diagram")),
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
        UnknownName: there is no such probe.
        InvalidRecording: the recording lacks something that the probe needs.
    """
    if name not in PROBES:
        raise UnknownName("probe", name, PROBES)
    return PROBES[name].run(subject)
