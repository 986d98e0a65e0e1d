"""Files that configs hold as their content, in place of a path, so that a run can be repeated from its config alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InvalidRun


def hold_graph(circuit: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a circuit's options with the content of its graph's file in place of the path; names stay names.

    Raises:
        CircuitMismatch: the file is no graph.
    """
    graph = _graph_of(options)
    if circuit != "connectome" or not isinstance(graph, str):
        return options
    from ...circuits.connectome.files import SUFFIXES, graph_json, load_graph

    if Path(graph).suffix.lower() not in SUFFIXES:
        return options
    return {**options, "graph": {"file": Path(graph).name, **graph_json(load_graph(graph))}}


def check_held(options: Any) -> None:
    """Refuse a stored circuit's options that name a graph's file: a run holds its content, and a stranger any name.

    Raises:
        InvalidRun: they name one.
    """
    graph = _graph_of(options)
    if not isinstance(graph, str):
        return
    from ...circuits.connectome.files import SUFFIXES

    if Path(graph).suffix.lower() in SUFFIXES:
        raise InvalidRun(f"the config names the file {graph!r} as its graph, where a run holds a graph's content")


def tell_graph(options: Any) -> Any:
    """Return a circuit's options with a graph's content in words: its file, size and the checksum of both tables."""
    graph = _graph_of(options)
    if not isinstance(graph, Mapping):
        return options
    tables = {name: graph.get(name, []) for name in ("cells", "contacts")}
    checksum = hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()[:8]
    sizes = ", ".join(f"{len(table)} {name}" for name, table in tables.items())
    return {**options, "graph": f"{graph.get('file', 'a graph')} ({sizes}, checksum {checksum})"}


def told_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config as JSON types to be read by people: code by its name, a graph by its file and size."""
    circuit = config["circuit"]
    if isinstance(circuit, Mapping):
        from ...circuits.code_files import code_from_json

        circuit = code_from_json(circuit).name
    return {**config, "circuit": circuit, "circuit_options": tell_graph(config["circuit_options"])}


def _graph_of(options: Any) -> Any:
    return options.get("graph") if isinstance(options, Mapping) else None
