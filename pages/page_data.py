"""What a page's script shows: curves, and the neurons and the body moment by moment."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from ..drawing.palette import ABOVE, BELOW, LETTERS, REST
from ..files import json_text
from ..training.rollouts.recording import Recording
from .svg import embedded_svg

_POINTS = 400  # of a curve; more are thinned
_MOMENTS = 300  # control steps
_SPAN = 100.0  # the body's length as drawn
# What each page's own script is made of, after page.js.
_SCRIPTS = {"play.html.j2": ("live", "play"), "web.html.j2": ("live", "chain", "circuits", "web")}
_CURVES = {"rollout/ep_rew_mean": "mean", "rollout/ep_rew_best": "best of the population"}


def render_page(template: str, **values: Any) -> str:
    """Fill a template; the page carries its style and its script with it."""
    own = resources.files(__package__) / "static"
    activity = f"--above: {ABOVE}; --below: {BELOW}; --rest: {REST}; --letters: {LETTERS};"
    style = f":root {{ {activity} }}\n{(own / 'page.css').read_text(encoding='utf-8')}"
    scripts = [(own / f"{name}.js").read_text(encoding="utf-8") for name in ("page", *_SCRIPTS.get(template, ()))]
    environment = jinja2.Environment(loader=jinja2.PackageLoader(__package__), autoescape=True)
    numbers = itertools.count()
    environment.filters["figure"] = lambda svg, label: embedded_svg(svg, f"figure{next(numbers)}", label)
    return environment.get_template(template).render(style=style, scripts=scripts, policy=_policy(*scripts), **values)


def _policy(*scripts: str) -> str:
    """Return what a browser lets a page do: run these scripts, show what lies in the page, and nothing else."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


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
    return script_json(
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
    shown = script_json(
        {
            "names": list(recording.neurons), "steps": steps, "dt": recording.dt, "span": _SPAN,
            "activity": base64.b64encode(levels.tobytes()).decode(), "body": body.tolist(),
        }
    )  # fmt: skip
    return shown, steps - 1


def script_json(value: Any) -> str:
    """Return JSON that may stand inside a script element."""
    return json_text(value, indent=None).replace("<", "\\u003c")
