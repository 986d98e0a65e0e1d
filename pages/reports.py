"""The report: one self-contained page about a run, or about several side by side."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..circuits import Wiring
from ..drawing import draw_wiring
from ..drawing.figures import figure_svg, learning_curve, transfer_bars
from ..drawing.path_map import path_map
from ..envs import make_body
from ..errors import InvalidOption, NervecordError, OutputExists
from ..files import read_json, write_text
from ..options import PATH, PATH_OR_NONE, ListOf, checked
from ..training.learning.training import summary
from ..training.probes import PROBES, Subject, run_probe
from ..training.probes.probing import chosen, merged, probed
from ..training.rollouts.evaluation import evaluate_model
from ..training.rollouts.recorder import record, record_agent
from ..training.rollouts.recording import Recording
from ..training.rollouts.saved_models import SavedModel
from ..training.rollouts.watched import Watched
from ..training.runs.result import Result
from ..training.runs.results import interventions_told
from ..training.runs.run import A_RUN, Run, hint_unfinished
from ..training.studies.transfers import transfer_table, worst_and_mean
from ..version import __version__
from .beside_animal import beside_animal
from .page_data import learning_data, moments_data, render_page
from .tiles import interval_told, normalized, tiles_of

_VIEWS = {"2d": "seen from above", "3d": "in three dimensions", "neurons": "with its neurons"}
_BRICK_STUDIES = {
    "bricks": "parts of each hidden layer: what each is for, what remains without it, and how few are needed at once",
    "merge": "the return of mixtures of the two runs that this one was merged of",
}
_LONG = 8  # sentences that are shown at once; more are folded away


@checked(InvalidOption, runs=ListOf(A_RUN, "runs/a, runs/b"), out=PATH_OR_NONE)
def report(*runs: Run | str | Path, out: str | Path | None = None) -> Path:
    """Write one HTML page about runs; for a missing part, the page has the command that makes it.

    Args:
        runs: one run, or several to compare side by side.
        out: the page; by default report.html in the folder of the run.

    Raises:
        InvalidOption: there is no such run, it has no checkpoint yet, or `out` is missing for several runs.
        OutputExists: `out` exists and is not a report.
    """
    opened = [run if isinstance(run, Run) else Run(run) for run in runs]
    if not opened:
        raise InvalidOption("no run to report; give one or more")
    if len(opened) > 1 and out is None:
        raise InvalidOption("the page about several runs belongs to none of them; give --out, such as --out both.html")
    path = Path(out) if out is not None else opened[0].path / "report.html"
    if out is not None:
        _check_page(path, "report")
    names = _names(opened)
    facts = [summary(run) for run in opened]
    for run, fact in zip(opened, facts, strict=True):
        hint_unfinished(run, fact["steps"])
    found = [probed(run) for run in opened]
    both = list(zip(opened, found, strict=True))
    recordings = [_recorded(run) for run in opened]
    sections = [
        _side_by_side("Film", [_films(run) for run in opened], names),
        _paths(recordings, names),
        _side_by_side("Learning", [_learning(names, opened)]),
        _side_by_side("Transfer to bodies never seen in training", [_transfer(run) for run in opened], names),
        _side_by_side("Wiring", [_wiring(*each) for each in zip(opened, recordings, strict=True)], names),
        *(
            _side_by_side(
                name.replace("_", " ").capitalize(), [_probe(run, each.get(name), name) for run, each in both], names
            )
            | {"doc": PROBES[name].doc}
            for name in PROBES
            if name != "diagram" and any(name in each for each in found)
        ),
        *(_brick_study(name, opened, names) for name in _BRICK_STUDIES),
        beside_animal(opened, found, names),
        _numbers(names, both),
    ]
    unmeasured = [
        name for name in chosen(["all"])
        if not any(name in each and not run.results.is_stale(each[name]) for run, each in both)
    ]  # fmt: skip
    page = render_page(
        "report.html.j2",
        title=" and ".join(names),
        runs=[
            {"name": name, "lead": _lead(run, fact), "tiles": tiles_of(run, fact), "details": _details(run, fact)}
            for name, run, fact in zip(names, opened, facts, strict=True)
        ],
        sections=[section for section in sections if section],
        unmeasured=f"nervecord probe {opened[0].argument} --probes {' '.join(unmeasured)}" if unmeasured else "",
    )  # fmt: skip
    write_text(path, page + _mark("report"))
    return path


@checked(InvalidOption, runs=ListOf(A_RUN, "runs/a, runs/b"), out=PATH)
def gallery(*runs: Run | str | Path, out: str | Path = "gallery.html") -> Path:
    """Write a page about many runs: learning curves in one chart, and film and wiring diagram of each.

    Args:
        runs: one or more runs.
        out: the page.

    Raises:
        InvalidOption: there is no such run, or it has no checkpoint yet.
        OutputExists: `out` exists and is not a gallery.
    """
    opened = [run if isinstance(run, Run) else Run(run) for run in runs]
    if not opened:
        raise InvalidOption("no run to show; give one or more")
    path = Path(out)
    _check_page(path, "gallery")
    names = _names(opened)
    cards = []
    for name, run in zip(names, opened, strict=True):
        facts = summary(run)
        cards.append({"name": name, "lead": _lead(run, facts), "tiles": tiles_of(run, facts), "film": _films(run),
                      "wiring": _wiring(run, _recorded(run))})  # fmt: skip
    chart = learning_data({name: run.metrics() for name, run in zip(names, opened, strict=True)})
    write_text(path, render_page("gallery.html.j2", cards=cards, chart=chart) + _mark("gallery"))
    return path


def report_model(saved: SavedModel, name: str, out: str | Path, episodes: int = 20, progress: bool = False) -> Path:
    """Write a page about a model saved by SB3: its return, its movement, and the activity of its units.

    It is measured each time, because an SB3 .zip stores no results.

    Args:
        saved: the model with its environment settings.
        name: name of the model on the page.
        out: the page.
        episodes: number of episodes of the evaluation; the first is also recorded.
        progress: show progress bars.

    Raises:
        CircuitMismatch: the model has other observation or action spaces.
        InvalidOption: `episodes` is below 1.
        OutputExists: `out` exists and is not a report.
    """
    path = Path(out)
    _check_page(path, "report")
    found = evaluate_model(saved, episodes, progress)
    envs = saved.make_envs(1)
    try:
        agent = Watched(saved, envs)
        recording = record_agent(agent, envs, progress=progress)
        lead = f"{type(saved.model).__name__}, saved by SB3, to {saved.task} on {envs.body.name}"
    finally:
        envs.close()
    tiles = [{"value": f"{found.mean_return.mean:,.0f}", "label": f"return, {interval_told(found.mean_return)}"}]
    tiles += normalized(found.scale, found.mean_return)
    if "net_speed" in found.metrics:
        speed = f"{100 * found.intervals['net_speed'].mean:.1f} cm/s"
        tiles.append({"value": speed, "label": "net speed of the centre of mass"})
    shown, last = moments_data(recording)
    wiring = {"svg": figure_svg(draw_wiring(agent.wiring)), "moments": shown, "last": last}
    sections = [_paths([recording], [name]), _side_by_side("Wiring", [wiring], [name]),
                _gait(recording, agent.wiring, name)]  # fmt: skip
    details = {
        "task options": dict(saved.task_options), "observe_time": saved.observe_time, "frames": saved.frames,
        "episode_steps": len(recording.rewards[0]), "normalised": saved.statistics is not None, "report": __version__,
    }  # fmt: skip
    runs = [{"name": name, "lead": lead, "tiles": tiles, "details": json.dumps(details, indent=1)}]
    page = render_page("report.html.j2", title=name, runs=runs, sections=[each for each in sections if each],
                       unmeasured="")  # fmt: skip
    write_text(path, page + _mark("report"))
    return path


def _gait(recording: Recording, wiring: Wiring, name: str) -> dict[str, Any]:
    """Return the section of the gait, or why there is none."""
    try:
        found = run_probe("gait", Subject(recording.until_first_end(), wiring))
    except NervecordError as error:
        return _side_by_side("Gait", [{"missing": f"Could not be measured: {error}"}], [name])
    cell = {"svg": figure_svg(found.figure), "words": list(found.words)}
    return _side_by_side("Gait", [cell], [name]) | {"doc": PROBES["gait"].doc}


def _mark(command: str) -> str:
    """Return the last line of a page, by which the command that wrote it knows that it may write it anew."""
    return f"\n<!-- written by nervecord {command} -->\n"


def _check_page(path: Path, command: str) -> None:
    if path.exists() and not (path.is_file() and path.read_bytes().endswith(_mark(command).encode())):
        raise OutputExists(f"{path} exists and is not a page of nervecord {command}; give another --out")


def _names(runs: Sequence[Run]) -> list[str]:
    """Return the folders' names, or as much of their paths as tells them apart."""
    parts = [run.path.resolve().parts for run in runs]
    depth = 1
    while len({part[-depth:] for part in parts}) < len(parts) and depth < max(map(len, parts)):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]


