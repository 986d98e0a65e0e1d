"""The contract of a probe: from a subject to numbers with units, arrays, sentences and a figure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Shaped

from ...errors import InvalidRecording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...circuits import Wiring
    from ..rollouts.recording import Recording
    from ..runs.run import Run


@dataclasses.dataclass(frozen=True)
class Subject:
    """The input of a probe: a recording and, where it has one, the run.

    Attributes:
        recording: recorded episodes of the agent.
        wiring: graph of its circuit.
        source: the agent's run; None if there is only a recording.
    """

    recording: Recording
    wiring: Wiring
    source: Run | None = None

    @property
    def run(self) -> Run:
        """The run, for probes that need its weights.

        Raises:
            InvalidRecording: there is only a recording, or its neurons were silenced, clamped or driven, which the
                run's weights do not include.
        """
        if self.source is None:
            raise InvalidRecording("this probe needs a run's weights, and there is only a recording; give a run")
        if self.recording.meta.get("interventions"):
            raise InvalidRecording(
                "this probe needs a run's weights, where no neuron is silenced, clamped or driven; probe the run "
                "without interventions"
            )
        return self.source


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """The result of a probe.

    Attributes:
        numbers: results by name.
        units: unit of each number ("" for a dimensionless one).
        arrays: data of the figure, in the units of its axes.
        figure: a matplotlib figure.
        words: results as sentences.
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
        doc: description in one line.
        run: function that runs the probe.
        is_study: whether it trains or simulates for minutes; such probes are not part of "all".
    """

    doc: str
    run: Callable[[Subject], ProbeResult]
    is_study: bool = False


def settled(recording: Recording) -> int:
    """Return the control step from which a gait is measured: an episode's first fifth passes before it settles."""
    return recording.n_steps // 5


def living(
    recording: Recording, min_steps: int, first: int = 0
) -> tuple[Float[np.ndarray, "E T n"], tuple[str, ...], int]:
    """Return the activity and the names of the neurons that change within an episode, and how many do not.

    Args:
        recording: the recording.
        min_steps: control steps that it must have.
        first: the control step from which neurons must change; what they do before is returned all the same.

    Raises:
        InvalidRecording: fewer steps than `min_steps`, a value that is not finite, or no neuron that changes.
    """
    if recording.n_steps < min_steps:
        raise InvalidRecording(
            f"the recording has {recording.n_steps} steps ({recording.n_steps * recording.dt:.1f} s), and "
            f"{min_steps} are needed; record longer episodes"
        )
    activity = np.asarray(recording.activity, np.float32)
    if not np.isfinite(activity).all():
        episode, step, index = np.argwhere(~np.isfinite(activity))[0]
        raise InvalidRecording(f"neuron {recording.neurons[index]} is not finite in episode {episode}, step {step}")
    alive = np.ptp(activity[:, first:], axis=1).max(0) > 1e-6
    if not alive.any():
        raise InvalidRecording(
            f"none of the {len(alive)} neurons ever changes within an episode; there is nothing to measure"
        )
    names = tuple(name for name, lives in zip(recording.neurons, alive, strict=True) if lives)
    return activity[:, :, alive], names, int((~alive).sum())
