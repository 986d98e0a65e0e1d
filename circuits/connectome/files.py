"""Graphs by name, from files, and as the JSON that a config stores."""

from __future__ import annotations

import contextlib
import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import networkx as nx

from ...errors import CircuitMismatch, UnknownName
from ..contract import Role, Side
from .graph import Cell, Contact, Graph, ladder
from .toolbox import cook2019

SUFFIXES = (".graphml", ".csv")
_NAMES = ("ladder", "cook2019", "cook2019-whole")
_KINDS = ("chemical", "electrical")
_CELL = ("name", "class", "role", "position", "side")
_REST = "beyond the columns"
_CONTACT = ("pre", "post", "count", "sign", "kind")


def load_graph(source: str | Mapping[str, Any]) -> Graph:
    """Return a graph from its name, a file, or the output of `graph_json`.

    Args:
        source: "ladder", "cook2019" or "cook2019-whole" (see `nervecord.circuits.connectome.toolbox`), a GraphML file,
            a CSV file of contacts with NAME.cells.csv beside it, or a file's content as JSON.

    Raises:
        UnknownName: `source` is neither a known name nor a file.
        MissingDependency: cect, which has the published connectome, is not installed.
        CircuitMismatch: the file is not a valid graph, or the graph is not connected.
    """
    if isinstance(source, Mapping):
        return _from_json(source)
    if source == "ladder":
        return ladder()
    if source in ("cook2019", "cook2019-whole"):
        return cook2019(whole=source == "cook2019-whole")
    path = Path(source)
    if path.suffix.lower() == ".graphml":
        return _whole(read_graphml(path), path)
    if path.suffix.lower() == ".csv":
        beside = [path.with_suffix(suffix) for suffix in (".cells.csv", f".cells{path.suffix}", ".CELLS.CSV")]
        return _whole(read_csv(path, next((file for file in beside if file.exists()), beside[0])), path)
    raise UnknownName("graph", source, (*_NAMES, "FILE.graphml", "FILE.csv"))


def graph_json(graph: Graph) -> dict[str, Any]:
    """Return a graph as JSON types, cells and contacts with the columns of `read_csv`; `load_graph` takes it back."""
    cells = [(c.name, c.kind, c.role, c.position, c.side) for c in graph.cells]
    contacts = [(c.pre, c.post, c.count, c.sign, _KINDS[c.is_electrical]) for c in graph.contacts]
    return {
        "cells": [dict(zip(_CELL, cell, strict=True)) for cell in cells],
        "contacts": [dict(zip(_CONTACT, contact, strict=True)) for contact in contacts],
    }


def read_csv(contacts: str | Path, cells: str | Path) -> Graph:
    """Read a graph from two tables in UTF-8, separated by commas.

    Args:
        contacts: columns pre, post, count, sign (1 or -1; a gap junction needs none) and kind (chemical or
            electrical); each contact in one row, a gap junction in one direction or, as the published tables have it,
            in both with the same count.
        cells: columns name, class, role, position (0 nose to 1 tail) and side (d, v or empty).

    Raises:
        CircuitMismatch: a file cannot be read, a column is missing, a value is no number, a kind is unknown, a
            contact occurs twice, or what `Graph` refuses.
    """
    rows = _rows(contacts, _CONTACT)
    cell_rows = _rows(cells, _CELL)
    with _naming(cells):
        found = [_cell(row) for row in cell_rows]
    with _naming(contacts):
        return _graph(found, map(_contact, rows))


def read_graphml(path: str | Path) -> Graph:
    """Read a graph from GraphML, whose nodes and edges have the columns of `read_csv` as attributes.

    A cell's name is the attribute `name` (igraph), or else `label` (Gephi, and yEd's label of the node), or else the
    node's id.

    Raises:
        CircuitMismatch: the file cannot be read, an attribute is missing, two nodes have one id or name, some have a
            name and others none, chemical contacts have no direction, or what `read_csv` refuses.
    """
    try:
        nodes = [str(node.get("id")) for node in ElementTree.parse(path).getroot().findall("{*}graph/{*}node")]
        if len(set(nodes)) < len(nodes):
            twice = next(name for name in nodes if nodes.count(name) > 1)
            raise CircuitMismatch(f"{path}: node {twice!r} is there {nodes.count(twice)} times; give each its own id")
        held = nx.read_graphml(path)
        with _naming(path):
            names = _node_names(held)
        cells = [{**of, "name": names[node], "class": of["class"], "role": of["role"], "position": of["position"]}
                 for node, of in held.nodes(data=True)]  # fmt: skip
        contacts = [{"sign": "", **of, "pre": names[a], "post": names[b], "count": of["count"], "kind": of["kind"]}
                    for a, b, of in held.edges(data=True)]  # fmt: skip
    except (OSError, ValueError, TypeError, ArithmeticError, LookupError, nx.NetworkXError, SyntaxError) as error:
        raise CircuitMismatch(
            f"{path} cannot be read as GraphML ({type(error).__name__}: {error}); nodes need class, role, position and "
            "side, edges count, sign and kind"
        ) from error
    with _naming(path):
        graph = _graph(map(_cell, cells), map(_contact, contacts))
        chemical = [contact for contact in graph.contacts if not contact.is_electrical]
        if chemical and not held.is_directed():
            one = f"{chemical[0].pre} - {chemical[0].post}"
            raise CircuitMismatch(
                f'the graph is undirected, and chemical contact {one} needs a direction; write edgedefault="directed"'
            )
        return graph


