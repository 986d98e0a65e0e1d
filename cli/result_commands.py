"""Commands that look at what was trained, show it, share it, and say what there is."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from ..errors import OutputExists, UnknownName
from ..training.runs.holds import holds
from .run_commands import Command, Intervening, OnRun, OnRunOrModel

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Record(OnRunOrModel):
    """Keep whole episodes as one netCDF file: body, senses, actions and every neuron, by name."""

    out: Path = Path("recording.nc")
    """The file; never overwritten."""
    episodes: int = 8
    """Episodes, recorded at once."""
    history: bool = False
    """Instead of episodes: weights, and activity on the same input, at every checkpoint of a run."""

    def run(self) -> dict[str, Any]:
        """Record, and return the file."""
        from ..training.rollouts.recorder import record, record_model
        from ..training.rollouts.weights_history import history
        from ..training.runs.run import Run

        if self.out.suffix != ".nc":
            raise UnknownName("recording format", self.out.suffix or self.out.name, [".nc"])
        if self.out.exists():
            raise OutputExists(f"{self.out} exists; give another --out")
        held: Any
        if model := self.model():
            held = record_model(*model, self.episodes, progress=not self.json)
        else:
            held = record(self.path, self.episodes, self.body, self.interventions, progress=not self.json)
            if self.history:
                held = history(Run(self.path), held)
        held.save(self.out)
        return {"recording": str(self.out)}


@dataclasses.dataclass(frozen=True)
class Probe(Intervening):
    """Measure what body and neurons do; see `nervecord list probes`."""

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder of a run, or the .nc file of a recording."""
    probes: tuple[str, ...] = ("gait",)
    """Names of probes, or all."""
    episodes: int = 8
    """Episodes to record of a run."""

    def check(self) -> None:
        """Refuse a folder that holds no run."""
        if self.path.suffix != ".nc":
            holds(self.path)

    def run(self) -> dict[str, Any]:
        """Measure, and return the numbers with their units, and the words."""
        from ..training.probes.probing import merged, probe

        found = probe(self.path, self.probes, self.episodes, self.interventions, progress=not self.json)
        if self.json:
            return {
                name: {"numbers": each.result.numbers, "units": each.result.units, "words": each.result.words,
                       "seconds": each.seconds}
                if each.result else {"missing": each.missing}
                for name, each in found.items()
            }  # fmt: skip
        shown: dict[str, Any] = {}
        for name, each in found.items():
            if each.result is not None:
                units = each.result.units
                numbers = {key: {"value": value, "unit": units[key]} for key, value in each.result.numbers.items()}
                shown[name] = {key: f"{value} {unit}".strip() for key, (value, unit) in merged(numbers).items()}
                shown[name] |= {"in words": list(each.result.words)} if each.result.words else {}
            else:
                shown[name] = {"missing": each.missing}
        return shown


@dataclasses.dataclass(frozen=True)
class Render(Intervening, OnRun):
    """Film a run's agent: mp4, gif or webp."""

    out: Path = Path("worm.mp4")
    """The film; never overwritten."""
    body: str | None = None
    """Another body than the run's own."""
    view: str = "2d"
    """2d (drawn without OpenGL) or 3d (MuJoCo's renderer)."""
    neurons: bool = False
    """Draw the wiring with every neuron lit by its activity beside the body (instead of a view)."""
    seconds: float | None = None
    """How much of the episode; all of it by default."""

    def run(self) -> dict[str, Any]:
        """Film, and return the film's path."""
        from ..videos.films import render

        path = render(
            self.path,
            self.out,
            self.body,
            "neurons" if self.neurons else self.view,
            self.seconds,
            self.interventions,
            progress=not self.json,
        )
        return {"film": str(path)}


@dataclasses.dataclass(frozen=True)
class Results(OnRun):
    """List everything that was measured of a run: of which weights, under which conditions, and whether it is stale."""

    out: Path | None = None
    """Write every value to this table too, .csv or .sqlite; never overwritten."""

    def run(self) -> Any:
        """Write the table if it is asked for, and return what was measured."""
        from ..training.runs.run import Run
        from ..training.runs.score_table import write_results

        results = Run(self.path).results
        written = {} if self.out is None else {"table": str(write_results(results.table(), self.out))}
        found = results.listed()
        if self.json:
            return {"results": self.table(found), **written}
        return self.table(found) if len(found) else "nothing is measured yet"


