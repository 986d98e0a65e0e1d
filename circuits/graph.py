"""A nervous system as a graph: named cells, signed and counted synapses, from a file or built by rule."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import networkx as nx
import numpy as np

from ..errors import CircuitMismatch, UnknownName
from .circuit import Role, Side

Control = Literal["none", "rewired", "signs", "random"]
_KINDS = ("chemical", "electrical")
_SIGNS = {"1": 1, "+1": 1, "1.0": 1, "-1": -1, "-1.0": -1}  # as tables have them
_SWAPS = 10  # per synapse, after which a rewired graph has forgotten what it was


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell of a graph.

    Attributes:
        name: unique, such as DB3.
        kind: its class, such as DB.
        role: sensor, inter, motor or muscle.
        position: place along the body, 0 at the nose and 1 at the tail.
        side: of a muscle, d or v; None where it has none.
    """

    name: str
    kind: str
    role: Role
    position: float
    side: Side | None = None


@dataclasses.dataclass(frozen=True)
class Contact:
    """All synapses of one kind from one cell to another.

    Attributes:
        pre, post: names of the cells; of a gap junction either way round.
        count: number of synapses, above 0.
        sign: +1 excites, -1 inhibits; gap junctions have +1.
        is_electrical: a gap junction.
    """

    pre: str
    post: str
    count: float
    sign: int
    is_electrical: bool = False


