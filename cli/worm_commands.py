"""Commands about C. elegans data: connectomes, calcium imaging and the propagation atlas."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..errors import InvalidOption, OutputExists
from .command import Command, Trusting
from .grouped import Grouped
from .posture_commands import Postures, ReplayWorm, ShowEigenworms
from .printing import number

if TYPE_CHECKING:
    from ..agents import Agent
    from ..training.runs.resolution import Resolved
    from ..worm.swims import Swim

_GRAPH = "cook2019-whole"
_FEWEST_REWIRED = 5
_PROPAGATION = {"table.md", "table.json", "responses.npz"}


@dataclasses.dataclass(frozen=True)
class ShowConnectome(Command):
    """Summarise a connectome: cells by class, synapses, signs and connected components."""

    graph: tyro.conf.Positional[str] = "ladder"
    """The connectome: ladder, cook2019, cook2019-whole, FILE.graphml, or FILE.csv (with FILE.cells.csv beside it)."""

    def run(self) -> dict[str, Any]:
        """Load the connectome, and return its summary."""
        from ..circuits import load_graph

        graph = load_graph(self.graph)
        return graph.facts() if self.json else graph.summary()


@dataclasses.dataclass(frozen=True)
class CompareWorms(Command):
    """Compare a circuit's activity with calcium imaging of the neurons with the same names."""

    recording: tyro.conf.Positional[Path] = tyro.MISSING
    """Recording (.nc) of a circuit whose neurons are named as the worm's, such as connectome."""
    data: tyro.conf.Positional[str] = tyro.MISSING
    """Parquet file of calcium recordings, or hub for those of Simeon et al. 2024 on the Hugging Face Hub."""
    source: str | None = None
    """Only worms of this study, such as Kato2015; by default all."""
    out: Path | None = None
    """Folder for the numbers and the figure; by default FILE_worms beside the recording."""

    def run(self) -> dict[str, Any]:
        """Compare, write the numbers and the figure, and return the numbers with their units."""
        from ..drawing.figures import figure_svg
        from ..files import write_json, write_text
        from ..training.rollouts.recording import Recording
        from ..worm.compare import compare_worms
        from ..worm.data import read_worms

        recording = Recording.load(self.recording)
        out = self.out or self.recording.with_name(f"{self.recording.stem}_worms")
        _check_out(out, {"numbers.json", "comparison.svg"}, "comparison with worms")
        found = compare_worms(recording, read_worms(self.data, self.source), progress=not self.json)
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "numbers.json", {"numbers": found.numbers, "units": found.units})
        write_text(out / "comparison.svg", figure_svg(found.figure))
        if self.json:
            return {"numbers": found.numbers, "out": str(out)}
        shown = {name: f"{number(value)} {found.units[name]}".strip() for name, value in found.numbers.items()}
        return {**shown, "out": str(out)}


@dataclasses.dataclass(frozen=True)
class Propagate(Trusting):
    """Stimulate every neuron of a connectome in turn, and compare the responses with the measured propagation atlas."""

    path: tyro.conf.Positional[Path | None] = None
    """Folder of a run with the circuit connectome; by default an untrained circuit of --graph."""
    graph: str | None = None
    """Of the untrained circuit, cook2019-whole by default; a run knows its own."""
    strain: Literal["wt", "unc31"] = "wt"
    """Strain of the atlas: wt (wild type), or unc31, which cannot release dense-core vesicles."""
    background: float = 0.1
    """Current into all cells; at 0, all rates are 0 at rest, and inhibition cannot be seen."""
    amplitude: float = 0.5
    """Current into the stimulated cell, added to the background."""
    closed_loop: bool = False
    """Stimulate while the body swims, and average over 4 phases of the gait."""
    controls: int = 5
    """Number of control graphs of each kind: rewired, random, and with shuffled signs."""
    out: Path | None = None
    """Folder for the table and all responses; by default nothing is written."""

    def check(self) -> None:
        """Refuse options that would have no effect, and a folder with other content."""
        if self.path is not None:
            self.refuse("graph", f"it is of an untrained circuit, and {self.path} knows its own")
        if self.controls < 0:
            raise InvalidOption(f"controls is {self.controls}; give 0 or more graphs")
        if self.out:
            _check_out(self.out, _PROPAGATION, "table of propagation")

    def run(self) -> dict[str, Any]:
        """Stimulate, score, and return the table."""
        import numpy as np

        from ..files import write_json, write_text
        from ..worm.atlas import STRAINS, load_atlas
        from ..worm.propagation import checked_circuit, propagate, propagate_in_body
        from ..worm.propagation_table import compare_propagation

        atlas, other = load_atlas(self.strain), load_atlas(next(each for each in STRAINS if each != self.strain))
        agent, resolved = _agent_of(self, self.path, self.graph)
        circuit = checked_circuit(agent.circuit, self.background)
        dt = resolved.agent.layout.dt
        if self.closed_loop:
            found = {"circuit, swimming": propagate_in_body(agent, resolved, self.background, self.amplitude)}
        else:
            found = {"circuit": propagate(circuit, self.background, self.amplitude, dt=dt)}
            if self.background:
                found["circuit at rest"] = propagate(circuit, 0.0, self.amplitude, dt=dt)
        table = compare_propagation(atlas, circuit.graph, found, other, self.controls, progress=not self.json)
        where = {}
        if self.out:
            self.out.mkdir(parents=True, exist_ok=True)
            write_text(self.out / "table.md", table.markdown() + "\n")
            write_json(self.out / "table.json", table.to_json())
            np.savez_compressed(self.out / "responses.npz", **dataclasses.asdict(next(iter(found.values()))))
            where = {"out": str(self.out)}
        if self.json:
            return {**table.to_json(), **where}
        return {
            "stimulated": table.stimulated, "pairs": table.pairs, "significant": table.significant,
            "background": self.background, "amplitude": self.amplitude,
            "table": table.markdown().splitlines(),
            "timescale": f"rank correlation {number(table.timescale)}; mirror pairs {number(table.timescale_mirror)}",
            **where,
        }  # fmt: skip


