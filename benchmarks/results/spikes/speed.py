"""How long a control step takes, in spikes and beside them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ....circuits import make_circuit
from ....training.studies.markdown import markdown_table
from .kept import Measurement, seeds_of

TIMED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ctrnn": ("ctrnn", {}),
    "spiking, rates": ("spiking", {"substeps": 0}),
    "spiking, k = 1": ("spiking", {"substeps": 1}),
    "spiking, k = 4": ("spiking", {"substeps": 4}),
    "spiking, k = 32": ("spiking", {"substeps": 32}),
    "spiking, k = 4, delays": ("spiking", {"delays": 8}),
    "lif, k = 4": ("lif", {"substeps": 4}),
}
_ROUNDS, _CALLS, _ROWS = 200, 5, 8


def wanted(out: Path, seeds: int) -> dict[str, Measurement]:  # noqa: ARG001
    """Return the one measurement, in which all circuits take turns."""
    return {"speed/0": (seconds_of_a_step, ())}


@torch.inference_mode()
def seconds_of_a_step() -> dict[str, float]:
    """Time a control step of 8 rows of 23 sensors, the best of 200 rounds in which all take turns."""
    nets = {
        name: make_circuit(circuit, {"x": 23}, 5, options, torch.Generator().manual_seed(0))
        for name, (circuit, options) in TIMED.items()
    }
    sensors, best = torch.randn(_ROWS, 23, generator=torch.Generator().manual_seed(0)), dict.fromkeys(nets, math.inf)
    states = {name: net.initial_state(_ROWS) for name, net in nets.items()}
    for _ in range(_ROUNDS):
        for name, net in nets.items():
            start = time.perf_counter()
            for _ in range(_CALLS):
                net(sensors, states[name])
            best[name] = min(best[name], (time.perf_counter() - start) / _CALLS)
    return best


def tables(out: Path) -> dict[str, str]:
    """Return the Markdown table of the times."""
    if not (found := seeds_of(out, "speed")):
        return {}
    rows = [[name, f"{1e6 * took:.0f}", f"{took / found[0]['ctrnn']:.2f}"] for name, took in found[0].items()]
    return {"speed": markdown_table(["circuit", "µs a step", "of the CT-RNN's"], *rows)}
