"""Topology: the number of loops that a network's states form. A rhythm is one loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from ...drawing.figures import COLOURS, open_axes
from ...extras import require
from .contract import ProbeResult, Subject
from .tools.conditions import phase_means

_BINS = 24
_LASTING = 0.5  # smallest persistence of a loop that counts, relative to the cloud's radius


def topology(subject: Subject) -> ProbeResult:
    """Count the components and loops of the mean activity in 24 bins of the gait's phase.

    Every neuron is z-scored first, and distances are divided by the root mean square distance from the centre, so
    that persistences of different networks are comparable: a perfect circle of 24 states has a loop of persistence
    1.47.

    Raises:
        InvalidRecording: there is no undulation, a phase is never reached, or no neuron changes.
        MissingDependency: ripser is not installed.
    """
    means, _, _, constant = phase_means(subject.recording, _BINS)
    states = means.mean(0)
    alive = states.std(0) > 1e-9
    states = (states - states.mean(0))[:, alive] / states[:, alive].std(0)
    states /= np.sqrt((states**2).sum(1).mean())
    components, loops = persistence(states)
    lives = np.sort(loops[:, 1] - loops[:, 0])[::-1]
    numbers = {
        "loops": float((lives > _LASTING).sum()),
        "longest_loop": float(lives[0]) if len(lives) else 0.0,
        "second_loop": float(lives[1]) if len(lives) > 1 else 0.0,
        "last_merge": float(components[np.isfinite(components[:, 1]), 1].max()),
        "constant": float(constant),
    }
    units = dict.fromkeys(numbers, "of the radius") | {"loops": "loops", "constant": "neurons"}
    arrays = {"states": states, "components": components, "loops": loops}
    return ProbeResult(numbers, units, arrays, _figure(arrays))


def persistence(states: Float[np.ndarray, "n dims"]) -> tuple[Float[np.ndarray, "c 2"], Float[np.ndarray, "l 2"]]:
    """Return birth and death of the components (H0) and loops (H1) of points, by Vietoris-Rips filtration.

    Raises:
        MissingDependency: ripser is not installed.
    """
    ripser: Any = require("ripser", "probes")
    # Passed as distances, because ripser warns if points have more dimensions than there are points.
    apart = np.linalg.norm(states[:, None] - states[None], axis=-1)
    diagrams = ripser.ripser(apart, maxdim=1, distance_matrix=True)["dgms"]
    return np.asarray(diagrams[0]), np.asarray(diagrams[1]).reshape(-1, 2)


def _figure(arrays: dict[str, np.ndarray]) -> Figure:
    states, loops = arrays["states"], arrays["loops"]
    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    scores = states @ np.linalg.svd(states, full_matrices=False)[2][:2].T
    scores = np.pad(scores, ((0, 0), (0, 2 - scores.shape[1])))  # of one neuron there is one component
    closed = np.vstack([scores, scores[:1]])
    left.plot(closed[:, 0], closed[:, 1], color=COLOURS[1], linewidth=0.8)
    dots = left.scatter(scores[:, 0], scores[:, 1], c=np.arange(_BINS) * 360 / _BINS, cmap="twilight", s=26, zorder=2)
    figure.colorbar(dots, ax=left, label="phase of the gait (degrees)")
    left.set(xlabel="first principal component", ylabel="second", title="mean state by phase")
    left.set_aspect("equal", "datalim")
    components = arrays["components"]
    finite = components[np.isfinite(components[:, 1])]
    top = 1.1 * max(float(finite[:, 1].max()), float(loops[:, 1].max()) if len(loops) else 0)
    right.plot([0, top], [0, top], color=COLOURS[1], linewidth=0.8)
    right.plot(finite[:, 0], finite[:, 1], "o", markersize=4, color=COLOURS[1], label="components")
    right.plot(loops[:, 0], loops[:, 1], "o", markersize=6, color=COLOURS[0], label="loops")
    right.set(xlabel="birth (of the radius)", ylabel="death (of the radius)", title="persistence")
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        open_axes(axes)
    return figure
