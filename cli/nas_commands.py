"""The commands about tables of architectures: make one, query it, search it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from .grouped import Grouped
from .parsing import Steps
from .run_commands import Command
from .study_commands import Many


@dataclasses.dataclass(frozen=True)
class MakeTable(Many):
    """Train every architecture of a space on its bodies; the same command again goes on."""

    name: tyro.conf.Positional[str] = tyro.MISSING
    """prior (parts of NCAP), cells (networks of several sizes, by ES), or cells-ppo."""
    out: Path = Path("runs/nas")
    """Folder of the runs' results, and of NAME.csv.gz."""
    seeds: int = 20
    """Seeds, from 0 on."""
    bodies: tuple[str, ...] = ()
    """Some of the table's bodies; all by default."""
    architectures: tuple[str, ...] = ()
    """Some of the space's architectures, such as cell=gru|units=8; all by default."""

    def run(self) -> dict[str, Any]:
        """Train what is missing, and return what the table has."""
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
    """Say what architectures came to: a line for each on each body, the best of a body first."""

    name: tyro.conf.Positional[str] = tyro.MISSING
    """prior, cells, cells-ppo, or the .csv.gz of a table that you made."""
    architecture: str | None = None
    """One alone, such as cell=gru|units=8."""
    body: str | None = None
    """One alone."""
    step: Steps | None = None
    """Environment steps of training; by default the last."""
    seed: int | None = None
    """Of one run; by default the mean over all."""

    def run(self) -> Any:
        """Read the table, and return what was asked for."""
        from ..training.studies.nas.table import open_table

        return self.table(open_table(self.name).summary(self.architecture, self.body, self.step, self.seed))


@dataclasses.dataclass(frozen=True)
class SearchTable(Command):
    """Search a table many times: regret against cost, and how far bodies agree on the ranking."""

    name: tyro.conf.Positional[str] = tyro.MISSING
    """prior, cells, cells-ppo, or the .csv.gz of a table that you made."""
    out: Path = Path("nas")
    """Folder for regret and stability: .csv, .md, .tex, .svg, .pdf and .png."""
    searchers: tuple[str, ...] = ("random", "rea", "reinforce")
    """random; rea, regularised evolution; reinforce."""
    searches: int = 500
    """Of each searcher on each body."""
    trainings: int = 100
    """Of each search."""
    seed: int = 0
    """Of the searches."""

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
    """Architecture search on tables, in which every architecture is trained already: query them, search them."""

    what: tyro.conf.OmitSubcommandPrefixes[
        Annotated[QueryTable, tyro.conf.subcommand("query")]
        | Annotated[SearchTable, tyro.conf.subcommand("search")]
        | Annotated[MakeTable, tyro.conf.subcommand("make")]
    ]
