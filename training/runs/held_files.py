"""Files that configs hold as their content, in place of a path, so that a run can be repeated from its config alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...envs.deficits import Deficit
from ...envs.tasks.registry import task_class
from ...errors import InvalidRun


def hold_files(circuit: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a circuit's options with the content of its graph's or plan's file in place of the path.

    Names stay names. Parts of a plan hold their files too.

    Raises:
        CircuitMismatch: the file is no graph, or no plan.
        UnknownName: it is no file, and no name of a plan.
    """
    if circuit == "compose" and "plan" in options:
        return {**options, "plan": _held_plan(options["plan"])}
    graph = _named(options, "graph")
    if circuit != "connectome" or not isinstance(graph, str):
        return options
    from ...circuits.connectome.files import SUFFIXES, graph_json, load_graph

    if Path(graph).suffix.lower() not in SUFFIXES:
        return options
    return {**options, "graph": {"file": Path(graph).name, **graph_json(load_graph(graph))}}


def hold_task_files(task: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a task's options with the content of files in place of their paths.

    Raises:
        InvalidRecording: a file cannot be read.
    """
    held = {name: read(options[name]) for name, read in task_class(task).files.items() if _is_path(options.get(name))}
    return {**options, **held}


def check_held_of_task(task: str, options: Any) -> None:
    """Refuse a stored task's options that name a file: a run holds its content, and a stranger any name.

    Raises:
        InvalidRun: they name one.
    """
    for name in task_class(task).files:
        if _is_path(held := _named(options, name)):
            raise InvalidRun(f"the config names the file {held!r} as its {name}, where a run holds a {name}'s content")


def tell_task_files(task: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's options with the content of files in words: a name, and a checksum of the content."""
    told = dict(options)
    for name in task_class(task).files:
        if isinstance(held := told.get(name), Mapping):
            told[name] = f"{held.get('file', f'a {name}')} (checksum {_checksum(held)})"
    return told


def check_held(options: Any) -> None:
    """Refuse a stored circuit's options that name a file: a run holds its content, and a stranger any name.

    Raises:
        InvalidRun: they name one.
    """
    plan = _named(options, "plan")
    if isinstance(plan, Mapping) and isinstance(plan.get("parts"), Mapping):
        for part in plan["parts"].values():
            check_held(_named(part, "options"))
    for name, what in (("graph", "graph's"), ("plan", "plan's")):
        held = _named(options, name)
        if isinstance(held, str) and Path(held).suffix.lower() in _suffixes(name):
            raise InvalidRun(f"the config names the file {held!r} as its {name}, where a run holds a {what} content")


def tell_files(options: Any) -> Any:
    """Return a circuit's options with the content of files in words: a graph by its size, a plan by its parts."""
    plan = _named(options, "plan")
    if isinstance(plan, Mapping):
        from ...circuits.plans import plan_in_words

        return {**options, "plan": plan_in_words(plan)}
    graph = _named(options, "graph")
    if not isinstance(graph, Mapping):
        return options
    tables = {name: graph.get(name, []) for name in ("cells", "contacts")}
    sizes = ", ".join(f"{len(table)} {name}" for name, table in tables.items())
    return {**options, "graph": f"{graph.get('file', 'a graph')} ({sizes}, checksum {_checksum(tables)})"}


def told_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config as JSON types to be read by people: code by its name, a graph by its file and size."""
    circuit = config["circuit"]
    if isinstance(circuit, Mapping):
        from ...circuits.code_files import code_from_json

        circuit = code_from_json(circuit).name
    told = {**config, "circuit": circuit, "circuit_options": tell_files(config["circuit_options"])}
    if "task_options" in config:  # those of a curriculum are of no body
        told["task_options"] = tell_task_files(config["task"], config["task_options"])
        told["deficits"] = [str(Deficit.of(deficit)) for deficit in config["deficits"]]
    return told


def _held_plan(plan: Any) -> Any:
    """Return a plan's content, with that of its parts' files; a name stays a name."""
    from ...circuits.plans import PLANS, read_plan

    if isinstance(plan, str) and plan in PLANS:
        return plan
    held = dict(read_plan(plan))
    parts = {
        name: {**part, "options": hold_files(part["circuit"], part["options"])} if "options" in part else dict(part)
        for name, part in held["parts"].items()
    }
    return {**held, "parts": parts, "wires": [dict(wire) for wire in held["wires"]]}


def _suffixes(name: str) -> tuple[str, ...]:
    if name == "plan":
        from ...circuits.plans import SUFFIX

        return (SUFFIX,)
    from ...circuits.connectome.files import SUFFIXES

    return tuple(SUFFIXES)


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def _named(table: Any, name: str) -> Any:
    return table.get(name) if isinstance(table, Mapping) else None
