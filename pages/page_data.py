"""What a page's script shows: curves, and the neurons and the body moment by moment."""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from ..drawing.palette import ABOVE, BELOW, LETTERS, REST
from ..files import json_text
from ..training.rollouts.recording import Recording

_POINTS = 400  # of a curve; more are thinned
_MOMENTS = 300  # control steps
_SPAN = 100.0  # the body's length as drawn
_PIXELS = 4 / 3  # of a page, to a point of a figure
# By which a page finds its own colours for what a figure draws in black, grey and white.
_PAINT = re.compile(r"\b(fill|stroke): (#[0-9a-f]{6})\b")
_INK = 0.16  # the lightness of a page's ink on white
_CURVES = {"rollout/ep_rew_mean": "mean", "rollout/ep_rew_best": "best of the population"}


def render_page(template: str, **values: Any) -> str:
    """Fill a template; the page carries its style and its script with it."""
    own = resources.files(__package__) / "static"
    files = {"style": "page.css", "script": "page.js", "play": "play.js"}
    carried = {name: (own / file).read_text(encoding="utf-8") for name, file in files.items()}
    activity = f"--above: {ABOVE}; --below: {BELOW}; --rest: {REST}; --letters: {LETTERS};"
    carried["style"] = f":root {{ {activity} }}\n{carried['style']}"
    environment = jinja2.Environment(loader=jinja2.PackageLoader(__package__), autoescape=True)
    numbers = itertools.count()
    environment.filters["figure"] = lambda svg, label: embedded_svg(svg, f"figure{next(numbers)}", label)
    return environment.get_template(template).render(**carried, **values)


def embedded_svg(svg: str, prefix: str, label: str) -> Markup:
    """Return a figure to stand among others in a page: named for who cannot see it, its neurons found by `data-neuron`.

    It is as large as it was drawn, so that letters of all figures have one size: on a narrow page it shrinks by a
    quarter and then scrolls. Its black, grey and white are the page's, light or dark.

    matplotlib gives the same ids to the parts of every figure: those that are referred to are kept, behind the
    prefix.
    """
    # Rules in a figure are the whole page's; these are in the page's own style.
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    wanted = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))

    def own(found: re.Match[str]) -> str:
        name = found[1]
        if name.startswith("neuron "):
            return f' data-neuron="{name.removeprefix("neuron ")}"'
        return f' id="{prefix}-{name}"' if name in wanted else ""

    svg = re.sub(r' id="([^"]*)"', own, svg)
    svg = re.sub(r'(href="|url\()#', rf"\g<1>#{prefix}-", svg)
    svg = re.sub(r"<text[^>]*>", lambda text: _painted(text[0], least=0.75), svg)
    # Behind a figure is the page, with the shadow that says that there is more.
    svg = _painted(re.sub(r"(<path[^>]*fill: )#ffffff", r"\1none", svg))
    width = _PIXELS * float(svg.split('viewBox="', 1)[1].split()[2])
    # Where its neurons can be reached, it is not one image.
    role = "group" if "data-neuron" in svg else "img"
    size = f"min-width: {0.75 * width:.0f}px; max-width: {width:.0f}px"
    return Markup(svg.replace("<svg ", f'<svg role="{role}" aria-label="{escape(label)}" style="{size}" ', 1))


def _painted(svg: str, least: float = 0.0) -> str:
    """Return a figure with mixtures of the page's ink and paper for its neutral colours, of so much ink at least."""

    def paint(found: re.Match[str]) -> str:
        channels = [int(found[2][start : start + 2], 16) for start in (1, 3, 5)]
        # What neurons are filled and named with is the same in the light and in the dark.
        if found[2] in (LETTERS, REST) or max(channels) - min(channels) > 24:
            return found[0]
        ink = min((1 - sum(channels) / 765) / (1 - _INK), 1)
        return f"{found[1]}: color-mix(in srgb, var(--ink) {max(ink, least):.0%}, var(--page))"

    return _PAINT.sub(paint, svg)


def learning_data(metrics: Mapping[str, pd.DataFrame]) -> str:
    """Return the learning curves of runs, by their names, as JSON for a chart."""
    lines = []
    for run, (name, table) in enumerate(metrics.items()):
        for kind, (metric, label) in enumerate(_CURVES.items()):
            rows = table[(table["metric"] == metric) & np.isfinite(table["value"])]
            if len(rows):
                kept = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, _POINTS).astype(int))]
                values = [float(f"{value:.6g}") for value in kept["value"]]
                of = f"{name}, {label}" if len(metrics) > 1 else label
                steps = [int(step) for step in kept["step"]]
                lines.append({"label": of, "run": run, "kind": kind, "x": steps, "y": values})
    return _json(
        {"lines": lines, "kinds": len(_CURVES), "xlabel": "environment steps", "ylabel": "return of an episode"}
    )


def moments_data(recording: Recording) -> tuple[str, int]:
    """Return the neurons and the body of a recording's first episode, moment by moment, and the last step's number.

    Each neuron's activity is a byte, of its greatest size in what is shown; the body is a line from nose to
    tail around the centre of mass.
    """
    steps = min(_MOMENTS, recording.n_steps)
    activity = np.nan_to_num(np.asarray(recording.activity[0, :steps], float))
    levels = np.round(127 * activity / np.abs(activity).max(0).clip(1e-9)).astype(np.int8)
    lengths = np.asarray(recording.meta["link_length"], float)
    centres, angles = (
        np.asarray(recording.link_pos[0, :steps], float),
        np.asarray(recording.link_angle[0, :steps], float),
    )
    half = 0.5 * lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)
    line = np.concatenate([(centres + half)[:, :1], centres - half], 1)
    line = (line - np.asarray(recording.com_pos[0, :steps], float)[:, None]) * _SPAN / lengths.sum()
    # The page's y axis points down.
    body = np.round(line * (1, -1), 1)
    shown = _json(
        {
            "names": list(recording.neurons), "steps": steps, "dt": recording.dt, "span": _SPAN,
            "activity": base64.b64encode(levels.tobytes()).decode(), "body": body.tolist(),
        }
    )  # fmt: skip
    return shown, steps - 1


def _json(value: Any) -> str:
    """Return JSON that may stand inside a script element."""
    return json_text(value, indent=None).replace("<", "\\u003c")
