"""The published connectome of the adult hermaphrodite, read from the ConnectomeToolbox where it is installed."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from pathlib import Path

import numpy as np

from ...errors import MissingDependency
from ..contract import Role, Side
from .graph import Cell, Contact, Graph

# The 26 neurons that release GABA (McIntire et al. 1993); all others are assumed to excite.
_INHIBITORY = ("AVL", "DD", "DVB", "RIS", "RME", "VD")
_COMMAND = ("AVA", "AVB", "AVD", "AVE", "PVC")
_MOTOR_TYPES = ("Ventral cord motor neuron", "Head motor neuron", "Sublateral motor neuron")
_SENSOR_TYPES = ("Amphid", "Cephalic", "Mechanosensory", "O2", "Phasmid", "Touch")
_HEAD, _TAIL = 0.05, 0.95
_IN_TAIL = ("PD", "PH", "PL", "PQ", "PV", "DV", "LU")


def cook2019(whole: bool = False) -> Graph:
    """Return the connectome of Cook et al. 2019 (https://doi.org/10.1038/s41586-019-1352-7).

    Only data files of the package `cect` are read; the package is not imported, so its dependencies need not be
    installed. The data has no signs of synapses: classes that release GABA (AVL, DD, DVB, RIS, RME, VD) inhibit, all
    others excite. A motor neuron with synapses onto muscles is placed at their mean position, weighted by count;
    other cells are at the head, or at the tail where their names say so.

    Args:
        whole: return all 302 neurons and the body-wall muscles. By default, return the motor circuit:
            motor neurons of the ventral cord and the head, and the command neurons AVA, AVB, AVD, AVE, PVC.

    Raises:
        MissingDependency: cect is not installed.
    """
    folder = _folder()
    with open(folder / "data" / "all_cell_info.csv", newline="", encoding="utf-8") as file:
        types = {row["Cell name"]: row["Type"] for row in csv.DictReader(file)}
    held = json.loads((folder / "cache" / "Cook2019HermReader.json").read_text(encoding="utf-8"))
    names: list[str] = held["nodes"]
    chemical, electrical = (np.array(held["connections"][kind]) for kind in ("Generic_CS", "Generic_GJ"))
    kept = [i for i, name in enumerate(names) if _muscle(name) or _is_kept(name, types.get(name, ""), whole)]
    contacts = [
        Contact(names[i], names[j], float(chemical[i, j]), -1 if _class(names[i]) in _INHIBITORY else 1)
        for i in kept
        for j in kept
        if chemical[i, j] and i != j and not _muscle(names[i])
    ]
    contacts += [
        Contact(names[i], names[j], float(max(electrical[i, j], electrical[j, i])), 1, True)
        for at, i in enumerate(kept)
        for j in kept[at + 1 :]
        if max(electrical[i, j], electrical[j, i])
    ]
    joined = {name for contact in contacts for name in (contact.pre, contact.post)}
    reach: dict[str, list[tuple[float, float]]] = {}
    for contact in contacts:
        muscle = _muscle(contact.post)
        if muscle and not _muscle(contact.pre):
            reach.setdefault(contact.pre, []).append((muscle[1], contact.count))
    cells = [_cell(names[i], types.get(names[i], ""), reach) for i in kept if names[i] in joined]
    return Graph(tuple(sorted(cells, key=lambda cell: (cell.role == "muscle", cell.position))), tuple(contacts))


def _folder() -> Path:
    found = importlib.util.find_spec("cect")
    if found is None or not found.submodule_search_locations:
        raise MissingDependency(
            'cect is not installed: pip install --no-deps cect, or "nervecord[worm]" with all dependencies'
        )
    return Path(found.submodule_search_locations[0])


def _is_kept(name: str, kind: str, whole: bool) -> bool:
    if whole:
        return "neuron" in kind or "Linker" in kind or kind.startswith(_SENSOR_TYPES)
    return kind in _MOTOR_TYPES or _class(name) in _COMMAND


def _class(name: str) -> str:
    """Return the class of a neuron: its name without number, side and quadrant."""
    for pattern in (r"([A-Z]{2})\d+$", r"([IM]\d)[LR]?$", r"(MC)[LR]$"):
        if found := re.match(pattern, name):
            return found[1]
    return name[:3]


def _muscle(name: str) -> tuple[Side, float] | None:
    """Return the side and the position of a body-wall muscle; None for any other cell."""
    found = re.match(r"M([DV])[LR](\d\d)$", name)
    return None if found is None else ("d" if found[1] == "D" else "v", (int(found[2]) - 0.5) / 24)


def _cell(name: str, kind: str, reach: dict[str, list[tuple[float, float]]]) -> Cell:
    if muscle := _muscle(name):
        return Cell(name, f"M{name[1]}", "muscle", muscle[1], muscle[0])
    role: Role = "sensor" if kind.startswith(_SENSOR_TYPES) else "motor" if "motor" in kind.lower() else "inter"
    if role == "motor" and name in reach:
        places, counts = zip(*reach[name], strict=True)
        return Cell(name, _class(name), role, round(float(np.average(places, weights=counts)), 3))
    return Cell(name, _class(name), role, _TAIL if name.startswith(_IN_TAIL) else _HEAD)
