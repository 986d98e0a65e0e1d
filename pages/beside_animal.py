"""The section of a report that sets agents' behaviour beside what is published of the living animal, by medium."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from ..drawing.figures import figure_svg, open_axes
from ..envs import make_arena, make_body
from ..training.runs.result import Result
from ..training.runs.run import Run
from ..worm.behaviour import PUBLISHED, Published, published, verdict

_MEDIA = ("agar", "water")
_BANDS = {"agar": "#d4a72c", "water": "#1f6feb"}
_UNVERIFIED, _INK = "#8b949e", "#111111"
_ACROSS = 2  # charts side by side
_QUANTITIES = (
    "frequency", "wavelength", "curvature", "amplitude", "speed", "backward", "reversals", "omega_turns",
    "reorientations", "posture_modes", "chemotaxis_index",
)  # fmt: skip
_DOC = (
    "The probe behaviour beside published values of C. elegans. Grey: taken over from another's table or read off "
    "a figure, and not verified here. A value is judged only against the animal in the same medium."
)


def beside_animal(runs: Sequence[Run], found: Sequence[Mapping[str, Result]], names: Sequence[str]) -> dict[str, Any]:
    """Return the section: charts, a table and sources; empty where no run's behaviour is measured.

    Args:
        runs: of the report.
        found: of each, the results of its probes by name.
        names: of the runs.
    """
    probed = [each.get("behaviour") for each in found]
    measured = [each.numbers if each is not None and not each.missing else {} for each in probed]
    if not any(measured):
        return {}
    media = [published(medium_of_run(run)) for run in runs]
    quantities = [name for name in _QUANTITIES if any(name in numbers for numbers in measured)]
    own = [_run_cells(numbers, known, quantities) for numbers, (_, known) in zip(measured, media, strict=True)]
    rows = [
        [_title(measured, quantity), *(cells[quantity] for cells in own), *(_range(quantity, each) for each in _MEDIA)]
        for quantity in quantities
    ]
    sources = [
        f"{each.quantity.replace('_', ' ')}, {each.medium}: {'; '.join(filter(None, (each.source, each.note)))}"
        f"{'' if each.is_verified else ' (not verified)'}"
        for each in PUBLISHED if each.quantity in quantities
    ]  # fmt: skip
    cell = {
        "svg": figure_svg(_figure(quantities, measured, names)),
        "columns": ["quantity", *names, *(f"animal, {medium}" for medium in _MEDIA)],
        "groups": {"": rows},
        "words": [_medium_told(name, medium) for name, (medium, _) in zip(names, media, strict=True)],
        "more_words": sources,
        "more_title": f"{len(sources)} published values and their sources",
    }
    return {"title": "Beside the animal", "id": "beside-the-animal", "cells": [cell], "doc": _DOC}


def _medium_told(name: str, medium: str) -> str:
    if medium:
        return f"{name} moves in a medium like one of the animal's: {medium}."
    return f"{name} moves in another physics than any of the animal's media, so nothing is said of where it lies."


def _title(measured: Sequence[Mapping[str, Any]], quantity: str) -> str:
    unit = next(numbers[quantity]["unit"] for numbers in measured if quantity in numbers)
    return quantity.replace("_", " ") + (f" ({unit})" if unit else "")


def medium_of_run(run: Run) -> dict[str, Any]:
    """Return the fields of the medium around a run's body: its arena's, or the body's own."""
    config = run.resolved.config
    medium = make_arena(config.arena).medium or make_body(config.body).habitat
    return dataclasses.asdict(medium)


def _bounds(numbers: Mapping[str, Any], quantity: str) -> tuple[float, float, float]:
    """Return a value with the bounds of its interval, which are the value where it has none."""
    value = float(numbers[quantity]["value"])
    low, high = (numbers.get(f"{quantity}_{end}", {}).get("value") for end in ("low", "high"))
    return value, float(value if low is None else low), float(value if high is None else high)


def _run_cells(numbers: Mapping[str, Any], known: Sequence[Published], quantities: Sequence[str]) -> dict[str, Any]:
    """Return a run's cells: its value with its interval, and where it lies beside the animal in the same medium."""
    cells: dict[str, Any] = dict.fromkeys(quantities, "")
    for quantity in quantities:
        if quantity not in numbers or numbers[quantity]["value"] is None:
            continue
        value, low, high = _bounds(numbers, quantity)
        of_it = [each for each in known if each.quantity == quantity]
        text, ends = f"{value:.3g}", f"[{low:.3g}, {high:.3g}]"
        text += "" if ends == f"[{text}, {text}]" else f" {ends}"
        said = verdict(of_it, low, high)
        is_sure = said == verdict([each for each in of_it if each.is_verified], low, high)
        told = escape(f" {said}" if said else "") if is_sure else _grey(f" {said}")
        cells[quantity] = escape(text) + told
    return cells


def _range(quantity: str, medium: str) -> Markup:
    """Return the animal's values, what was read at its source first."""
    cells, known = [], [each for each in PUBLISHED if (each.quantity, each.medium) == (quantity, medium)]
    for each in sorted(known, key=lambda each: not each.is_verified):
        text = f"{each.low:.3g}" + (f" to {each.high:.3g}" if each.high > each.low else "")
        cells.append(escape(text) if each.is_verified else _grey(text))
    return Markup("; ").join(cells)


def _grey(text: str) -> Markup:
    return Markup('<span class="unverified">{}</span>').format(text)


def _figure(quantities: Sequence[str], measured: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Figure:
    """Draw each quantity as a chart: a dot with its interval for each run, a bar for the animal in each medium."""
    lines = [*names, "animal, agar", "animal, water"]
    high = -(-len(quantities) // _ACROSS)
    figure = Figure(figsize=(9.0, high * (0.55 + 0.24 * len(lines))), layout="constrained")
    axes = figure.subplots(high, _ACROSS, squeeze=False).ravel()
    for axis, quantity in zip(axes, quantities, strict=False):
        for line, numbers in enumerate(measured):
            if quantity not in numbers or numbers[quantity]["value"] is None:
                continue
            value, low, upper = _bounds(numbers, quantity)
            axis.plot([low, upper], [line, line], color=_INK, linewidth=2)
            axis.plot(value, line, "o", color=_INK, markersize=6)
        for line, medium in enumerate(_MEDIA, len(names)):
            for each in sorted(PUBLISHED, key=lambda each: each.is_verified):  # what is verified on top
                if (each.quantity, each.medium) == (quantity, medium):
                    colour = _BANDS[medium] if each.is_verified else _UNVERIFIED
                    ends = (each.low, each.high)
                    axis.plot(ends, [line, line], color=colour, linewidth=7, solid_capstyle="butt")
                    if each.low == each.high:
                        axis.plot(each.low, line, "D", color=colour, markersize=6)
        axis.set_yticks(range(len(lines)), lines)
        axis.set_ylim(len(lines) - 0.5, -0.5)
        axis.set_title(_title(measured, quantity), fontsize=10)
        axis.margins(x=0)
        left, right = min(axis.get_xlim()[0], 0), max(axis.get_xlim()[1], 0)
        span = right - left if axis.dataLim.x1 or axis.dataLim.x0 else 1.0  # all at 0
        axis.set_xlim(left - 0.04 * span, left + 1.06 * span)
        axis.grid(axis="x", alpha=0.25)
        open_axes(axis)
    for axis in axes[len(quantities) :]:
        axis.set_axis_off()
    return figure