def _lead(run: Run, facts: dict[str, Any]) -> str:
    config = run.config
    return (
        f"{config.circuit} trained by {config.algorithm} to {config.task} on {config.trained_on}, "
        f"seed {config.seed}, {facts['steps']:,} steps"
    )


def _details(run: Run, facts: dict[str, Any]) -> str:
    versions = read_json(run.path / "versions.json", f"{run.path} is incomplete")
    return json.dumps({"config": facts["config"], "versions": versions, "report": __version__}, indent=1)


def _interval(value: pd.Series) -> str:
    return "none" if pd.isna(value["low"]) else f"{value['low']:,.0f} to {value['high']:,.0f}"


def _side_by_side(title: str, cells: list[dict[str, Any]], names: Sequence[str] = ()) -> dict[str, Any]:
    """Return a section; with `names`, each cell is about the run of that name."""
    named = [{**cell, "run": name} for cell, name in zip(cells, names, strict=True)] if names else cells
    return {"title": title, "id": title.lower().replace(" ", "-"), "cells": named}


def _films(run: Run) -> dict[str, Any]:
    """Return the film of the agent as it is, on its own body, and then all others: other views, bodies and lesions."""
    results = run.results
    main = results.films(make_body(run.config.body).name).shown
    films = [] if main is None else [_film(run, main)]
    # Earlier versions, and exports, have no other than this name to tell what a film shows.
    named = run.path / "film.mp4"
    is_known = any(named.name in each.files for each in results)
    if main is None and not is_known and named.is_file() and not named.is_symlink():
        films = [_embedded(named, "film.mp4, which does not say of which weights it is")]
    command = f"nervecord render {run.argument} --out {shlex.quote(str(named))}"
    missing = "" if films else f"No film yet: {command}"
    others = [_film(run, each) for each in results.films() if each is not main]
    return {"films": films, "more_films": others, "missing": missing}


