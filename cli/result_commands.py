"""Commands that measure, show and share what was trained."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from ..errors import InvalidOption, MissingDependency, OutputExists, UnknownName
from ..extras import absence
from ..training.runs.holds import holds
from .command import (
    Disturbing,
    OnAgent,
    OnModels,
    OnRun,
    OnRunOrModel,
    OnRuns,
    Trusting,
)
from .printing import run_told

if TYPE_CHECKING:
    from ..training.runs.run import Run

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Record(Disturbing, OnRunOrModel):
    """Record whole episodes in one netCDF or NWB file: body, senses, actions and every neuron, by name."""

    out: Path = Path("recording.nc")
    """New file: .nc; .nwb, for archives of neural recordings; or .wcon, with midlines only, as worm trackers write."""
    episodes: int | None = None
    """Number of episodes, 8 by default."""
    history: bool = False
    """Instead of episodes, record the weights at every checkpoint of a run and its activity on one episode's input."""
    as_imaging: bool = False
    """Write the activity in an .nwb file as regions of interest, for tools that read only calcium imaging."""

    def check(self) -> None:
        """Refuse a file that cannot be written, no agent or two agents, and options that do not apply."""
        if self.history:
            self.refuse(
                "episodes body silence clamp drive noise noise_unit",
                "--history is of one episode of the run as it was trained",
            )
            if self.untrained:
                raise InvalidOption("--history is of a run's checkpoints, and --untrained has none; give a run")
        if self.path is not None and self.path.suffix == ".zip":
            self.refuse("noise noise_unit", "SB3's models have no circuit of named neurons")
            self.refuse("history", f"{self.path} is a zip file; give a run, which has checkpoints")
        if self.out.suffix == ".wcon":
            self.refuse("history", f"{self.out} keeps midlines alone; give a file .nc")
        if self.out.suffix != ".nwb":
            self.refuse("as_imaging", f"it is of .nwb files, and {self.out} is none")
        super().check()
        formats = [".nc"] if self.history else [".nc", ".nwb", ".wcon"]
        if self.out.suffix not in formats:
            raise UnknownName("recording format", self.out.suffix or self.out.name, formats)
        if self.out.suffix == ".nwb" and (missing := absence("nwb", "pynwb")):
            raise MissingDependency(missing)
        if self.out.exists():
            raise OutputExists(f"{self.out} exists; give another --out")

    def run(self) -> dict[str, Any]:
        """Record, and return the file."""
        from ..training.rollouts.nwb import write_nwb
        from ..training.rollouts.recorder import record, record_model
        from ..training.rollouts.weights_history import history

        episodes = 8 if self.episodes is None else self.episodes
        held: Any
        if model := self.saved_model:
            held = record_model(model, episodes, progress=not self.json)
        else:
            with self.opened(self.body) as run:
                if self.history:
                    held = history(run, record(run, 1, progress=not self.json))
                else:
                    done = self.done_to(run, episodes, self.body)
                    held = record(run, episodes, self.body, done, progress=not self.json)
        if self.out.suffix == ".nwb":
            write_nwb(held, self.out, self.as_imaging)
        elif self.out.suffix == ".wcon":
            from ..worm.wcon import write_recording

            write_recording(self.out, held, self._origin())
        else:
            held.save(self.out)
        return {"recording": str(self.out)}

    def _origin(self) -> dict[str, Any]:
        """Return where midlines are from, as JSON types: the run, its seed and its step."""
        if self.path is None or self.path.suffix == ".zip":
            return {"agent": f"untrained {self.circuit or 'ncap'}" if self.path is None else self.path.name}
        with self.opened() as run:
            weights = run.last_weights()
            return {"run": run.path.name, "seed": run.config.seed, "step": weights.step if weights else None}