@dataclasses.dataclass(frozen=True)
class Graph:
    """Cells and their contacts.

    Raises:
        CircuitMismatch: names that are not unique or unknown, contacts without sign or count, no muscles on a
            side, or muscles that nothing reaches.
    """

    cells: tuple[Cell, ...]
    contacts: tuple[Contact, ...]

    def __post_init__(self) -> None:
        counted = Counter(cell.name for cell in self.cells)
        if repeated := [name for name, count in counted.items() if count > 1]:
            raise CircuitMismatch(f"cell {repeated[0]!r} is there {counted[repeated[0]]} times; give each its own name")
        for cell in self.cells:
            if cell.role not in get_args(Role):
                raise UnknownName(f"role of cell {cell.name}", cell.role, get_args(Role))
            if not 0 <= cell.position <= 1:
                raise CircuitMismatch(
                    f"cell {cell.name} lies at {cell.position}; give 0 (nose) to 1 (tail), as a share of the body"
                )
            if cell.side not in (*get_args(Side), None) or (cell.role == "muscle" and cell.side is None):
                raise CircuitMismatch(f"cell {cell.name} has side {cell.side!r}; give d or v, which muscles must have")
        for contact in self.contacts:
            for name in (contact.pre, contact.post):
                if name not in counted:
                    raise UnknownName(f"cell (of contact {contact.pre} -> {contact.post})", name, counted)
            if contact.sign not in (1, -1):
                raise CircuitMismatch(f"contact {contact.pre} -> {contact.post} has sign {contact.sign}; give 1 or -1")
            if not contact.count > 0:
                raise CircuitMismatch(
                    f"contact {contact.pre} -> {contact.post} has count {contact.count}; give above 0"
                )
        for side, name in (("d", "dorsal"), ("v", "ventral")):
            if not any(cell.role == "muscle" and cell.side == side for cell in self.cells):
                raise CircuitMismatch(f"the graph has no {name} muscle; give cells of role muscle on both sides")
        reached = {contact.post for contact in self.contacts}
        if idle := [cell.name for cell in self.cells if cell.role == "muscle" and cell.name not in reached]:
            raise CircuitMismatch(
                f"nothing reaches muscle {idle[0]} (and {len(idle) - 1} more); connect or remove them"
            )

    def of_kind(self, kind: str) -> list[Cell]:
        """Return the cells of a class, in order."""
        return [cell for cell in self.cells if cell.kind == kind]

    def weight(self, pre: str, post: str, is_electrical: bool = False) -> tuple[float, int]:
        """Return summed count and number of contacts between two classes of cells."""
        kind = {cell.name: cell.kind for cell in self.cells}
        asked = {(pre, post), (post, pre)} if is_electrical else {(pre, post)}
        found = [c.count for c in self.contacts
                 if c.is_electrical == is_electrical and (kind[c.pre], kind[c.post]) in asked]  # fmt: skip
        return float(sum(found)), len(found)

    def facts(self) -> dict[str, Any]:
        """Return what the graph holds, in numbers: cells of each class, contacts of each pair of classes, parts."""
        kind = {cell.name: cell.kind for cell in self.cells}
        role = {cell.kind: cell.role for cell in self.cells}
        contacts: dict[tuple[Any, ...], dict[str, Any]] = {}
        for contact in self.contacts:
            pre, post = kind[contact.pre], kind[contact.post]
            if contact.is_electrical:
                pre, post = min(pre, post), max(pre, post)
            between = {"pre": pre, "post": post, "is_electrical": contact.is_electrical, "sign": contact.sign}
            found = contacts.setdefault(tuple(between.values()), {**between, "synapses": 0.0, "contacts": 0})
            found["synapses"] += contact.count
            found["contacts"] += 1
        return {
            "cells": {name: {"count": n, "role": role[name]} for name, n in Counter(kind.values()).items()},
            "contacts": list(contacts.values()),
            "whole": {
                "cells": len(self.cells), "contacts": len(self.contacts), "parts": [len(part) for part in self.parts()]
            },
        }  # fmt: skip

    def summary(self) -> dict[str, dict[str, str]]:
        """Return `facts` in words."""
        facts = self.facts()
        contacts: dict[str, str] = {}
        for each in facts["contacts"]:
            how = "gap junctions" if each["is_electrical"] else "excites" if each["sign"] > 0 else "inhibits"
            pair = f"{each['pre']} {'-' if each['is_electrical'] else '->'} {each['post']}"
            told = f"{how}: {each['synapses']:g} synapses in {each['contacts']} contacts"
            contacts[pair] = f"{contacts[pair]}; {told}" if pair in contacts else told
        parts, n_cells = facts["whole"]["parts"], len(self.cells)
        whole = "one" if len(parts) == 1 else f"{len(parts)}; the largest has {parts[0]} of {n_cells} cells"
        return {
            "cells": {name: f"{each['count']} ({each['role']})" for name, each in facts["cells"].items()},
            "contacts": contacts,
            "whole": {"cells": str(n_cells), "contacts": str(len(self.contacts)), "parts": whole},
        }

    def parts(self) -> list[set[str]]:
        """Return the cells of each connected part, the largest first."""
        graph = nx.Graph([(contact.pre, contact.post) for contact in self.contacts])
        graph.add_nodes_from(cell.name for cell in self.cells)
        return sorted(nx.connected_components(graph), key=len, reverse=True)

    def control(self, control: Control, rng: np.random.Generator) -> Graph:
        """Return a graph to compare with, of as many cells, contacts and synapses.

        Args:
            control: "none" returns the graph itself; "rewired" swaps the ends of contacts of the same kind,
                sign and role of target, so that every cell keeps the number of its inputs and outputs;
                "signs" deals the signs of chemical contacts out anew; "random" draws both ends of chemical
                contacts anew, from any cell but a muscle to any other.
            rng: of the shuffling.
        """
        if control == "none":
            return self
        if control == "rewired":
            return dataclasses.replace(self, contacts=self._rewired(rng))
        chemical = [contact for contact in self.contacts if not contact.is_electrical]
        rest = tuple(contact for contact in self.contacts if contact.is_electrical)
        if control == "signs":
            signs = rng.permutation([contact.sign for contact in chemical]).tolist()
            changed = [dataclasses.replace(c, sign=sign) for c, sign in zip(chemical, signs, strict=True)]
            return dataclasses.replace(self, contacts=(*changed, *rest))
        return dataclasses.replace(self, contacts=(*self._random(chemical, rng), *rest))

    def _rewired(self, rng: np.random.Generator) -> tuple[Contact, ...]:
        role = {cell.name: cell.role for cell in self.cells}
        contacts = list(self.contacts)
        taken = {(c.pre, c.post, c.is_electrical) for c in contacts}
        groups: dict[object, list[int]] = {}
        for index, contact in enumerate(contacts):
            groups.setdefault((contact.is_electrical, contact.sign, role[contact.post]), []).append(index)
        for group in groups.values():
            for _ in range(_SWAPS * len(group)):
                one, other = (group[i] for i in rng.integers(len(group), size=2))
                a, b = contacts[one], contacts[other]
                new = ((a.pre, b.post, a.is_electrical), (b.pre, a.post, b.is_electrical))
                if a.post == b.post or a.pre == b.post or b.pre == a.post or taken & set(new):
                    continue
                taken -= {(a.pre, a.post, a.is_electrical), (b.pre, b.post, b.is_electrical)}
                taken |= set(new)
                contacts[one] = dataclasses.replace(a, post=b.post)
                contacts[other] = dataclasses.replace(b, post=a.post)
        return tuple(contacts)

    def _random(self, chemical: Sequence[Contact], rng: np.random.Generator) -> list[Contact]:
        pres = [cell.name for cell in self.cells if cell.role != "muscle"]
        posts = [cell.name for cell in self.cells]
        muscles = [cell.name for cell in self.cells if cell.role == "muscle"]
        taken: set[tuple[str, str]] = set()
        found = []
        for index, contact in enumerate(chemical):
            while True:
                pre = pres[rng.integers(len(pres))]
                # Every muscle is reached once before the rest is dealt out.
                post = muscles[index] if index < len(muscles) else posts[rng.integers(len(posts))]
                if pre != post and (pre, post) not in taken:
                    break
            taken.add((pre, post))
            found.append(dataclasses.replace(contact, pre=pre, post=post))
        return found