@dataclasses.dataclass(frozen=True)
class Report(Command):
    """Write one self-contained page about a run, or about several side by side."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = tyro.MISSING
    """Folders of runs."""
    out: Path | None = None
    """The page; report.html in the run by default. Several runs need it."""

    def check(self) -> None:
        """Refuse folders that hold no runs."""
        for path in self.runs:
            holds(path)

    def run(self) -> dict[str, Any]:
        """Write, and return the page's path."""
        from ..pages.reports import report

        return {"report": str(report(*self.runs, out=self.out))}


@dataclasses.dataclass(frozen=True)
class Play(OnRun):
    """Watch a run's agent live in a browser: pause, push, silence neurons, change the body. Ctrl-C ends."""

    body: str | None = None
    """Body to swim with; the run's own by default."""
    port: int = 0
    """Of 127.0.0.1; 0 takes a free one."""

    def run(self) -> dict[str, Any]:
        """Serve until interrupted."""
        from ..pages.play_server import play

        with contextlib.suppress(KeyboardInterrupt):
            play(self.path, self.body, self.port, ready=lambda url: print(f"open {url} (Ctrl-C ends)", flush=True))
        return {"played": str(self.path)}


@dataclasses.dataclass(frozen=True)
class Gallery(Command):
    """Write one self-contained page of many runs: curves to compare, films, and wiring that lights up."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = tyro.MISSING
    """Folders of runs."""
    out: Path = Path("gallery.html")
    """The page."""

    def check(self) -> None:
        """Refuse folders that hold no runs."""
        for path in self.runs:
            holds(path)

    def run(self) -> dict[str, Any]:
        """Write, and return the page's path."""
        from ..pages.reports import gallery

        return {"gallery": str(gallery(*self.runs, out=self.out))}


@dataclasses.dataclass(frozen=True)
class Export(OnRun):
    """Write a run's agent as a folder fit for a model hub: safetensors, config, metrics, film, card."""

    out: Path = Path("export")
    """The folder; never overwritten."""
    film: bool = True
    """Film the agent, if the run has no film yet."""
    push: str | None = None
    """Upload it to this repository (OWNER/NAME) of a model hub."""
    private: bool = False
    """Make the repository private."""
    endpoint: str | None = None
    """Of the hub; https://huggingface.co by default."""

    def run(self) -> dict[str, Any]:
        """Export, and return the folder and the address it was uploaded to."""
        from ..sharing.hub import export, push

        folder = export(self.path, self.out, self.film, progress=not self.json)
        uploaded = {"uploaded": push(folder, self.push, self.endpoint, self.private)} if self.push else {}
        return {"export": str(folder), **uploaded}


@dataclasses.dataclass(frozen=True)
class Import(Command):
    """Open an exported agent as a run of one's own; runs no code."""

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder that `nervecord export` wrote."""
    out: Path = Path("runs/imported")
    """Folder of the run."""

    def run(self) -> dict[str, Any]:
        """Import, and return what the run has reached."""
        from ..sharing.hub import import_run
        from ..training.learning.training import summary

        return summary(import_run(self.path, self.out))


@dataclasses.dataclass(frozen=True)
class Demo(Command):
    """Train, evaluate, transfer, probe, film and report one worm."""

    goes_on = True

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder of the run."""

    def run(self) -> dict[str, Any]:
        """Run it all, and return the report's path and the results on each body."""
        from ..training.runs.run import Run
        from ..training.studies.transfers import transfer_table
        from .demo import demo

        report = str(demo(self.path, progress=not self.json))
        found = self.table(transfer_table(Run(self.path)))
        return {"report": report, "results": found if self.json else found.splitlines()}


