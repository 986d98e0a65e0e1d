"""The shape of a probe: a subject in; numbers with units, arrays, words and a figure out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Shaped
from matplotlib.figure import Figure

from ...circuits import Wiring
from ...errors import InvalidRecording
from ..recording import Recording

if TYPE_CHECKING:
    from ..run import Run


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a probe looks at.

    Attributes:
        recording: episodes of the agent.
        wiring: of its circuit.
        source: the run that the agent comes from; None where there is only a recording.
    """

    recording: Recording
    wiring: Wiring
    source: Run | None = None

    @property
    def run(self) -> Run:
        """The run, for probes that need its weights.

        Raises:
            InvalidRecording: there is only a recording.
        """
        if self.source is None:
            raise InvalidRecording("this probe looks into a run's weights, and there is only a recording; give a run")
        return self.source


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        numbers: the findings, by name.
        units: the unit of each number ("" for a pure one).
        arrays: what the figure shows, for plots of one's own.
        figure: one matplotlib figure.
        words: findings as sentences.
    """

    numbers: dict[str, float]
    units: dict[str, str]
    arrays: dict[str, Shaped[np.ndarray, "*shape"]]
    figure: Figure
    words: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Probe:
    """A probe in the registry.

    Attributes:
        doc: what it tells, in one line.
        run: the probe.
        is_study: it trains or simulates anew, for minutes, and so is run only when it is named.
    """

    doc: str
    run: Callable[[Subject], ProbeResult]
    is_study: bool = False