@dataclasses.dataclass(frozen=True)
class FitAtlas(Trusting):
    """Fit a connectome's gains to the propagation atlas, and score them on held-out stimulations."""

    path: tyro.conf.Positional[Path | None] = None
    """Folder of a run with the circuit connectome to start from; by default an untrained circuit of --graph."""
    graph: str | None = None
    """Of the untrained circuit, cook2019-whole by default; a run knows its own."""
    gains: Literal["circuit", "global", "class"] = "circuit"
    """Gains to fit: circuit (its own), or of a conductance network: global (7 numbers) or class (also per cell
    class)."""
    background: float = 0.1
    """With --gains circuit: current into all cells."""
    rewired: int = 5
    """Number of rewired control graphs that are fitted in the same way; 5 or more with --gains class."""
    swimming: float = 0.0
    """With --gains circuit: weight, 0 to 1, of imitating a teacher's swimming; the atlas has the rest of the weight."""
    teacher: Path | None = None
    """With --swimming: run folder or agent:NAME on the same body to imitate; by default the circuit started from."""
    out: Path | None = None
    """With --gains circuit: new folder for a run whose gains are fitted to all stimulations."""

    def check(self) -> None:
        """Refuse options that would have no effect, and a folder that exists."""
        if self.path is not None:
            self.refuse("graph", f"it is of an untrained circuit, and {self.path} knows its own")
        if self.gains != "circuit":
            self.refuse(
                "background out swimming teacher",
                f"they are of --gains circuit, and --gains {self.gains} is of another network",
            )
        if not 0 <= self.swimming <= 1:
            raise InvalidOption(f"swimming is {self.swimming}; give a weight from 0 to 1, such as 0.5")
        if not self.swimming:
            self.refuse("teacher", "it is of --swimming, whose weight is 0")
        if self.rewired < 0:
            raise InvalidOption(f"rewired is {self.rewired}; give 0 or more graphs")
        if self.gains == "class" and self.rewired < _FEWEST_REWIRED:
            raise InvalidOption(
                f"rewired is {self.rewired}; gains of classes can learn how often a class answers on any wiring, so "
                f"give {_FEWEST_REWIRED} or more rewired graphs beside them"
            )
        if self.out and self.out.exists():
            raise OutputExists(f"{self.out} exists; give another --out")

    def run(self) -> dict[str, Any]:
        """Fit, score, and return the scores."""
        from ..worm.atlas import load_atlas
        from ..worm.fitted import compare_fits, save_fitted
        from ..worm.propagation import checked_circuit

        agent, resolved = _agent_of(self, self.path, self.graph)
        circuit = checked_circuit(agent.circuit, self.background)
        gains = None if self.gains == "circuit" else self.gains
        atlas = load_atlas()
        swim = self._swim(agent, resolved)
        beside: dict[str, Any] = {} if swim is None else {"swim": swim, "swimming": self.swimming}
        table = compare_fits(atlas, circuit, gains, self.background, self.rewired, progress=not self.json, **beside)
        where: dict[str, Any] = {}
        if self.out:
            run = save_fitted(atlas, circuit, resolved, self.background, self.out, **beside)
            where = {"out": str(self.out)}
            if swim is not None:
                fitted = checked_circuit(run.agent().circuit.double(), self.background)
                where["motor_error"] = swim.error(fitted).item()
        if self.json:
            return {**table.to_json(), **where}
        return {"table": table.markdown().splitlines(), **where}

    def _swim(self, agent: Agent, resolved: Resolved) -> Swim | None:
        """Return what the teacher does on the body; None where swimming does not count."""
        from ..worm.swims import swim_of

        if not self.swimming:
            return None
        if self.teacher is None:
            return swim_of(agent, resolved)
        run = self.run_in(self.teacher)
        return swim_of(run.agent(), run.resolved)


def _check_out(out: Path, own: set[str], what: str) -> None:
    """Refuse a folder that holds anything but an earlier answer."""
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} in (own, set())):
        raise OutputExists(f"{out} exists and holds no {what}; give another --out")


def _agent_of(command: Trusting, path: Path | None, graph: str | None) -> tuple[Agent, Resolved]:
    """Return an agent with its body and task: that of a run, or an untrained connectome's."""
    from ..agents import Agent
    from ..training.runs.config import RunConfig
    from ..training.runs.resolution import resolve

    if path is not None:
        run = command.run_in(path)
        return run.agent(), run.resolved
    resolved = resolve(RunConfig("connectome", circuit_options={"graph": graph or _GRAPH}))
    return Agent(resolved.agent), resolved


@dataclasses.dataclass(frozen=True)
class Worm(Grouped):
    """C. elegans data: connectomes, calcium imaging, the propagation atlas, and recorded postures."""

    what: tyro.conf.OmitSubcommandPrefixes[
        Annotated[ShowConnectome, tyro.conf.subcommand("connectome")]
        | Annotated[CompareWorms, tyro.conf.subcommand("compare")]
        | Annotated[Propagate, tyro.conf.subcommand("propagate")]
        | Annotated[FitAtlas, tyro.conf.subcommand("fit")]
        | Annotated[Postures, tyro.conf.subcommand("posture")]
        | Annotated[ReplayWorm, tyro.conf.subcommand("replay")]
        | Annotated[ShowEigenworms, tyro.conf.subcommand("eigenworms")]
    ]