@dataclasses.dataclass(frozen=True)
class Bench(Command):
    """Measure speed beside the physical limit and the peers, in one run."""

    repeats: int = 3
    """Measurements of each row; the median is shown."""
    ppo: bool = False
    """Training instead of stepping: our PPO, on lanes and on MuJoCo, beside SB3's and sb3-contrib's RecurrentPPO."""
    scale: bool = False
    """What spreading costs instead: populations on workers, sweeps, checkpoints."""
    lanes: bool = False
    """Physics alone instead: lanes beside mj_step at 3 to 100 links."""
    draw: str | None = None
    """Of --lanes: a file for the figure, such as lanes.svg."""
    learn: bool = False
    """Learning instead: whole generations a second, and seconds from nothing to a return, beside SB3's PPO."""
    seeds: int = 5
    """Of --learn: seeds of each arm; the median is shown."""
    limit: float = 600.0
    """Of --learn: seconds of learning after which a seed ends."""

    def run(self) -> Any:
        """Measure, and return the table."""
        from ..benchmarks import lanes, learn, ppo, scale, speed

        if self.learn:
            rates = learn.learning_rates(self.repeats)
            times = learn.learning_times(self.seeds, self.limit, progress=not self.json)
            return {"rates": rates, "times": times} if self.json else learn.as_text(rates, times)
        if self.lanes:
            rows = lanes.lanes_speed(self.repeats)
            if self.draw:
                try:
                    lanes.figure(rows).savefig(self.draw)
                except (OSError, ValueError) as error:  # what was measured is printed all the same
                    _log.warning("nervecord: the figure cannot be written: %s", error)
            return rows if self.json else lanes.as_text(rows)

        if self.scale:
            rows = scale.scale(self.repeats)
            return rows if self.json else scale.as_text(rows)
        if self.ppo:
            rows = ppo.ppo_speed(self.repeats)
            return rows if self.json else ppo.as_text(rows)
        rows = speed.speed(self.repeats)
        return rows if self.json else speed.as_text(rows)


@dataclasses.dataclass(frozen=True)
class Names(Command):
    """List bodies, tasks, circuits, algorithms or probes."""

    kind: tyro.conf.Positional[str] = tyro.MISSING
    """What to list."""

    def run(self) -> dict[str, Any]:
        """Return names, with what each is."""
        if self.kind not in _LISTS:
            raise UnknownName("list", self.kind, _LISTS)
        return _LISTS[self.kind]()


def _bodies() -> dict[str, Any]:
    from ..envs import VARIANTS, body_names

    variants = {name: name.split("-")[-1] for name in body_names()}
    return {name: VARIANTS[variant][0] if variant in VARIANTS else "" for name, variant in variants.items()}


def _arenas() -> dict[str, Any]:
    from ..envs import ARENAS

    return ARENAS.docs(lambda arena: (arena.__doc__ or "").splitlines()[0])


def _senses() -> dict[str, Any]:
    from ..envs import SENSES, TASKS

    TASKS.working()  # tasks bring senses of their own
    return SENSES.docs(lambda sense: (sense.__doc__ or "").splitlines()[0])


def _tasks() -> dict[str, Any]:
    from ..envs import TASKS

    return TASKS.docs(lambda task: (task.__doc__ or "").splitlines()[0])


def _circuits() -> dict[str, Any]:
    from ..circuits import circuit_names

    return circuit_names()


def _algorithms() -> dict[str, Any]:
    from ..agents.algorithms.registry import ALGORITHMS

    return ALGORITHMS.docs(lambda algorithm: (algorithm.__doc__ or "").splitlines()[0])


def _probes() -> dict[str, Any]:
    from ..training.probes import PROBES

    return PROBES.docs(lambda probe: probe.doc)


# Each imports what it lists alone.
_LISTS: dict[str, Callable[[], dict[str, Any]]] = {
    "bodies": _bodies, "arenas": _arenas, "senses": _senses, "tasks": _tasks, "circuits": _circuits,
    "algorithms": _algorithms, "probes": _probes,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Doctor(Command):
    """Say what this machine has, what is wrong, and what to do about it."""

    def run(self) -> dict[str, Any]:
        """Return what was found."""
        from .doctor import doctor

        return doctor()
