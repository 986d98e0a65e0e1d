"""Commands about the living worm: its connectome, and its recorded activity beside a circuit's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..errors import OutputExists
from .printing import number
from .run_commands import Command


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
        own = {"numbers.json", "comparison.svg"}
        if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} in (own, set())):
            raise OutputExists(f"{out} exists and holds no comparison with worms; give another --out")
        found = compare_worms(recording, read_worms(self.data, self.source), progress=not self.json)
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "numbers.json", {"numbers": found.numbers, "units": found.units})
        write_text(out / "comparison.svg", figure_svg(found.figure))
        if self.json:
            return {"numbers": found.numbers, "out": str(out)}
        shown = {name: f"{number(value)} {found.units[name]}".strip() for name, value in found.numbers.items()}
        return {**shown, "out": str(out)}


@dataclasses.dataclass(frozen=True)
class Worm:
    """C. elegans data: inspect a connectome, or compare a recording with calcium imaging."""

    what: tyro.conf.OmitSubcommandPrefixes[
        Annotated[ShowConnectome, tyro.conf.subcommand("connectome")]
        | Annotated[CompareWorms, tyro.conf.subcommand("compare")]
    ]

    goes_on: ClassVar[bool] = False

    @classmethod
    def prepared(cls, arguments: Sequence[str]) -> type[Worm]:  # noqa: ARG003
        """Return the command as it is parsed."""
        return cls

    @property
    def json(self) -> bool:
        """Whether to print for machines."""
        return self.what.json

    def check(self) -> None:
        """Refuse at once what shows without loading a library."""
        self.what.check()

    def run(self) -> dict[str, Any]:
        """Run the command that was asked for."""
        return self.what.run()