@dataclasses.dataclass(frozen=True)
class Probe(Disturbing, OnAgent):
    """Analyse an agent's behaviour and neurons with probes (see `nervecord list probes`)."""

    path: tyro.conf.Positional[Path | None] = None
    """Folder of a run, agent:NAME (see `nervecord list agents`), or the .nc file of a recording."""
    probes: tuple[str, ...] = ("gait",)
    """Names of probes, or all for every probe that takes only seconds."""
    episodes: int | None = None
    """Number of episodes to record from a run, 8 by default."""

    def check(self) -> None:
        """Refuse anything but one agent or recording, and options that do not apply."""
        if self.path is not None and self.path.suffix == ".nc":
            self.refuse("trust noise noise_unit", f"it is about a run, and {self.path} is a recording")
        super().check()

    def run(self) -> dict[str, Any]:
        """Run the probes, and return their numbers with units, and their sentences."""
        from ..training.probes.probing import merged, probe

        with self._subject() as subject:
            done = self.interventions if isinstance(subject, Path) else self.done_to(subject, self.episodes or 8)
            found = probe(subject, self.probes, self.episodes, done, progress=not self.json)
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

    def _subject(self) -> contextlib.AbstractContextManager[Run | Path]:
        if self.path is None or self.path.suffix != ".nc":
            return self.opened()
        return contextlib.nullcontext(self.path)


@dataclasses.dataclass(frozen=True)
class Render(OnRunOrModel):
    """Film an agent: mp4, gif or webp."""

    out: Path = Path("worm.mp4")
    """File of the film (.mp4, .gif or .webp), which must not exist yet."""
    view: str = "2d"
    """2d (from above, drawn without OpenGL) or 3d (MuJoCo's renderer)."""
    neurons: bool = False
    """Draw the body beside its wiring, with every neuron lit by its activity (in place of --view)."""
    size: tuple[int, int] | None = None
    """Width and height in pixels; 640 480 by default, and 1280 720 with neurons."""
    fps: float | None = None
    """Frames per second; by default one frame per control step, or per two in a .gif or .webp."""
    speed: float = 1.0
    """Speed of the film relative to real time; 0.5 is slow motion."""
    camera: str = "follow"
    """follow (goes with the body) or fixed (shows its whole path)."""
    zoom: float = 1.0
    """Zoom factor of the camera."""
    seconds: float | None = None
    """Seconds of the episode to film; by default all of it."""

    def check(self) -> None:
        """Refuse two views, no agent or two agents, and options that do not apply."""
        if self.neurons:
            self.refuse("view", "--neurons is a view of its own; leave one of them out")
        super().check()

    def run(self) -> dict[str, Any]:
        """Film, and return the path of the film."""
        from ..videos.films import render, render_model

        look: dict[str, Any] = {
            "view": "neurons" if self.neurons else self.view, "size": self.size, "fps": self.fps, "speed": self.speed,
            "camera": self.camera, "zoom": self.zoom,
        }  # fmt: skip
        if model := self.saved_model:
            caption = f"{Path(self.path or '').name}, trained by {type(model.model).__name__}"
            film = render_model(model, self.out, self.seconds, caption, progress=not self.json, **look)
            return {"film": str(film)}
        with self.opened(self.body) as run:
            path = render(run, self.out, self.body, self.seconds, self.interventions, progress=not self.json, **look)
        return {"film": str(path)}


@dataclasses.dataclass(frozen=True)
class Results(OnRun):
    """List the measurements of a run: of which weights, under which conditions, and whether they are stale."""

    out: Path | None = None
    """Also write every value to this new file, .csv or .sqlite."""

    def run(self) -> Any:
        """Write the table if asked for, and return the measurements."""
        from ..training.runs.score_table import write_results

        results = self.opened().results
        written = {} if self.out is None else {"table": str(write_results(results.table(), self.out))}
        found = results.listed()
        if self.json:
            return {"results": self.table(found), **written}
        return self.table(found) if len(found) else "nothing is measured yet"


@dataclasses.dataclass(frozen=True)
class Report(OnRuns, OnModels):
    """Write one self-contained page about a run, or about several side by side."""

    body_is_of_zips = True

    runs: tyro.conf.Positional[tuple[Path, ...]] = tyro.MISSING
    """Folders of runs, or agent:NAME (see `nervecord list agents`); or one SB3 .zip (with --trust)."""
    out: Path | None = None
    """The page; by default report.html in the run's folder, or FILE.html beside an SB3 .zip. Needed for several
    runs."""
    body: str | None = None
    """For an SB3 .zip: the body, swimmer6 by default."""

    def check(self) -> None:
        """Refuse folders without runs, and more than one SB3 .zip."""
        for path in self.runs:
            self.check_zip(path)
            if path.suffix != ".zip":
                holds(path, self.trust)
            elif len(self.runs) > 1:
                raise InvalidOption(f"{path} is a zip file, and a page is about one of them alone; give it by itself")

    def run(self) -> dict[str, Any]:
        """Write, and return the page's path."""
        from ..pages.reports import report, report_model

        path = (*self.runs, Path())[0]
        if model := self.model(path, self.body):
            out = self.out or path.with_suffix(".html")
            return {"report": str(report_model(model, path.stem, out, progress=not self.json))}
        return {"report": str(report(*self.opened(), out=self.out))}


