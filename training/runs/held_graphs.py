"""Graphs that configs hold: a file's content in place of its path, so that the run can be repeated from it alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


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


def tell_graph(options: Any) -> Any:
    """Return a circuit's options with a graph's content in words: its file, size and the checksum of both tables."""
    graph = _graph_of(options)
    if not isinstance(graph, Mapping):
        return options
    tables = {name: graph.get(name, []) for name in ("cells", "contacts")}
    checksum = hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()[:8]
    sizes = ", ".join(f"{len(table)} {name}" for name, table in tables.items())
    return {**options, "graph": f"{graph.get('file', 'a graph')} ({sizes}, checksum {checksum})"}


def _graph_of(options: Any) -> Any:
    return options.get("graph") if isinstance(options, Mapping) else None