def load_graph(name: str) -> Graph:
    """Return a graph by name or from a file.

    Args:
        name: "ladder", "cook2019" or "cook2019-whole" (see `nervecord.circuits.toolbox`), a GraphML file, or a
            CSV file of contacts with NAME.cells.csv beside it.

    Raises:
        UnknownName: none of these.
        MissingDependency: cect, which holds the published connectome, is not installed.
        CircuitMismatch: the file is no such graph, or one of several parts that nothing joins.
    """
    if name == "ladder":
        return ladder()
    if name in ("cook2019", "cook2019-whole"):
        from .toolbox import cook2019

        return cook2019(whole=name == "cook2019-whole")
    path = Path(name)
    if path.suffix == ".graphml":
        return _whole(read_graphml(path), path)
    if path.suffix == ".csv":
        return _whole(read_csv(path, path.with_suffix(".cells.csv")), path)
    raise UnknownName("graph", name, ("ladder", "cook2019", "cook2019-whole", "FILE.graphml", "FILE.csv"))


def _whole(graph: Graph, path: Path) -> Graph:
    """Return a graph that is of one part; what nothing joins to the rest is a mistake in most files."""
    _, *others = graph.parts()
    if others:
        apart = sorted(others[0])
        named = ", ".join(apart[:3]) + (f" and {len(apart) - 3} more" if len(apart) > 3 else "")
        raise CircuitMismatch(
            f"{path} is of {len(others) + 1} parts that nothing joins: {named} {'are' if len(apart) > 1 else 'is'} cut "
            "off; add their contacts, or remove the cells"
        )
    return graph


