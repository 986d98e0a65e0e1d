"""The figures of bricks: the matrix of causes with the returns of few bricks, and what lies between two runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ....drawing.figures import COLOURS, open_axes
from ....intervals import bootstrap_mean

_DARK, _BRIGHT = "#2d0a4e", "#fdf3a0"  # letters on bright and on dark cells; a page turns black and white round


def study_figure(table: pd.DataFrame, moments: pd.DataFrame, retrieval: pd.DataFrame) -> Figure:
    """Draw what remains without each brick, over all and by moments, and the return against how many bricks are kept.

    Args:
        table, moments, retrieval: of a `Study`.
    """
    layers = list(dict.fromkeys(retrieval["layer"]))
    columns = [str(name) for name in table if str(name).startswith(("command ", "return ", "control "))]
    height = max(3.4, 0.24 * len(table) + 1.6)
    figure = Figure(figsize=(9.4, 2 * height + 1.2), layout="constrained")
    top, below = figure.subfigures(2, 1, height_ratios=(height, height + 1.2), squeeze=False)[:, 0]
    matrix, right = top.subfigures(1, 2, width_ratios=(1.25, 1), squeeze=False)[0]
    axes, values = matrix.subplots(), table[columns].to_numpy(float)
    shown = _matrix(axes, table, values, columns)
    for (row, column), value in np.ndenumerate(values):
        text = "" if np.isnan(value) else f"{value:.2f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=_DARK if value > 0.5 else _BRIGHT)
    axes.set_title("what remains without each brick (units)", fontsize=9)
    matrix.colorbar(shown, ax=axes, label="share of the intact circuit's", fraction=0.05)
    when = moments.pivot_table("return", "brick", "so", sort=False, dropna=False).reindex(table["brick"])
    axes = below.subplots()
    shown = _matrix(axes, table, when.to_numpy(float), map(str, when.columns))
    axes.set_title("return that remains without each brick, from steps in which", fontsize=9)
    below.colorbar(shown, ax=axes, label="share of the intact circuit's", fraction=0.05)
    for axes, layer in zip(np.atleast_1d(right.subplots(len(layers), 1, sharex=True)), layers, strict=True):
        rows = retrieval[retrieval["layer"] == layer]
        for colour, (label, curve) in zip(COLOURS, rows.groupby(["method", "score"], sort=False), strict=False):
            axes.plot(curve["q"], curve["mean"], "o-", color=colour, markersize=3, label=", ".join(label))
            axes.fill_between(curve["q"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
        axes.set_ylabel("return of an episode")
        axes.set_title(f"best bricks of {layer} kept at each step", fontsize=9)
        axes.set_xticks(sorted(set(rows["q"])))
        open_axes(axes)
    axes.set_xlabel("bricks kept")
    axes.legend(frameon=False, fontsize=7)
    return figure


def _matrix(
    axes: Axes, table: pd.DataFrame, values: Float[np.ndarray, "bricks columns"], columns: Iterable[str]
) -> AxesImage:
    """Draw shares from 0 to 1, a row for each brick, with a line between methods."""
    shown = axes.imshow(values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    for row in np.flatnonzero(table["method"].to_numpy()[1:] != table["method"].to_numpy()[:-1]):
        axes.axhline(row + 0.5, color="white", linewidth=2)
    axes.set_xticks(range(values.shape[1]), list(columns), rotation=90, fontsize=7)
    axes.set_yticks(range(len(table)), [f"{row.brick} ({row.size})" for row in table.itertuples()], fontsize=7)
    return shown


def merge_figure(
    shares: Sequence[float],
    returns: Mapping[str, Float[np.ndarray, "shares episodes"]],
    unmatched: Mapping[str, Float[np.ndarray, " episodes"]],
) -> Figure:
    """Draw the return, no unit, of mixtures of two runs on each body, with 95 % intervals over episodes.

    Args:
        shares: of the second run.
        returns: of the mixtures.
        unmatched: of the plain average, where units were matched.
    """
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    for colour, (body, each) in zip(COLOURS, returns.items(), strict=False):
        found = [bootstrap_mean(episodes) for episodes in each]
        axes.plot(shares, [value.mean for value in found], "o-", color=colour, label=f"on {body}")
        axes.fill_between(
            shares,
            [value.low for value in found],
            [value.high for value in found],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
        if body in unmatched:
            axes.plot(0.5, unmatched[body].mean(), "x", color=colour, label=f"on {body}, units not matched")
    axes.set(xlabel="share of the second run", ylabel="return of an episode (mean, 95 %)")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    open_axes(axes)
    return figure
