"""The commands about tables of trained architectures: make, query and search."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from .command import Command
from .grouped import Grouped
from .parsing import Steps
from .study_commands import Many


@dataclasses.dataclass(frozen=True)
class MakeTable(Many):
    """Train every architecture of a search space and write the table. Run the same command again to resume."""

    name: tyro.conf.Positional[str] = tyro.MISSING
    """The table: prior (parts of NCAP), cells (networks of several sizes, by ES), or cells-ppo (the same by PPO)."""
    out: Path = Path("runs/nas")
    """Folder for the results of each run and for NAME.csv.gz."""
    seeds: int = 20
    """Number of seeds, counted from 0."""
    bodies: tuple[str, ...] = ()
    """Only these bodies; by default all of the table's."""
    architectures: tuple[str, ...] = ()
    """Only these architectures, such as cell=gru|units=8; by default all of the space."""

    def run(self) -> dict[str, Any]:
        """Train the missing runs, and return a summary of the table."""
        from ..training.studies.nas.making import make_table

        made = make_table(self.name, self.out, self.seeds, self.bodies, self.architectures, **self._options)
        return {
            "table": str(self.out / f"{self.name}.csv.gz"),
            "architectures": f"{len(made)} of {len(made.space)}",
            "bodies": list(made.bodies),
            "seeds": len(made.seeds),
            "steps": list(made.steps),
        }


@dataclasses.dataclass(frozen=True)
class QueryTable(Command):
    """Print the scores of architectures in a table: one line per body and architecture, the best first."""

    name: tyro.conf.Positional[str] = tyro.MISSING
    """prior, cells, cells-ppo, or the .csv.gz of a table that you made."""
    architecture: str | None = None
    """Only this architecture, such as cell=gru|units=8."""
    body: str | None = None
    """Only this body."""
    step: Steps | None = None
    """Scores after this many environment steps; by default at the end of training."""
    seed: int | None = None
    """Scores of this seed alone; by default the mean over seeds."""

    def run(self) -> Any:
        """Read the table, and return the rows asked for."""
        from ..training.studies.nas.table import open_table

        return self.table(open_table(self.name).summary(self.architecture, self.body, self.step, self.seed))


@dataclasses.dataclass(frozen=True)
class SearchTable(Command):
    """Compare search algorithms on a table: regret against cost, and agreement of the ranking across bodies."""

    name: tyro.conf.Positional[str] = tyro.MISSING
    """prior, cells, cells-ppo, or the .csv.gz of a table that you made."""
    out: Path = Path("nas")
    """Folder for the tables and figures of regret and rank stability (.csv, .md, .tex, .svg, .pdf, .png)."""
    searchers: tuple[str, ...] = ("random", "rea", "reinforce")
    """Search algorithms: random, rea (regularised evolution) and reinforce."""
    searches: int = 500
    """Number of searches for each search algorithm and body."""
    trainings: int = 100
    """Number of trainings that each search may use."""
    seed: int = 0
    """Seed of the searches."""

    def run(self) -> Any:
        """Search, write tables and figures, and return the table of regrets."""
        from ..training.studies.nas.searching import check_out, ranking_stability, search_table, write_searches
        from ..training.studies.nas.table import open_table

        check_out(self.out)
        table = open_table(self.name)
        found = search_table(
            table, (), self.searchers, self.searches, self.trainings, self.seed, progress=not self.json
        )
        stability = ranking_stability(table, self.seed)
        write_searches(found, stability, self.out)
        if self.json:
            return {"regret": self.table(found), "stability": self.table(stability), "out": str(self.out)}
        return f"{self.table(found)}\n\n{self.table(stability)}\n\n{self.out}"


@dataclasses.dataclass(frozen=True)
class Nas(Grouped):
    """Architecture search on tables of architectures that are already trained."""

    what: tyro.conf.OmitSubcommandPrefixes[
        Annotated[QueryTable, tyro.conf.subcommand("query")]
        | Annotated[SearchTable, tyro.conf.subcommand("search")]
        | Annotated[MakeTable, tyro.conf.subcommand("make")]
    ]
