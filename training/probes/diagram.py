"""Draw the wiring, and count its neurons and connections."""

from __future__ import annotations

import numpy as np

from ...drawing.wiring import draw_wiring
from .contract import ProbeResult, Subject


def diagram(subject: Subject) -> ProbeResult:
    """Draw the wiring, and count its neurons and connections."""
    wiring = subject.wiring
    signs = np.sign([synapse.weight for synapse in wiring.synapses])
    numbers = {
        "neurons": float(len(wiring.neurons)),
        "synapses": float(len(wiring.synapses)),
        "excitatory": float((signs > 0).sum()),
        "inhibitory": float((signs < 0).sum()),
        "weights": float(len({synapse.group or index for index, synapse in enumerate(wiring.synapses)})),
    }
    return ProbeResult(numbers, dict.fromkeys(numbers, ""), {}, draw_wiring(wiring))