def _film(run: Run, film: Result) -> dict[str, str]:
    path = run.results.file(film, ".mp4")
    assert path is not None
    said = [f"{film.body}, {_VIEWS.get(film.name, film.name)}", interventions_told(film), run.results.told(film)]
    return _embedded(path, "; ".join(filter(None, said)))


def _embedded(path: Path, caption: str) -> dict[str, str]:
    data = base64.b64encode(path.read_bytes()).decode()
    return {"video": f"data:video/mp4;base64,{data}", "caption": caption}


def _learning(names: list[str], runs: Sequence[Run]) -> dict[str, Any]:
    metrics = {name: run.metrics() for name, run in zip(names, runs, strict=True)}
    return {
        "chart": learning_data(metrics),
        "curves": [figure_svg(learning_curve(each)) for each in metrics.values()],
    }


def _recorded(run: Run) -> Recording:
    """Return the best recording of a run's agent, or one made now."""
    results = run.results
    held = results.current.where("recording").best
    path = None if held is None else results.file(held, ".nc")
    return record(run, 1, physics="mujoco") if path is None else Recording.load(path)


def _wiring(run: Run, recording: Recording) -> dict[str, Any]:
    shown, last = moments_data(recording)
    return {"svg": figure_svg(draw_wiring(run.agent().circuit.wiring())), "moments": shown, "last": last}


def _paths(recordings: Sequence[Recording], names: Sequence[str]) -> dict[str, Any] | None:
    """Return the section of where bodies swam; None where nothing is around any of them."""
    each = [recording.poses().between(0, int(recording.lengths[0])) for recording in recordings]
    if not any(poses.scenery.layers or poses.obstacles or poses.target_pos is not None for poses in each):
        return None
    return _side_by_side("Path", [{"svg": figure_svg(path_map(poses))} for poses in each], names)


