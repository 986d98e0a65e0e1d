"""The shape of a probe: a recording in; numbers with units, arrays and a figure out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from ...circuits import Wiring
from ..recording import Recording


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        numbers: the findings, by name.
        units: the unit of each number ("" for a pure one).
        arrays: what the figure shows, for plots of one's own.
        figure: one matplotlib figure.
    """

    numbers: dict[str, float]
    units: dict[str, str]
    arrays: dict[str, np.ndarray]
    figure: Figure


@dataclasses.dataclass(frozen=True)
class Probe:
    """A probe in the registry: `run(recording, wiring)` and what it tells, in one line."""

    doc: str
    run: Callable[[Recording, Wiring], ProbeResult]
