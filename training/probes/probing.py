"""Probe an agent: record it, run the probes, keep what each found; one that cannot be leaves its reason."""

from __future__ import annotations

import dataclasses
import io
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ...circuits import Wiring
from ...drawing.figures import figure_svg
from ...errors import NervecordError, UnknownName
from ...files import read_json, write_json, write_text, write_whole
from ..rollouts.interventions import Intervention
from ..rollouts.recorder import record
from ..rollouts.recording import Recording
from ..runs.run import Run
from . import PROBES, ProbeResult, Subject, run_probe


@dataclasses.dataclass(frozen=True)
class Probed:
    """What came of a probe.

    Attributes:
        result: what it found; None if it could not be.
        missing: why not.
        seconds: how long it took.
    """

    result: ProbeResult | None
    missing: str
    seconds: float


def probe(
    subject: Run | str | Path,
    probes: Sequence[str] = ("gait",),
    episodes: int = 8,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
) -> dict[str, Probed]:
    """Run probes on a run's agent, recorded anew, or on a recording.

    Each probe leaves NAME.json (numbers and words, or the reason why there are none), NAME.svg and NAME.npz in
    the folder probes/ of the run, or in FILE_probes/ beside a recording FILE.nc.

    Args:
        subject: a run, its folder, or the file of a recording.
        probes: their names; "all" stands for every probe that neither trains nor simulates anew.
        episodes: how many to record of a run.
        interventions: what is done to neurons while a run is recorded.
        progress: show a bar while recording, and a line after each probe.

    Raises:
        UnknownName: no such probe or neuron.
        InvalidRun, InvalidRecording: the subject cannot be read.
    """
    names = chosen(probes)
    about, folder = _subject(subject, episodes, interventions, progress)
    results = {}
    for name in names:
        begin = time.perf_counter()
        try:
            result, missing = run_probe(name, about), ""
        except NervecordError as error:
            result, missing = None, str(error)
        found = results[name] = Probed(result, missing, time.perf_counter() - begin)
        _keep(name, found, folder)
        if progress:
            tqdm.write(f"{name}: {found.seconds:.1f} s{f', missing: {missing}' if missing else ''}", file=sys.stderr)
    return results


def chosen(probes: Sequence[str]) -> list[str]:
    """Return the probes that these names mean, each once.

    Raises:
        UnknownName: no such probe.
    """
    names: list[str] = []
    for name in probes:
        if name not in (*PROBES, "all"):
            raise UnknownName("probe", name, (*PROBES, "all"))
        names += [each for each, found in PROBES.working().items() if not found.is_study] if name == "all" else [name]
    return list(dict.fromkeys(names))


def probed(run: Run) -> dict[str, dict[str, Any]]:
    """Return what probes left in a run: `numbers` with `value` and `unit`, `words`, `svg`, or `missing`."""
    found = {}
    for name in PROBES:
        path = run.path / "probes" / f"{name}.json"
        if path.exists():
            found[name] = read_json(path, f"{run.path} is damaged")
            figure = path.with_suffix(".svg")
            if "numbers" in found[name] and figure.exists():
                found[name]["svg"] = figure.read_text(encoding="utf-8")
    return found


def merged(numbers: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return text and unit of each number; NAME_low and NAME_high join NAME as its interval."""
    ends = {name for name in numbers if name.endswith(("_low", "_high")) and name.rsplit("_", 1)[0] in numbers}

    def text(name: str) -> str:
        # JSON has no infinity and no NaN.
        value = numbers[name]["value"]
        return "none" if value is None else f"{value:.4g}"

    return {
        name.replace("_", " "): (
            f"{text(name)} [{text(f'{name}_low')}, {text(f'{name}_high')}]" if f"{name}_low" in ends else text(name),
            number["unit"],
        )
        for name, number in numbers.items()
        if name not in ends
    }


def _subject(
    subject: Run | str | Path, episodes: int, interventions: Sequence[Intervention], progress: bool
) -> tuple[Subject, Path]:
    if not isinstance(subject, Run) and Path(subject).suffix == ".nc":
        recording = Recording.load(subject)
        path = Path(subject)
        return Subject(recording.until_first_end(), Wiring(recording.cells, ())), path.with_name(f"{path.stem}_probes")
    run = subject if isinstance(subject, Run) else Run(subject)
    recording = record(run, episodes, None, interventions, progress)
    recording.save(run.path / "recording.nc")
    return Subject(recording.until_first_end(), run.agent().circuit.wiring(), run), run.path / "probes"


def _keep(name: str, found: Probed, folder: Path) -> None:
    seconds = round(found.seconds, 3)
    if found.result is None:
        write_json(folder / f"{name}.json", {"missing": found.missing, "seconds": seconds})
        return
    result = found.result
    numbers = {key: {"value": value, "unit": result.units[key]} for key, value in result.numbers.items()}
    write_json(folder / f"{name}.json", {"numbers": numbers, "words": list(result.words), "seconds": seconds})
    write_text(folder / f"{name}.svg", figure_svg(result.figure))
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **result.arrays)
    write_whole(folder / f"{name}.npz", lambda partial: partial.write_bytes(packed.getvalue()))
