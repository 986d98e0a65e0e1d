"""Figures that several pages share."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ..intervals import bootstrap_iqm
from .palette import ABOVE, BELOW, REST

COLOURS = ("#1f6feb", "#8b949e", "#d4a72c", "#2da44e", "#cf222e", "#8250df")
ACTIVITY_MAP = LinearSegmentedColormap.from_list("activity", [BELOW, REST, ABOVE])


def learning_curve(metrics: pd.DataFrame) -> Figure:
    """Draw the mean return of training episodes over environment steps, with the best member's."""
    figure = Figure(figsize=(8.0, 3.0), layout="constrained")
    axes = figure.subplots()
    names = {"rollout/ep_rew_mean": "mean", "rollout/ep_rew_best": "best of the population"}
    for colour, (metric, label) in zip(COLOURS, names.items(), strict=False):
        rows = metrics[metrics["metric"] == metric]
        if len(rows):
            axes.plot(rows["step"], rows["value"], color=colour, label=label)
    axes.set(xlabel="environment steps", ylabel="return of an episode")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    if axes.lines:  # weights that no training left have no curve
        axes.legend(frameon=False, loc="lower right")
    open_axes(axes)
    return figure


def transfer_bars(table: pd.DataFrame) -> Figure:
    """Draw the return on each body for each agent, with 95 % intervals."""
    bodies, agents = list(dict.fromkeys(table["body"])), list(dict.fromkeys(table["agent"]))
    across = max(6.0, 1.1 * len(bodies))
    figure = Figure(figsize=(across, 3.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(agents)
    for index, agent in enumerate(agents):
        rows = table[table["agent"] == agent].set_index("body").reindex(bodies)
        mean = rows["mean"].to_numpy(float)
        whiskers = np.abs(np.stack([mean - rows["low"], rows["high"] - mean]).astype(float))
        places = np.arange(len(bodies)) + (index - (len(agents) - 1) / 2) * width
        axes.bar(places, mean, 0.94 * width, yerr=np.nan_to_num(whiskers), color=COLOURS[index], label=agent,
                 error_kw={"linewidth": 1, "capsize": 2})  # fmt: skip
    # Letters of a page's own font are about a tenth of an inch wide.
    is_crowded = 0.1 * max(map(len, bodies)) > (across - 0.8) / len(bodies)
    slanted: dict[str, Any] = {"rotation": 20, "ha": "right", "rotation_mode": "anchor"} if is_crowded else {}
    axes.set_xticks(range(len(bodies)), bodies, **slanted)
    axes.set_ylabel("return of an episode")
    axes.legend(frameon=False, ncols=len(agents), loc="lower left", bbox_to_anchor=(0, 1))
    open_axes(axes)
    return figure


def ablation_bars(table: pd.DataFrame) -> Figure:
    """Draw the return without each part of a prior, before and after training, with 95 % intervals."""
    figure = Figure(figsize=(8.0, 0.42 * len(table) + 1.0), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(table))
    for offset, colour, stage in ((-0.19, COLOURS[1], "untrained"), (0.19, COLOURS[0], "trained")):
        value = table[stage].to_numpy(float)
        whiskers = np.abs(np.stack([value - table[f"{stage}_low"], table[f"{stage}_high"] - value]).astype(float))
        axes.barh(places + offset, value, 0.36, xerr=np.nan_to_num(whiskers), color=colour, label=stage,
                  error_kw={"linewidth": 1, "capsize": 2})  # fmt: skip
    axes.set_yticks(places, [f"{row.agent} ({row.weights})" for row in table.itertuples()])
    axes.invert_yaxis()
    axes.set_xlabel("return of an episode (IQM over seeds, 95 %); trained weights in brackets")
    axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    open_axes(axes)
    return figure


def figure_svg(figure: Figure) -> str:
    """Return a figure as an SVG element; equal figures give equal text."""
    # Two families and not matplotlib's eleven, whose names were a third of a figure full of text.
    families = ["DejaVu Sans", "Verdana"]
    with mpl.rc_context({
        "svg.fonttype": "none", "svg.hashsalt": "nervecord", "font.family": "sans-serif", "font.sans-serif": families,
    }):  # fmt: skip
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    # Without the XML declaration and indentation, and without a fixed size, so that the page can scale it.
    opening, rest = re.sub(r"\n +", "\n", svg[svg.index("<svg") :]).split(">", 1)
    return re.sub(r' (width|height)="[^"]*"', "", opening) + ">" + rest


def open_axes(axes: mpl.axes.Axes) -> None:
    """Take away the lines above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)


def stroke(index: int) -> tuple[str, str]:
    """Return colour and dashes of a line by its number: where colours come again, lines are dashed."""
    return COLOURS[index % len(COLOURS)], ("-", "--", ":", "-.")[index // len(COLOURS) % 4]


def curves(
    groups: Mapping[str, Sequence[tuple[Sequence[float], Sequence[float]]]],
    title: str,
    target: float | None = None,
    x: str = "environment steps",
    y: str = "return of an episode",
) -> Figure:
    """Draw learning curves: one thin line per seed and their mean, in one colour per group.

    Args:
        groups: for each label, (steps, values) of each seed.
        title: of the figure.
        target: a score to draw as a dashed line.
        x, y: labels of the axes.
    """
    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    axes = figure.subplots()
    for index, (label, seeds) in enumerate(groups.items()):
        colour, dashes = stroke(index)
        for steps, values in seeds:
            axes.plot(steps, values, dashes, color=colour, linewidth=0.7, alpha=0.5)
        # Seeds log at the same steps up to where the shortest ends.
        grid = np.linspace(max(steps[0] for steps, _ in seeds), min(steps[-1] for steps, _ in seeds), 200)
        mean = np.mean([np.interp(grid, steps, values) for steps, values in seeds], axis=0)
        axes.plot(grid, mean, dashes, color=colour, linewidth=2.2, label=f"{label} ({len(seeds)} seeds)")
    if target is not None:
        axes.axhline(target, color="#57606a", linestyle="--", linewidth=1, label=f"target {target:g}")
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    open_axes(axes)
    return figure


def interval_curves(groups: Mapping[str, Sequence[tuple[Sequence[float], Sequence[float]]]]) -> Figure:
    """Draw the interquartile mean of each group's learning curves, in a band of its 95 % bootstrap interval.

    Args:
        groups: for each label, (steps, returns) of each seed.
    """
    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    axes = figure.subplots()
    for index, (label, seeds) in enumerate(groups.items()):
        colour, dashes = stroke(index)
        grid = np.linspace(max(steps[0] for steps, _ in seeds), min(steps[-1] for steps, _ in seeds), 60)
        values = np.array([np.interp(grid, steps, returns) for steps, returns in seeds])
        found = [bootstrap_iqm(column) for column in values.T]
        means = [each.mean for each in found]
        axes.plot(grid, means, dashes, color=colour, linewidth=2, label=f"{label} (n = {len(seeds)})")
        if len(seeds) > 1:
            low, high = [each.low for each in found], [each.high for each in found]
            axes.fill_between(grid, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel="environment steps", ylabel="return of an episode (IQM, 95 %)")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    if len(groups) < 4:
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    else:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    open_axes(axes)
    return figure


def regret_curves(searches: pd.DataFrame) -> Figure:
    """Draw the regret of each searcher against the seconds that it used, in a band of its 95 % interval, by body.

    Args:
        searches: columns body, searcher, seconds, regret, regret_low95 and regret_high95.
    """
    bodies = list(dict.fromkeys(searches["body"]))
    across = min(len(bodies), 3)
    down = -(-len(bodies) // across)
    figure = Figure(figsize=(max(5.0, 3.2 * across), 2.6 * down + 0.4), layout="constrained")
    every = figure.subplots(down, across, squeeze=False).flat
    for axes, body in itertools.zip_longest(every, bodies):
        if body is None:
            axes.set_axis_off()
            continue
        of_body = searches[searches["body"] == body]
        for index, (name, rows) in enumerate(of_body.groupby("searcher", sort=False)):
            colour, dashes = stroke(index)
            axes.plot(rows["seconds"], rows["regret"], dashes, color=colour, linewidth=2, label=name)
            axes.fill_between(
                rows["seconds"], rows["regret_low95"], rows["regret_high95"], color=colour, alpha=0.2, linewidth=0
            )
        axes.set(xlabel="seconds of training", ylabel="test regret (return)", title=body, xscale="log")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        open_axes(axes)
    every[0].legend(frameon=False)
    return figure


def stability_map(stability: pd.DataFrame) -> Figure:
    """Draw Kendall's tau between bodies as a grid of colours and numbers; on the diagonal, between halves of the seeds.

    Args:
        stability: columns body, other and tau, each pair once.
    """
    bodies = list(dict.fromkeys(stability["body"]))
    values = np.full((len(bodies), len(bodies)), np.nan)
    figure = Figure(figsize=(1.0 * len(bodies) + 2.2, 0.8 * len(bodies) + 1.4), layout="constrained")
    axes = figure.subplots()
    for row in stability.itertuples():
        one, other = bodies.index(row.body), bodies.index(row.other)
        values[one, other] = values[other, one] = row.tau
        for x, y in {(one, other), (other, one)}:
            axes.text(x, y, f"{row.tau:.2f}", ha="center", va="center", fontsize=9)
    image = axes.imshow(values, cmap=ACTIVITY_MAP, vmin=-1, vmax=1)
    axes.set_xticks(range(len(bodies)), bodies, rotation=20, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(bodies)), bodies)
    figure.colorbar(image, ax=axes, label="Kendall's tau")
    return figure