def _node_names(graph: nx.Graph) -> dict[str, str]:
    """Return each node's name by its id, which programs that draw or analyse graphs number as n0, n1 and so on."""
    for attribute in ("name", "label"):
        names = {node: str(of.get(attribute, "")).strip() for node, of in graph.nodes(data=True)}
        if not any(names.values()):
            continue
        if unnamed := [node for node, name in names.items() if not name]:
            raise CircuitMismatch(
                f"node {unnamed[0]!r} has no {attribute}, and others have one; give every node its {attribute}, or "
                "none, which takes the ids"
            )
        if repeated := [name for name, count in Counter(names.values()).items() if count > 1]:
            raise CircuitMismatch(
                f"several nodes have the {attribute} {repeated[0]!r}; give each its own, or remove the attribute, "
                "which takes the ids"
            )
        return names
    return {node: str(node) for node in graph.nodes}


def _from_json(held: Mapping[str, Any]) -> Graph:
    try:
        return _graph([_cell(row) for row in held["cells"]], [_contact(row) for row in held["contacts"]])
    except (KeyError, TypeError, AttributeError) as error:
        raise CircuitMismatch(
            f"the graph that the config holds is damaged ({type(error).__name__}: {error}); give cells of "
            f"{', '.join(_CELL)} and contacts of {', '.join(_CONTACT)}"
        ) from error


def _cell(row: Mapping[str, Any]) -> Cell:
    position = _number(row["position"], f"position of cell {row['name']}")
    # What they may be is `Graph`'s to check.
    role, side = cast(Role, str(row["role"])), cast(Side | None, str(row.get("side") or "") or None)
    return Cell(str(row["name"]), str(row["class"]), role, position, side)


def _contact(row: Mapping[str, Any]) -> Contact:
    where = f"contact {row['pre']} -> {row['post']}"
    if row["kind"] not in _KINDS:
        raise UnknownName(f"kind of {where}", str(row["kind"]), _KINDS)
    is_electrical = row["kind"] == "electrical"
    text = str(row["sign"])
    if not text and not is_electrical:
        raise CircuitMismatch(f"{where} has no sign; give 1 (excites) or -1 (inhibits)")
    sign = _number(text, f"sign of {where}") if text else 1.0
    if sign not in (1, -1):
        raise CircuitMismatch(f"{where} has sign {text}; give 1 (excites) or -1 (inhibits)")
    count = _number(row["count"], f"count of {where}")
    return Contact(str(row["pre"]), str(row["post"]), count, int(sign), is_electrical)


def _graph(cells: Iterable[Cell], contacts: Iterable[Contact]) -> Graph:
    """Return the graph of what was read; what is written twice is a mistake, where a rewired graph may have it."""
    found: dict[tuple[str, str, bool], Contact] = {}
    for contact in contacts:
        pre, post, is_electrical = key = (contact.pre, contact.post, contact.is_electrical)
        if key in found:
            what = f"gap junction {pre} - {post}" if is_electrical else f"contact {pre} -> {post}"
            advice = "in this direction" if is_electrical else "with all synapses and one sign"
            raise CircuitMismatch(f"{what} occurs twice; give it one row {advice}")
        # Published tables list a gap junction from both of its cells; it is one junction all the same.
        back = found.get((post, pre, True)) if is_electrical else None
        if back is None or contact.sign != back.sign:  # the one that is not 1 is `Graph`'s to refuse
            found[key] = contact
        elif contact.count != back.count:
            raise CircuitMismatch(
                f"gap junction {pre} - {post} has count {contact.count:g} in this direction and {back.count:g} in the "
                "other; give one count, which is of the junction and not of each side"
            )
    return Graph(tuple(cells), tuple(found.values()))


def _whole(graph: Graph, path: Path) -> Graph:
    """Return a graph that is of one part; what nothing joins to the rest is a mistake in most files."""
    _, *others = graph.parts()
    if others:
        apart = sorted(others[0])
        named = ", ".join(apart[:3]) + (f" and {len(apart) - 3} more" if len(apart) > 3 else "")
        raise CircuitMismatch(
            f"{path} is of {len(others) + 1} unconnected parts: {named} {'are' if len(apart) > 1 else 'is'} cut "
            "off; add their contacts, or remove the cells"
        )
    return graph


@contextlib.contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Let what is wrong of a graph name the file that it was read from."""
    try:
        yield
    except (CircuitMismatch, UnknownName) as error:
        raise CircuitMismatch(f"{path}: {error}") from error


def _rows(path: str | Path, columns: Iterable[str]) -> list[dict[str, str]]:
    try:
        # Excel begins UTF-8 files with a byte order mark, which utf-8-sig leaves out.
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey=_REST)
            read: list[dict[str, Any]] = list(reader)
            held = reader.fieldnames or []
    except OSError as error:
        raise CircuitMismatch(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CircuitMismatch(f"{path} is not UTF-8 text ({error.reason}); save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise CircuitMismatch(f"{path} cannot be read as CSV: {error}") from error
    if missing := [column for column in columns if column not in held]:
        raise CircuitMismatch(
            f"{path} has no column {missing[0]!r}; it needs {', '.join(columns)}, separated by commas, and has "
            f"{', '.join(map(repr, held))[:200] or 'none'}"
        )
    for number, row in enumerate(read, 1):
        if any(row.pop(_REST, ())):
            raise CircuitMismatch(f"{path}: row {number} has more fields than columns; quote a name that has a comma")
    return [{key: (value or "").strip() for key, value in row.items() if key} for row in read]


def _number(value: object, what: str) -> float:
    try:
        return float(str(value))
    except ValueError as error:
        raise CircuitMismatch(f"{what} is {value!r}, which is not a number") from error
