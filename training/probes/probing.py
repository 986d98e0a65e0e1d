"""Record an agent, run probes on the recording and save results; a failed probe saves its error message."""

from __future__ import annotations

import dataclasses
import io
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ...circuits import Wiring
from ...drawing.figures import figure_svg
from ...errors import InvalidOption, InvalidRecording, NervecordError, UnknownName
from ...files import write_text, write_whole
from ...options import FLAG, Instance, ListOf, Number, checked
from ...plain_files import check_plain
from ..rollouts.evaluation import EVALUATION_SEED, check_episodes
from ..rollouts.interventions import INTERVENTIONS, Intervention
from ..rollouts.recorder import record
from ..rollouts.recording import Recording
from ..runs.result import Result, Weights, conditions_of
from ..runs.results import keep
from ..runs.run import A_RUN, Run
from . import PROBES, ProbeResult, Subject, run_probe

_EPISODES = 8


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


@checked(
    InvalidOption,
    subject=A_RUN,
    probes=ListOf(Instance(str, "the name of a probe"), '["gait"]'),
    episodes=Number(1, is_whole=True, also=(None,), none="leave it out"),
    interventions=INTERVENTIONS,
    progress=FLAG,
)
def probe(
    subject: Run | str | Path,
    probes: Sequence[str] = ("gait",),
    episodes: int | None = None,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
) -> dict[str, Probed]:
    """Run probes on a new recording of a run's agent, or on a given recording.

    Each probe writes NAME.json (numbers and sentences, or the reason why there are none), NAME.svg and NAME.npz. For a
    run, they are added to its results, with the recording, in a folder of results/ for these weights, episodes and
    interventions; for a recording FILE.nc, they are in FILE_probes/.

    Args:
        subject: a run, its folder, or the file of a recording.
        probes: names of probes; "all" is every probe that neither trains nor simulates (see `Probe.is_study`).
        episodes: number of episodes to record from a run; None records 8.
        interventions: interventions on neurons during the recording of a run. Probes that need the run's weights then
            have no result, because the weights do not include the interventions.
        progress: show a bar while recording, and a line after each probe.

    Raises:
        UnknownName: there is no such probe or neuron.
        InvalidOption, InvalidRecording: the subject cannot be read, or `episodes` or `interventions` were given for a
            recording.
    """
    names = chosen(probes)
    about, add = _subject(subject, episodes, interventions, progress)
    results = {}
    for name in names:
        begin = time.perf_counter()
        try:
            result, missing = run_probe(name, about), ""
        except NervecordError as error:
            result, missing = None, str(error)
        found = results[name] = Probed(result, missing, time.perf_counter() - begin)
        _keep(name, found, add)
        if progress:
            tqdm.write(f"{name}: {found.seconds:.1f} s{f', missing: {missing}' if missing else ''}", file=sys.stderr)
    return results


def chosen(probes: Sequence[str]) -> list[str]:
    """Return the probes that these names mean, each once.

    Raises:
        UnknownName: there is no such probe.
    """
    names: list[str] = []
    for name in probes:
        if name not in (*PROBES, "all"):
            raise UnknownName("probe", name, (*PROBES, "all"))
        names += [each for each, found in PROBES.working().items() if not found.is_study] if name == "all" else [name]
    return list(dict.fromkeys(names))


def probed(run: Run) -> dict[str, Result]:
    """Return what each probe found of a run's agent as it is; of earlier weights where the last were not probed."""
    results = run.results
    found = {name: results.where("probe", name).shown for name in PROBES}
    return {name: result for name, result in found.items() if result is not None}


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


_Add = Callable[[str, dict[str, Any], dict[str, Callable[[Path], Any]]], Result]


def _subject(
    subject: Run | str | Path, episodes: int | None, interventions: Sequence[Intervention], progress: bool
) -> tuple[Subject, _Add]:
    """Return what to probe, and what adds a probe's findings to the results of that."""
    if not isinstance(subject, Run) and Path(subject).suffix == ".nc":
        if episodes is not None or interventions:
            raise InvalidRecording(
                f"{subject} is a recording already, so its episodes and interventions cannot be chosen; give a run, "
                "or leave them out"
            )
        return _of_file(Path(subject))
    run = subject if isinstance(subject, Run) else Run(subject)
    episodes = _EPISODES if episodes is None else episodes
    check_episodes(episodes)
    recording = record(run, episodes, None, interventions, progress)
    weights, results = run.last_weights(), run.results
    assert weights is not None
    conditions = conditions_of(run.resolved.config, episodes, EVALUATION_SEED, None, interventions)
    returns = {"return": np.asarray(recording.rewards, float).sum(1).tolist()}
    results.add(Result("recording", weights, conditions, values=returns), {".nc": recording.save})

    def add(name: str, found: dict[str, Any], files: dict[str, Callable[[Path], Any]]) -> Result:
        return results.add(Result("probe", weights, conditions, name=name, **found), files)

    return Subject(recording.until_first_end(), run.agent().circuit.wiring(), run), add


def _of_file(path: Path) -> tuple[Subject, _Add]:
    recording = Recording.load(path)
    folder = path.with_name(f"{path.stem}_probes")
    check_plain(path.parent, folder.name)
    conditions = {
        "body": str(recording.meta.get("name", "")),
        "interventions": list(recording.meta.get("interventions", ())),
        "episodes": recording.n_episodes,
    }

    def add(name: str, found: dict[str, Any], files: dict[str, Callable[[Path], Any]]) -> Result:
        # A recording does not say of which weights it is.
        return keep(Result("probe", Weights(None), conditions, name=name, **found), folder, folder, files)

    return Subject(recording.until_first_end(), Wiring(recording.cells, ())), add


def _keep(name: str, found: Probed, add: _Add) -> None:
    seconds = round(found.seconds, 3)
    if found.result is None:
        add(name, {"missing": found.missing, "seconds": seconds}, {})
        return
    result = found.result
    numbers = {key: {"value": float(value), "unit": result.units[key]} for key, value in result.numbers.items()}
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **result.arrays)
    add(
        name,
        {"numbers": numbers, "words": tuple(result.words), "seconds": seconds},
        {
            ".svg": lambda path: write_text(path, figure_svg(result.figure)),
            ".npz": lambda path: write_whole(path, lambda partial: partial.write_bytes(packed.getvalue())),
        },
    )
