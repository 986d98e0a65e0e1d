"""What the tables of architectures tell, and how searchers fare on them: a part of docs/results/structure.md.

    python -m nervecord.benchmarks.results.nas --page docs/results/structure.md

Nothing is trained: it reads and searches what `nervecord nas make` has made.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ...drawing.figures import figure_svg, regret_curves, stability_map
from ...files import write_text
from ...intervals import bootstrap_mean
from ...training.studies.markdown import markdown_table
from ...training.studies.nas.plans import PLANS
from ...training.studies.nas.searching import ranking_stability, search_table
from ...training.studies.nas.table import ArchitectureTable, open_table
from .command import start
from .tables import interval_text, publish

_TRAININGS = (10, 100)
_CELLS = ("cells", "cells-ppo")


def effects_table(table: ArchitectureTable) -> str:
    """Return the Markdown table of what each choice brings on each body, where all other choices are the same."""
    space = table.space
    # A choice that does not act is "".
    values = [{choice: str(value) for choice, value in space.values(architecture).items()} for architecture in table]
    known = pd.DataFrame(values).fillna("")
    lines = []
    for choice, options in space.choices.items():
        bound = [other for other, (on, _) in space.only_with.items() if on == choice]
        alike = [other for other in space.choices if other not in (choice, *bound)]
        for value, other in itertools.pairwise(options):
            cells = []
            for body in table.bodies:
                rows = known.assign(test=table.means(body)).groupby([*alike, choice])["test"].mean().unstack(choice)
                cells.append(_spread((rows[str(value)] - rows[str(other)]).dropna(), 0))
            lines.append([f"{choice}: {value} over {other}", *cells])
    return markdown_table(["choice", *table.bodies], *lines)


def sizes_table(table: ArchitectureTable) -> str:
    """Return the Markdown table of each cell's test return at each size, on each body."""
    cells, sizes = table.space.choices["cell"], table.space.choices["units"]
    lines = []
    for body, cell in itertools.product(table.bodies, cells):
        scores = [table.scores(body)[table.space.index(f"cell={cell}|units={size}")] for size in sizes]
        lines.append([body, cell, *(interval_text(bootstrap_mean(each[~np.isnan(each)])) for each in scores)])
    return markdown_table(["body", "cell", *(f"{size} units" for size in sizes)], *lines)


def regret_table(searches: Mapping[str, pd.DataFrame]) -> str:
    """Return the Markdown table of how far searchers stay below the best of each table."""
    lines = []
    for name, rows in searches.items():
        for searcher, trainings in itertools.product(rows["searcher"].unique(), _TRAININGS):
            each = rows[(rows["searcher"] == searcher) & (rows["trainings"] == trainings)]
            cells = [f"{each['seconds'].mean():.0f}", _spread(each["regret"], 1), f"{each['found'].mean():.0%}"]
            lines.append([name, searcher, trainings, *cells, f"{each['optimism'].mean():.1f}"])
    columns = ["table", "searcher", "trainings", "their seconds", "regret", "found", "optimism"]
    return markdown_table(columns, *lines)


def stability_table(stability: Mapping[str, pd.DataFrame]) -> str:
    """Return the Markdown table of how far rankings agree between halves of the seeds, and between bodies."""
    lines = []
    for name, rows in stability.items():
        own = rows["body"] == rows["other"]
        lines.append([name, *(_spread(rows[which]["tau"], 2) for which in (own, ~own))])
    return markdown_table(["table", "tau between halves of the seeds", "tau between bodies"], *lines)


def _spread(values: pd.Series[float], digits: int) -> str:
    """Return mean, least and most."""
    if values.empty:
        return ""
    return f"{values.mean():z.{digits}f} ({values.min():z.{digits}f} to {values.max():z.{digits}f})"


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """Search every table that ships, and tell what is best."""

    page: Path | None = None
    """Page whose tables are made anew, and its figures in a folder beside it."""


def main(arguments: _Arguments) -> None:
    """Search, print the tables, and fill the page."""
    tables = {name: open_table(name) for name in PLANS}
    searches = {name: search_table(table, progress=True) for name, table in tables.items()}
    stability = {name: ranking_stability(table) for name, table in tables.items()}
    made = {
        "prior": effects_table(tables["prior"]),
        **{name: sizes_table(tables[name]) for name in _CELLS},
        "regret": regret_table(searches),
        "stability": stability_table(stability),
    }
    publish(made, arguments.page)
    if arguments.page:
        folder = arguments.page.with_suffix("")
        for name in tables:
            write_text(folder / f"regret-{name}.svg", figure_svg(regret_curves(searches[name])))
        write_text(folder / "stability.svg", figure_svg(stability_map(stability["prior"])))


if __name__ == "__main__":
    start(main, _Arguments)