def ladder() -> Graph:
    """Return the motor circuit of the ventral cord built by rule: not data, but what data are like.

    7 DB, 11 VB, 6 DD, 13 VD, 2 AVB and 95 body-wall muscles, evenly spaced. B-neurons excite the muscles of
    their side and the D-neurons that inhibit the other side (White et al. 1986); each reaches what lies
    within a little more than its own spacing, with counts that fall off with distance; AVB and all
    B-neurons are joined by gap junctions.
    """
    cells = [Cell(name, "AVB", "inter", 0.05) for name in ("AVBL", "AVBR")]
    for kind, number in (("DB", 7), ("VB", 11), ("DD", 6), ("VD", 13)):
        cells += [Cell(f"{kind}{i + 1}", kind, "motor", (i + 0.5) / number) for i in range(number)]
    for side, row, number in (("d", "DL", 24), ("d", "DR", 24), ("v", "VL", 24), ("v", "VR", 23)):
        kind = "MD" if side == "d" else "MV"
        cells += [Cell(f"M{row}{i + 1:02}", kind, "muscle", (i + 0.5) / number, side) for i in range(number)]  # type: ignore[arg-type]
    of = {kind: [cell for cell in cells if cell.kind == kind] for kind in ("AVB", "DB", "VB", "DD", "VD", "MD", "MV")}
    contacts: list[Contact] = []
    for pre, post, sign in (("DB", "MD", 1), ("DB", "VD", 1), ("DD", "MD", -1),
                            ("VB", "MV", 1), ("VB", "DD", 1), ("VD", "MV", -1)):  # fmt: skip
        reach = 1.2 / min(len(of[pre]), len(of[post]))
        for a in of[pre]:
            for b in of[post]:
                count = round(6 * (1 - abs(a.position - b.position) / reach))
                if count > 0:
                    contacts.append(Contact(a.name, b.name, count, sign))
    contacts += [Contact(a.name, b.name, 2, 1, True) for a in of["AVB"] for b in (*of["DB"], *of["VB"])]
    return Graph(tuple(cells), tuple(contacts))


def read_csv(contacts: str | Path, cells: str | Path) -> Graph:
    """Read a graph from two tables.

    Args:
        contacts: columns pre, post, count, sign (1 or -1) and kind (chemical or electrical).
        cells: columns name, class, role, position (0 nose to 1 tail) and side (d, v or empty).

    Raises:
        CircuitMismatch: a column is missing, a value is no number, or what `Graph` refuses.
        UnknownName: a contact of a cell that is not in the table, or an unknown kind.
    """
    rows = _rows(contacts, ("pre", "post", "count", "sign", "kind"))
    found = []
    for row in _rows(cells, ("name", "class", "role", "position", "side")):
        position = _number(row["position"], f"position of {row['name']}")
        role, side = cast(Role, row["role"]), cast(Side | None, row["side"] or None)
        found.append(Cell(row["name"], row["class"], role, position, side))
    links = []
    for row in rows:
        where = f"contact {row['pre']} -> {row['post']}"
        if row["kind"] not in _KINDS:
            raise UnknownName(f"kind of {where}", row["kind"], _KINDS)
        if row["sign"] not in _SIGNS:
            had = f"sign {row['sign']}" if row["sign"] else "no sign"
            raise CircuitMismatch(f"{where} has {had}; give 1 (excites) or -1 (inhibits)")
        count = _number(row["count"], f"count of {where}")
        links.append(Contact(row["pre"], row["post"], count, _SIGNS[row["sign"]], row["kind"] == "electrical"))
    return Graph(tuple(found), tuple(links))


def read_graphml(path: str | Path) -> Graph:
    """Read a graph from GraphML, whose nodes and edges have the columns of `read_csv` as attributes.

    Raises:
        CircuitMismatch: the file cannot be read, or an attribute is missing, or what `Graph` refuses.
    """
    try:
        held = nx.read_graphml(path)
        cells = [
            Cell(str(name), str(of["class"]), of["role"], float(of["position"]), of.get("side") or None)
            for name, of in held.nodes(data=True)
        ]
        contacts = [
            Contact(str(pre), str(post), float(of["count"]), int(of["sign"]), of["kind"] == "electrical")
            for pre, post, of in held.edges(data=True)
        ]
    except (OSError, ValueError, KeyError, nx.NetworkXError, SyntaxError) as error:
        raise CircuitMismatch(
            f"{path} cannot be read as GraphML ({type(error).__name__}: {error}); nodes need class, role, position and "
            "side, edges count, sign and kind"
        ) from error
    return Graph(tuple(cells), tuple(contacts))


def _rows(path: str | Path, columns: Iterable[str]) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
            held = reader.fieldnames or []
    except OSError as error:
        raise CircuitMismatch(f"{path} cannot be read: {error.strerror}") from error
    if missing := [column for column in columns if column not in held]:
        raise CircuitMismatch(f"{path} has no column {missing[0]!r}; it needs {', '.join(columns)}")
    return rows


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise CircuitMismatch(f"{what} is {text!r}, which is no number") from error
