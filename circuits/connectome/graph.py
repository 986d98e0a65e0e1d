"""A nervous system as a graph of named cells and signed, counted synapses; and a synthetic graph, the ladder."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, get_args

import networkx as nx
import numpy as np

from ...errors import CircuitMismatch, UnknownName
from ..contract import Role, Side

Control = Literal["none", "rewired", "signs", "random"]
_SWAPS = 10  # per synapse, after which a rewired graph has forgotten what it was
_TRIES = 1000  # of drawing two cells that nothing joins yet, after which the free pairs are listed


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell of a graph.

    Attributes:
        name: unique, such as DB3.
        kind: class of the cell, such as DB.
        role: sensor, inter, motor or muscle.
        position: position along the body, 0 at the nose and 1 at the tail.
        side: side of a muscle, d (dorsal) or v (ventral); None for other cells.
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
        pre, post: names of the presynaptic and postsynaptic cell; for a gap junction, in either order.
        count: number of synapses, above 0.
        sign: +1 for excitation, -1 for inhibition; +1 for gap junctions.
        is_electrical: whether it is a gap junction.
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
        CircuitMismatch: a name is empty, duplicate or reserved by circuits, a contact has no sign or count, a side has
            no muscles, or a muscle has no input.
        UnknownName: a role does not exist, or a contact names an unknown cell.
    """

    cells: tuple[Cell, ...]
    contacts: tuple[Contact, ...]

    def __post_init__(self) -> None:
        counted = Counter(cell.name for cell in self.cells)
        if repeated := [name for name, count in counted.items() if count > 1]:
            raise CircuitMismatch(f"cell {repeated[0]!r} is there {counted[repeated[0]]} times; give each its own name")
        for cell in self.cells:
            if not (cell.name and cell.kind):
                raise CircuitMismatch(
                    f"cell {cell.name!r} is of class {cell.kind!r}; give each cell a name and a class"
                )
            if re.fullmatch(r"(joint_pos|motor)_\d+", cell.name):
                raise CircuitMismatch(f"cell {cell.name} has the name of a joint's sensor or motor; give it another")
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
            if contact.is_electrical and contact.sign != 1:
                raise CircuitMismatch(
                    f"gap junction {contact.pre} - {contact.post} has sign {contact.sign}; give 1, as all have"
                )
            if not 0 < contact.count < math.inf:
                raise CircuitMismatch(
                    f"contact {contact.pre} -> {contact.post} has count {contact.count}; give above 0, and finite"
                )
        for side, name in (("d", "dorsal"), ("v", "ventral")):
            if not any(cell.role == "muscle" and cell.side == side for cell in self.cells):
                raise CircuitMismatch(f"the graph has no {name} muscle; give cells of role muscle on both sides")
        reached = {contact.post for contact in self.contacts}
        reached |= {contact.pre for contact in self.contacts if contact.is_electrical}  # which acts both ways
        if idle := [cell.name for cell in self.cells if cell.role == "muscle" and cell.name not in reached]:
            raise CircuitMismatch(
                f"nothing reaches muscle {idle[0]} (and {len(idle) - 1} more); connect or remove them"
            )

    def weight(self, pre: str, post: str, is_electrical: bool = False) -> tuple[float, int]:
        """Return the total synapse count and the number of contacts from one class of cells to another."""
        kind = {cell.name: cell.kind for cell in self.cells}
        asked = {(pre, post), (post, pre)} if is_electrical else {(pre, post)}
        found = [c.count for c in self.contacts
                 if c.is_electrical == is_electrical and (kind[c.pre], kind[c.post]) in asked]  # fmt: skip
        return float(sum(found)), len(found)

    def facts(self) -> dict[str, Any]:
        """Return counts: cells of each class, contacts of each pair of classes, and connected components."""
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
        """Return `facts` as readable text."""
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
        """Return the connected components as sets of cells, the largest first."""
        graph = nx.Graph([(contact.pre, contact.post) for contact in self.contacts])
        graph.add_nodes_from(cell.name for cell in self.cells)
        return sorted(nx.connected_components(graph), key=len, reverse=True)

    def control(self, control: Control, rng: np.random.Generator) -> Graph:
        """Return a randomised control graph with the same number of cells, contacts and synapses.

        Args:
            control: "none" returns the graph itself; "rewired" swaps the targets of contacts of the same kind,
                sign and role of target, which preserves every cell's in-degree and out-degree; "signs" permutes
                the signs of chemical contacts; "random" draws both ends of chemical contacts at random, from any
                cell except muscles to any other.
            rng: random generator for shuffling.

        Raises:
            CircuitMismatch: there are more contacts to draw than pairs of cells.
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
        if len(chemical) > (pairs := len(pres) * (len(posts) - 1)):
            raise CircuitMismatch(
                f"{len(chemical)} chemical contacts cannot be drawn among {pairs} pairs of cells; give a graph "
                "with fewer, or another control"
            )
        taken: set[tuple[str, str]] = set()
        found = []
        for index, contact in enumerate(chemical):
            # Every muscle is reached once before the rest is dealt out.
            ends = muscles[index : index + 1] or posts
            for _ in range(_TRIES):
                pre = pres[rng.integers(len(pres))]
                post = ends[0] if len(ends) == 1 else ends[rng.integers(len(ends))]
                if pre != post and (pre, post) not in taken:
                    break
            else:
                free = [(a, b) for a in pres for b in ends if a != b and (a, b) not in taken]
                pre, post = free[rng.integers(len(free))]
            taken.add((pre, post))
            found.append(dataclasses.replace(contact, pre=pre, post=post))
        return found


def ladder() -> Graph:
    """Return a synthetic motor circuit of the ventral nerve cord, generated by rules.

    It has 7 DB, 11 VB, 6 DD, 13 VD, 2 AVB and 95 body-wall muscles, evenly spaced. B-neurons excite the muscles of
    their side and the D-neurons that inhibit the other side (White et al. 1986). Each cell contacts cells within a
    little more than its own spacing, with counts that decrease with distance. AVB and all B-neurons are joined by
    gap junctions.
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
