"""Commands about the living worm: its connectome, and its recorded activity beside a circuit's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..errors import InvalidOption, OutputExists
from .grouped import Grouped
from .posture_commands import Postures, ReplayWorm, ShowEigenworms
from .printing import number
from .run_commands import Command, Trusting

if TYPE_CHECKING:
    from ..agents import Agent
    from ..training.runs.resolution import Resolved
    from ..worm.swims import Swim

_GRAPH = "cook2019-whole"
_FEWEST_REWIRED = 5
_PROPAGATION = {"table.md", "table.json", "responses.npz"}


@dataclasses.dataclass(frozen=True)
class ShowConnectome(Command):
    """Say what a connectome holds: its cells by class, their contacts, signs and parts."""

    graph: tyro.conf.Positional[str] = "ladder"
    """ladder, cook2019, cook2019-whole, FILE.graphml, or FILE.csv with FILE.cells.csv beside it."""

    def run(self) -> dict[str, Any]:
        """Load the graph, and return what it holds."""
        from ..circuits import load_graph

        graph = load_graph(self.graph)
        return graph.facts() if self.json else graph.summary()


@dataclasses.dataclass(frozen=True)
class CompareWorms(Command):
    """Set a recording's neurons beside those of the same names in living worms."""

    recording: tyro.conf.Positional[Path] = tyro.MISSING
    """The .nc file of a recording whose circuit has the worm's neurons, such as connectome."""
    data: tyro.conf.Positional[str] = tyro.MISSING
    """A parquet file of calcium recordings, or hub for those of Simeon et al. 2024 on the Hugging Face Hub."""
    source: str | None = None
    """Only worms of this study, such as Kato2015; all of them by default."""
    out: Path | None = None
    """Folder of the numbers and the figure; beside the recording, FILE_worms, by default."""

    def run(self) -> dict[str, Any]:
        """Compare, write numbers and figure, and return the numbers with their units."""
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
    """Drive every neuron of a connectome in turn, and compare what others do with the measured propagation atlas."""

    path: tyro.conf.Positional[Path | None] = None
    """Folder of a run of the circuit connectome; by default the untrained circuit of --graph."""
    graph: str | None = None
    """Of the untrained circuit, cook2019-whole by default; a run knows its own."""
    strain: Literal["wt", "unc31"] = "wt"
    """wt, or unc31, which lacks the release of dense-core vesicles."""
    background: float = 0.1
    """Current into all cells; at 0 rates rest at 0, where inhibition cannot be seen."""
    amplitude: float = 0.5
    """Current into the driven cell beside the background."""
    closed_loop: bool = False
    """Let it swim while cells are driven, and average over 4 phases of the gait."""
    controls: int = 5
    """How many graphs to rewire, to draw at random, and to shuffle signs of."""
    out: Path | None = None
    """Folder of the table and of every response; nothing is written by default."""

    def check(self) -> None:
        """Refuse what would change nothing, and a folder of something else."""
        if self.path is not None:
            self.refuse("graph", f"it is of an untrained circuit, and {self.path} knows its own")
        if self.controls < 0:
            raise InvalidOption(f"controls is {self.controls}; give 0 or more graphs")
        if self.out:
            _check_out(self.out, _PROPAGATION, "table of propagation")

    def run(self) -> dict[str, Any]:
        """Drive, score, and return the table."""
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
    """Fit a connectome's gains to the propagation atlas, and score them on stimulations that were held out."""

    path: tyro.conf.Positional[Path | None] = None
    """Folder of a run of the circuit connectome, to begin with; by default the untrained circuit of --graph."""
    graph: str | None = None
    """Of the untrained circuit, cook2019-whole by default; a run knows its own."""
    gains: Literal["circuit", "global", "class"] = "circuit"
    """circuit: the circuit's own; of a network of conductances, global: seven numbers, or class: for each class too."""
    background: float = 0.1
    """Current into all cells, of --gains circuit."""
    rewired: int = 5
    """How many rewired graphs are fitted alike; of --gains class, 5 or more."""
    swimming: float = 0.0
    """Weight from 0 to 1, of --gains circuit, of how motors depart from a teacher's swim; the atlas has the rest."""
    teacher: Path | None = None
    """Of --swimming: folder of a run, or agent:NAME, on the same body; by default the circuit that is begun with."""
    out: Path | None = None
    """New folder of a run whose circuit has the gains fitted to all stimulations, of --gains circuit."""

    def check(self) -> None:
        """Refuse what would change nothing, and a folder that exists."""
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
