"""Tables that several studies share, and the pages that show them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import tyro

from ...errors import InvalidOption
from ...files import write_text
from ...intervals import Interval, bootstrap_iqm, difference_of_iqms
from ...training.studies.markdown import markdown_table

_MADE = re.compile(r"<!-- made: ([\w-]+) -->\n(?s:.*?)<!-- end -->")


@dataclasses.dataclass(frozen=True)
class StudyArguments:
    """What the command of a study with a page takes."""

    out: tyro.conf.Positional[Path | None] = None
    """Folder of the runs and their scores; the same again goes on. Without it, the page is made from what is stored."""
    seeds: int = 10
    """Seeds of each."""
    workers: int | None = None
    """Runs at a time; one per core by default."""
    page: Path | None = None
    """Page whose tables are made anew; its figures, and the results they are made from, are in a folder beside it."""


def returns_table(scores: pd.DataFrame, agents: Sequence[str], bodies: Sequence[str], own: str = "swimmer6") -> str:
    """Return a Markdown table of each agent's return: untrained, trained, and as it is on other bodies.

    Args:
        scores: rows of a study, see `read_scores`; seeds are averaged over episodes, then over seeds (IQM, 95 %
            interval).
        agents: labels, in the order of the table; those without a row are left out.
        bodies: the other bodies.
        own: the body that was trained on.
    """
    rows = scores[(scores["metric"] == "return") & scores["episode"].notna()]
    columns = ["agent", "weights", "seeds", "untrained", "trained", *bodies]
    lines = []
    for agent in agents:
        of_agent = rows[rows["agent"] == agent]
        if of_agent.empty:
            continue
        cells = [agent, f"{int(of_agent['weights'].iloc[0])}", f"{of_agent['seed'].nunique()}"]
        places = [("untrained", own), ("trained", own), *(("trained", body) for body in bodies)]
        for stage, body in places:
            chosen = of_agent[(of_agent["stage"] == stage) & (of_agent["body"] == body)]
            found = bootstrap_iqm(chosen.groupby("seed")["value"].mean())
            cells.append(interval_text(found))
        lines.append(cells)
    return markdown_table(columns, *lines)


def differences_table(
    scores: pd.DataFrame, agent: str, others: Sequence[str], bodies: Sequence[str], own: str = "swimmer6"
) -> str:
    """Return a Markdown table of how far one agent is ahead of others, with the verdicts of `standing`.

    The first line is the agent itself.

    Args:
        scores: as in `returns_table`.
        agent: its label.
        others: labels of the others, in the order of the table; those without a row are left out.
        bodies: the other bodies.
        own: the body that was trained on.
    """
    rows = scores[(scores["metric"] == "return") & scores["episode"].notna()]
    means = rows.groupby(["agent", "stage", "body", "seed"])["value"].mean()

    def measures(label: str) -> dict[str, pd.Series]:
        untrained, trained = means[label, "untrained", own], means[label, "trained"]
        return {"untrained": untrained, "trained": trained[own], "gained by training": trained[own] - untrained,
                **{body: trained[body] for body in bodies}}  # fmt: skip

    judged = measures(agent)
    lines = [["nothing", *(interval_text(bootstrap_iqm(values)) for values in judged.values())]]
    for other in others:
        if other != agent and other in means.index.get_level_values(0):
            found = [difference_of_iqms(values, measures(other)[name]) for name, values in judged.items()]
            lines.append([other, *(f"{interval_text(each)} {standing(each)}" for each in found)])
    return markdown_table([f"{agent} less", *judged], *lines)


def interval_text(found: Interval, digits: int = 0) -> str:
    """Return an estimate with its interval, if it has one, in its own unit; "" where there is no estimate."""
    if found.n == 0 or np.isnan(found.mean):
        return ""
    ends = "" if np.isnan(found.low) else f" [{found.low:z.{digits}f}, {found.high:z.{digits}f}]"
    return f"{found.mean:z.{digits}f}{ends}"


def standing(difference: Interval) -> str:
    """Return which of two the interval of their difference says is ahead."""
    return "ahead" if difference.low > 0 else "behind" if difference.high < 0 else "no difference"


class PrintedTable:
    """A Markdown table that is printed row by row, since each takes minutes.

    Args:
        columns: their titles.
    """

    def __init__(self, *columns: str) -> None:
        self._columns, self._rows = columns, list[list[str]]()

    def add(self, *cells: str | int) -> None:
        """Print a row, after the titles if it is the first."""
        row = [str(cell) for cell in cells]
        print(markdown_table(self._columns, row).split("\n", 2 if self._rows else 0)[-1], flush=True)
        self._rows.append(row)

    @property
    def text(self) -> str:
        """The whole table."""
        return markdown_table(self._columns, *self._rows)


def publish(made: Mapping[str, str], page: Path | None) -> None:
    """Print tables, and fill the page's places of their names if there is one; see `fill_page`."""
    print(*made.values(), sep="\n\n")
    if page is not None:
        fill_page(page, made)


def fill_page(page: Path, made: Mapping[str, str]) -> None:
    """Replace tables of a page of docs/results by those made now; its prose and its other tables stay.

    Args:
        page: has each table between the lines `<!-- made: NAME -->` and `<!-- end -->`.
        made: Markdown by NAME.

    Raises:
        InvalidOption: the page has no place for one of them.
    """
    text = page.read_text(encoding="utf-8")
    there = _MADE.findall(text)
    if missing := [name for name in made if name not in there]:
        raise InvalidOption(
            f"{page} has no place for {', '.join(missing)}; give a page with the lines <!-- made: {missing[0]} --> "
            "and <!-- end -->"
        )
    write_text(page, _MADE.sub(lambda found: _block(found[1], made[found[1]]) if found[1] in made else found[0], text))


def _block(name: str, table: str) -> str:
    return f"<!-- made: {name} -->\n\n{table.strip()}\n\n<!-- end -->"