@dataclasses.dataclass(frozen=True)
class Play(OnAgent):
    """Watch an agent live in a browser: pause, push, silence neurons, change the body. Ctrl-C stops it."""

    body: str | None = None
    """Body to swim with; the run's own by default."""
    port: int = 0
    """Port on 127.0.0.1; 0 takes a free one."""

    def run(self) -> dict[str, Any]:
        """Serve until interrupted."""
        from ..pages.play_server import from_elsewhere, play

        def ready(url: str) -> None:
            told = f"open {url} (Ctrl-C ends)\nfrom another machine, first: {from_elsewhere(url)}"
            print(told, file=sys.stderr if self.json else sys.stdout, flush=True)

        with self.opened(self.body) as run, contextlib.suppress(KeyboardInterrupt):
            play(run, self.body, self.port, ready)
        return {"played": str(self.path or f"untrained {self.circuit or 'ncap'}")}


@dataclasses.dataclass(frozen=True)
class Gallery(OnRuns):
    """Write one self-contained page about many runs: learning curves, films and wiring diagrams."""

    out: Path = Path("gallery.html")
    """The page."""

    def check(self) -> None:
        """Refuse folders that hold no runs."""
        for path in self.runs:
            holds(path, self.trust)

    def run(self) -> dict[str, Any]:
        """Write, and return the page's path."""
        from ..pages.reports import gallery

        return {"gallery": str(gallery(*self.opened(), out=self.out))}


@dataclasses.dataclass(frozen=True)
class Export(OnRun):
    """Export a run's agent as a folder for a model hub: safetensors, config, metrics, film and model card."""

    out: Path = Path("export")
    """New folder for the exported agent."""
    film: bool = True
    """Include a film, which is made if the run has none yet."""
    onnx: bool = False
    """Also write the whole policy as policy.onnx, checked against the agent over an episode by ONNX Runtime."""
    torch: bool = False
    """Also write the whole policy as policy.pt2, which torch runs without nervecord."""
    web: bool = False
    """Also write web.html, a page in which the agent swims without Python."""
    push: str | None = None
    """Upload it to this repository (OWNER/NAME) of a model hub."""
    private: bool = False
    """Make the repository private."""
    endpoint: str | None = None
    """Address of the hub; https://huggingface.co by default."""

    def check(self) -> None:
        """Refuse a folder without a run, and options of an upload without --push."""
        if self.push is None:
            self.refuse("private endpoint", "nothing is uploaded; give --push OWNER/NAME too")
        elif missing := absence("hub", "huggingface_hub"):
            raise MissingDependency(missing)
        super().check()

    def run(self) -> dict[str, Any]:
        """Export, and return the folder and the address of the upload."""
        from ..sharing.hub import check_repo, export, push

        if self.push is not None:
            check_repo(self.push)
        folder = export(self.opened(), self.out, self.film, self.onnx, self.torch, self.web, progress=not self.json)
        uploaded = {"uploaded": push(folder, self.push, self.endpoint, self.private)} if self.push else {}
        return {"export": str(folder), **uploaded}


@dataclasses.dataclass(frozen=True)
class Import(Trusting):
    """Turn an exported agent into a run; no code is run without --trust."""

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder that `nervecord export` wrote."""
    out: Path = Path("runs/imported")
    """Folder of the run."""

    def run(self) -> dict[str, Any]:
        """Import, and return a summary of the run."""
        from ..sharing.hub import import_run
        from ..training.learning.training import summary

        found = summary(import_run(self.path, self.out, self.trust))
        return found if self.json else run_told(found)
