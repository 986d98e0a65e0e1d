"""The laws of probes: numbers with units, arrays, a figure, and a one-line reason where there is no result."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..drawing.figures import figure_svg
from ..errors import NervecordError
from ..laws import Laws, difference, named
from ..training.learning import train
from ..training.probes import PROBES, Probe, ProbeResult, Subject, run_probe
from ..training.rollouts import Recording, record
from ..training.runs import Run, RunConfig

_NO_SERIES = ("neurons", "dt", "meta", "lengths", "firing")
_SMALL = RunConfig("ncap", "es", "swimmer4", steps=960, episode_steps=120, algorithm_options={"n_envs": 4})


def check_probe(probe: str | Probe, run: Run | str | Path | None = None, episodes: int = 1) -> None:
    """Check a probe: on a run's agent, for repeatability, and on recordings with nothing to find.

    Args:
        probe: a registered name, or a `Probe` as in an entry point of nervecord.probes.
        run: the run to probe; None trains a small NCAP, in a second or two.
        episodes: number of episodes to record.

    Raises:
        ContractBroken: a law does not hold; the message names it.
        UnknownName: there is no such probe.
    """
    with named(PROBES, probe, "probe") as name, contextlib.ExitStack() as stack:
        laws, held = Laws(f"probe {name}"), PROBES[name]
        is_line = isinstance(held.doc, str) and held.doc and "\n" not in held.doc
        laws.hold("it says in one line what it tells", is_line, f"doc is {held.doc!r:.60}", "write a line")
        run = stack.enter_context(_small_run()) if run is None else run if isinstance(run, Run) else Run(run)
        recording = record(run, episodes).until_first_end()
        subject = Subject(recording, run.agent().circuit.wiring(), run)
        before, files = _arrays(recording), _files(run)
        law = "it finds something in a run"
        with laws.asking(law, "give check_probe a run of which it can"):
            result = run_probe(name, subject)
        _result(laws, result)
        laws.alike("a recording is left as it is", _arrays(recording), before, "copy before writing", what="recorded")
        laws.hold("a run's folder is left as it is", _files(run) == files, "there are other files in it", "write none")
        others = [_refuses(laws, name, what, poor) for what, poor in _poor(subject)]
        # Most probes use only the recording, and so have now used it twice.
        if others[0] is None or _differ(others[0], result):
            differs = _differ(run_probe(name, subject), result)
            laws.hold("what it finds is the same again", not differs, differs, "draw by a fixed seed")


def _result(laws: Laws, result: Any) -> None:
    laws.hold("it returns a ProbeResult", isinstance(result, ProbeResult), f"it returns a {type(result).__name__}",
              "return ProbeResult(numbers, units, arrays, figure, words)")  # fmt: skip
    without = sorted(result.numbers.keys() ^ result.units.keys())
    laws.hold("every number has a unit", not without, f"numbers and units differ in {', '.join(without)}",
              'give each its unit, "" for a pure one')  # fmt: skip
    for name, value in result.numbers.items():
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        laws.hold("numbers are floats", is_number, f"{name} is {value!r:.60}", "return float(...)")
    for name, unit in result.units.items():
        laws.hold("units are text", isinstance(unit, str), f"that of {name} is {unit!r}", "write it, as in m/s")
    for name, array in result.arrays.items():
        found = f"{name} is a {type(array).__name__} of {getattr(array, 'dtype', 'no type')}"
        is_array = isinstance(array, np.ndarray) and array.dtype != object
        laws.hold("arrays are NumPy's, of numbers or text", is_array, found, "return np.asarray(...)")
    with laws.asking("arrays can be kept", "name each by a word"):
        np.savez_compressed(io.BytesIO(), allow_pickle=False, **result.arrays)
    is_figure = isinstance(result.figure, Figure)
    found = f"figure is a {type(result.figure).__name__}"
    laws.hold("it draws one figure", is_figure, found, "return matplotlib's Figure")
    with laws.asking("its figure can be drawn", "see what matplotlib says"):
        figure_svg(result.figure)
    lines = [isinstance(words, str) and "\n" not in words and words.strip() for words in result.words]
    laws.hold("words are sentences", isinstance(result.words, tuple | list) and all(lines),
              f"they are {result.words!r:.60}", "return a tuple of lines")  # fmt: skip


def _poor(subject: Subject) -> Iterator[tuple[str, Subject]]:
    """Yield subjects in which a probe can find little or nothing."""
    recording = subject.recording
    short: dict[str, Any] = {name: value[:, :3] for name, value in _arrays(recording).items()}
    still: dict[str, Any] = {name: np.zeros_like(value) for name, value in _arrays(recording).items()}
    lost: dict[str, Any] = {
        name: np.full_like(value, np.nan) if value.dtype.kind == "f" else value
        for name, value in _arrays(recording).items()
    }
    yield "a recording without a run", dataclasses.replace(subject, source=None)
    for what, arrays in (("three steps", short), ("a body that never moves", still), ("NaN", lost)):
        lengths = np.full(recording.n_episodes, 3 if what == "three steps" else recording.n_steps)
        poor: Recording = dataclasses.replace(recording, **arrays, lengths=lengths)
        yield f"a recording of {what}", dataclasses.replace(subject, recording=poor)


def _differ(found: ProbeResult, expected: ProbeResult) -> str:
    kinds = ("numbers", "arrays", "words")
    pairs = {what: (getattr(found, what), getattr(expected, what)) for what in kinds}
    return next((f"{what} {differs}" for what, pair in pairs.items() if (differs := difference(*pair))), "")


def _refuses(laws: Laws, name: str, what: str, subject: Subject) -> ProbeResult | None:
    """Check that a probe returns a result or raises a one-line reason."""
    law, right = f"of {what} it finds something or says why not", "raise InvalidRecording, or see `living`"
    try:
        return PROBES[name].run(subject)
    except NervecordError as error:
        laws.hold(law, "\n" not in str(error), "it says so in several lines", right)
    except Exception as error:  # whatever a probe does wrong is what was found
        laws.hold(law, False, f"{type(error).__name__}: {error}", right)
    return None


@contextlib.contextmanager
def _small_run() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        yield train(_SMALL, Path(folder) / "run", progress=False)


def _arrays(recording: Recording) -> dict[str, np.ndarray]:
    """Return copies of a recording's arrays, each in its own unit."""
    names = [field.name for field in dataclasses.fields(recording)]
    return {name: np.array(getattr(recording, name)) for name in names if name not in _NO_SERIES}


def _files(run: Run) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in sorted(run.path.rglob("*")) if path.is_file()}