def _transfer(run: Run) -> dict[str, Any]:
    table = transfer_table(run)
    own = table["trained_on"].astype(bool)
    others = table[~own]
    if others.empty:
        return {"missing": f"No other body yet: nervecord transfer {run.argument}"}
    several = len(run.config.body_names) > 1
    known = []
    for _, row in table[own & (table["n"] > 0)].iterrows():
        about = f"{_interval(row)}{', ' if row['note'] else ''}{row['note']}"
        known.append(f"{row['agent']}{' on ' + row['body'] if several else ''} {row['mean']:,.0f} ({about})")
    columns = ["body", "agent", "return", "95 % interval", "of the best", "net speed (cm/s)", "success", "episodes"]
    rows = [_score(row) for _, row in pd.concat([others, worst_and_mean(others)]).iterrows()]
    if others["success"].isna().all():
        at = columns.index("success")
        columns, *rows = ([*each[:at], *each[at + 1 :]] for each in (columns, *rows))
    return {
        "svg": figure_svg(transfer_bars(others)),
        "columns": columns,
        "groups": {"": rows},
        "words": [
            f"For comparison, {', '.join(known)} on the {'bodies' if several else 'body'} of the training",
        ]
        if known
        else [],
    }


def _score(row: pd.Series) -> list[str]:
    found = ["does not fit", "", "", "", ""]
    if row["n"]:
        speed = "" if pd.isna(row["net_speed"]) else f"{100 * row['net_speed']:.1f}"
        normalized = "" if pd.isna(row["normalized"]) else f"{100 * row['normalized']:.1f} %"
        success = "" if pd.isna(row["success"]) else f"{100 * row['success']:.0f} %"
        found = [f"{row['mean']:,.0f}", _interval(row), normalized, speed, success]
    stale = f" ({row['note']})" if row["n"] and row["note"] else ""
    return [row["body"], f"{row['agent']}{stale}", *found, f"{row['n']:,}"]


def _probe(run: Run, found: Result | None, name: str) -> dict[str, Any]:
    if found is None:
        return {"missing": f"Not measured: --probes {name}"}
    results = run.results
    told = results.told(found)
    stale = [f"{told[:1].upper()}{told[1:]}."] if told else []
    if found.missing:
        return {"missing": f"Could not be measured: {found.missing}", "words": stale}
    figure = results.file(found, ".svg")
    words = [*stale, *found.words]
    svg = figure.read_text(encoding="utf-8") if figure else None
    return {"svg": svg, "words": words[:_LONG], "more_words": words[_LONG:]}


def _brick_study(name: str, runs: Sequence[Run], names: Sequence[str]) -> dict[str, Any] | None:
    """Return the section of bricks, or of a merge, where any run has it."""
    found = [run.results.where("probe", name).shown for run in runs]
    if not any(found):
        return None
    missing = {"missing": f"No {name} of this run"}
    cells = [_probe(run, each, name) if each else missing for run, each in zip(runs, found, strict=True)]
    return _side_by_side(name.capitalize(), cells, names) | {"doc": _BRICK_STUDIES[name]}


def _numbers(names: list[str], found: list[tuple[Run, dict[str, Result]]]) -> dict[str, Any] | None:
    """Return one table of every number of every probe, a column for each run."""
    groups = {}
    for name in PROBES:
        tables = [merged(each[name].numbers) if name in each else {} for _, each in found]
        rows = []
        for quantity in dict.fromkeys(quantity for table in tables for quantity in table):
            unit = next(table[quantity][1] for table in tables if quantity in table)
            rows.append([quantity, *(table[quantity][0] if quantity in table else "" for table in tables), unit])
        stale = [run.results.told(each[name]) if name in each else "" for run, each in found]
        if rows:
            groups[name.replace("_", " ")] = [*([["", *stale, ""]] if any(stale) else []), *rows]
    if not groups:
        return None
    columns = ["quantity", *(names if len(names) > 1 else ["value [95 % interval]"]), "unit"]
    folded = f"{sum(map(len, groups.values())):,} numbers of {len(groups)} probes"
    return _side_by_side("All numbers", [{"columns": columns, "groups": groups, "has_units": True, "folded": folded}])
