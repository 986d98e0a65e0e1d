"""Probe a run: record its agent, run the probes, keep numbers and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UnknownName
from .figures import figure_svg
from .folder import write_json, write_text
from .interventions import Intervention
from .probes import PROBES, ProbeResult, Subject, run_probe
from .recording import Recording
from .rollout import record
from .run import Run


def probe(
    run: Run | str | Path,
    probes: Sequence[str] = ("gait",),
    episodes: int = 8,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
) -> dict[str, ProbeResult]:
    """Run probes on a run's agent; each leaves probes/NAME.json and probes/NAME.svg in the run.

    Raises:
        UnknownName: no such probe.
        InvalidRecording: the motion does not hold what a probe needs.
    """
    run = run if isinstance(run, Run) else Run(run)
    for name in probes:
        if name not in PROBES:
            raise UnknownName("probe", name, PROBES)
    recording: Recording = record(run, episodes, None, interventions, progress)
    recording.save(run.path / "recording.nc")
    subject = Subject(recording, run.policy().circuit.wiring(), run)
    results = {}
    for name in probes:
        result = results[name] = run_probe(name, subject)
        folder = run.path / "probes"
        numbers = {key: {"value": value, "unit": result.units[key]} for key, value in result.numbers.items()}
        write_json(folder / f"{name}.json", numbers)
        write_text(folder / f"{name}.svg", figure_svg(result.figure))
    return results
