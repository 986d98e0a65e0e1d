"""The report: one self-contained page about a run."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jinja2

from .. import __version__
from ..envs import make_body
from .figures import figure_svg, learning_curve, transfer_bars
from .folder import read_json, write_text
from .probes import draw_wiring
from .run import Run
from .train import summary
from .transfer import transfer_table


def report(run: Run | str | Path) -> Path:
    """Write report.html into the run from what it holds; what is missing is named with its command.

    Raises:
        InvalidRun: there is no such run, or nothing trained in it yet.
    """
    run = run if isinstance(run, Run) else Run(run)
    facts = summary(run)
    sections = [
        _film(run),
        {"title": "Learning", "svg": figure_svg(learning_curve(run.metrics()))},
        _transfer(run),
        _gait(run),
        {"title": "Wiring", "svg": figure_svg(draw_wiring(run.policy().circuit.wiring()))},
    ]
    versions = read_json(run.path / "versions.json", f"{run.path} is incomplete")
    loader = jinja2.PackageLoader("nervecord.training", ".")
    page = jinja2.Environment(loader=loader, autoescape=True).get_template("report.html.j2").render(
        name=run.path.name,
        config=run.config,
        body=make_body(run.config.body).name,
        steps=facts["steps"],
        tiles=_tiles(run, facts),
        sections=sections,
        details=json.dumps({"config": facts["config"], "versions": versions, "report": __version__}, indent=1),
    )  # fmt: skip
    path = run.path / "report.html"
    write_text(path, page)
    return path


def _tiles(run: Run, facts: dict[str, Any]) -> list[dict[str, str]]:
    tiles = [{"value": str(facts["weights"]), "label": "trained weights"}]
    path = run.path / "evaluation.json"
    if path.exists():
        found = read_json(path, f"{run.path} is damaged")
        value, speed = found["return"], found["net_speed"]
        tiles += [
            {
                "value": f"{value['mean']:.0f}",
                "label": f"return, 95 % interval {value['low']:.0f} to {value['high']:.0f}, {value['n']} episodes",
            },
            {"value": f"{100 * speed['mean']:.1f} cm/s", "label": "net speed of the centre of mass"},
        ]
    return tiles


def _film(run: Run) -> dict[str, Any]:
    films = sorted(run.path.glob("*.mp4"))
    if not films:
        return {
            "title": "Film",
            "missing": f"none yet: nervecord render {run.path} --out {run.path}/film.mp4",
        }
    data = base64.b64encode(films[0].read_bytes()).decode()
    return {"title": "Film", "video": f"data:video/mp4;base64,{data}"}


def _transfer(run: Run) -> dict[str, Any]:
    title = "Transfer to bodies never seen in training"
    table = transfer_table(run)
    if table.empty:
        return {"title": title, "missing": f"none yet: nervecord transfer {run.path}"}
    rows = []
    for _, row in table.iterrows():
        found = ["does not fit", "", ""]
        if row["n"]:
            interval = f"{row['low']:.0f} to {row['high']:.0f}"
            found = [f"{row['mean']:.0f}", interval, f"{100 * row['net_speed']:.1f}"]
        rows.append([row["body"], row["agent"], *found, int(row["n"])])
    columns = ["body", "agent", "return", "95 % interval", "net speed (cm/s)", "episodes"]
    return {"title": title, "svg": figure_svg(transfer_bars(table)), "columns": columns, "rows": rows}


def _gait(run: Run) -> dict[str, Any]:
    numbers, figure = run.path / "probes" / "gait.json", run.path / "probes" / "gait.svg"
    if not numbers.exists() or not figure.exists():
        return {"title": "Gait", "missing": f"none yet: nervecord probe {run.path} --probes gait"}
    found = read_json(numbers, f"{run.path} is damaged")
    names = [name for name in found if not name.endswith(("_low", "_high"))]
    rows = []
    for name in names:
        low, high = found.get(f"{name}_low"), found.get(f"{name}_high")
        interval = f"{low['value']:.3g} to {high['value']:.3g}" if low and high else ""
        rows.append([name.replace("_", " "), f"{found[name]['value']:.3g}", interval, found[name]["unit"]])
    return {
        "title": "Gait",
        "svg": figure.read_text(),
        "columns": ["", "mean", "95 % interval", "unit"],
        "rows": rows,
    }
