"""Tables and figures of a study as files for a paper: csv, Markdown and LaTeX; svg, pdf and png."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ...drawing.figures import figure_svg
from ...files import write_csv, write_text, write_whole
from .markdown import markdown_table

TABLES, FIGURES = (".csv", ".md", ".tex"), (".svg", ".pdf", ".png")
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_DPI = 300


def write_table(table: pd.DataFrame, shown: pd.DataFrame, path: Path) -> None:
    """Write a table as PATH.csv with every digit, and as PATH.md and PATH.tex (booktabs) as it is read.

    Args:
        table: every value, in its own unit, with column names for programs.
        shown: the same as text, with column names for readers, which give the units.
        path: without a suffix.
    """
    write_csv(path.with_suffix(".csv"), table)
    write_text(path.with_suffix(".md"), markdown_table(shown.columns, *shown.itertuples(index=False)) + "\n")
    write_text(path.with_suffix(".tex"), latex(shown))


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PATH.svg, PATH.pdf and PATH.png; the same figure, the same bytes."""
    write_text(path.with_suffix(".svg"), figure_svg(figure))
    for kind, dateless in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        write_whole(
            path.with_suffix(f".{kind}"),
            lambda partial, kind=kind, dateless=dateless: figure.savefig(  # type: ignore[misc]
                partial, format=kind, dpi=_DPI, metadata=dateless
            ),
        )


def estimates(
    values: Float[ArrayLike, " rows"], low: Float[ArrayLike, " rows"], high: Float[ArrayLike, " rows"]
) -> list[str]:
    """Return estimates with their intervals as text, in the same unit; "" where there is none."""
    cells = []
    for value, *ends in np.stack([values, low, high], -1).astype(float):
        interval = "" if np.isnan(ends).any() else f" [{ends[0]:.4g}, {ends[1]:.4g}]"
        cells.append("" if np.isnan(value) else f"{value:.4g}{interval}")
    return cells


def latex(table: pd.DataFrame) -> str:
    """Return a table of text in LaTeX, with the rules of the package booktabs."""
    cells = [list(table.columns), *table.itertuples(index=False)]
    head, *rows = (" & ".join(_escaped(str(cell)) for cell in row) + r" \\" for row in cells)
    columns = "l" + "r" * (len(table.columns) - 1)
    begin = f"\\begin{{tabular}}{{{columns}}}"
    return "\n".join([begin, r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", ""])


def _escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _SPECIAL.get(found[0], "\\" + found[0]), text)
