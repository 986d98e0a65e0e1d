"""Wiring diagrams: position along the body on the x axis, layers from sensors to muscles, signs in colour."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from scipy.spatial import cKDTree

from ..circuits.contract import Synapse, Wiring
from .neuron_layout import neuron_places
from .palette import EXCITES, INHIBITS, LETTERS, REST
from .strongest import said, strongest

_FILL = {
    "sensor": "#ddf4ff",
    "oscillator": "#fff8c5",
    "inter": REST,
    "motor": "#dafbe1",
    "muscle": "#ffebe9",
}
_MOST_EDGES = 300
_LATE = 0.5  # control steps
_ASIDE, _ABOVE = 0.15, 0.6  # free margins, in the units of places
_NAMED = 20  # points across, of a circle that holds a name


def to_networkx(wiring: Wiring) -> nx.MultiDiGraph:
    """Convert a wiring to a graph: nodes have role, position and side; edges weight, group and delay (control steps).

    Attributes that a neuron or synapse lacks are left out, so that networkx can write GraphML.
    """
    graph = nx.MultiDiGraph()
    for neuron in wiring.neurons:
        graph.add_node(neuron.name, **_known(role=neuron.role, position=neuron.position, side=neuron.side))
    for synapse in wiring.synapses:
        facts = _known(weight=synapse.weight, group=synapse.group, delay=synapse.delay)
        graph.add_edge(synapse.pre, synapse.post, **facts)
    return graph


def _known(**facts: Any) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def draw_wiring(wiring: Wiring) -> Figure:
    """Draw the wiring; of very many synapses only the strongest, which the title then states."""
    places = neuron_places(wiring.neurons)
    columns = len({round(x, 6) for x, _ in places.values()})
    figure = Figure(figsize=(float(np.clip(1.5 * columns, 7, 16)), 6.0), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    drawn = strongest(wiring.synapses, _MOST_EDGES)
    heaviest = max((abs(synapse.weight) for synapse in drawn), default=1.0) or 1.0
    circle = _circle(places, figure)
    many = circle < _NAMED
    for synapse in drawn:
        excites = synapse.weight >= 0
        axes.add_patch(
            FancyArrowPatch(
                places[synapse.pre],
                places[synapse.post],
                arrowstyle="-|>" if excites else "|-|,widthA=0,widthB=0.25",
                mutation_scale=9,
                shrinkA=circle / 2 + 1,
                shrinkB=circle / 2 + 1,
                linewidth=0.3 + 1.7 * abs(synapse.weight) / heaviest,
                color=EXCITES if excites else INHIBITS,
                linestyle=":" if (synapse.delay or 0) >= _LATE else "-",
                alpha=0.35 if many else 0.85,
                # Synapses that cross the midline bow around the muscle that they pass.
                connectionstyle=f"arc3,rad={0.35 if _crosses(places, synapse) else 0.04}",
                zorder=1,
            )
        )
    for neuron in wiring.neurons:
        x, y = places[neuron.name]
        axes.plot(
            x,
            y,
            "o",
            markersize=circle,
            color=_FILL[neuron.role],
            markeredgecolor="#57606a",
            zorder=2,
            # By which a page finds a neuron to light it up.
            gid=f"neuron {neuron.name}",
        )
        if not many:
            label = _broken(neuron.name)
            # A letter is about 0.6 of its size wide.
            size = min(0.28, 1.5 / max(map(len, label.split("\n")))) * circle
            axes.text(x, y, label, color=LETTERS, ha="center", va="center", fontsize=size, linespacing=1.0, zorder=3)
    xs, ys = zip(*places.values(), strict=True)
    axes.set_xlim(min(xs) - _ASIDE, max(xs) + _ASIDE)
    axes.set_ylim(min(ys) - _ABOVE, max(ys) + _ABOVE)
    is_late = any(synapse.delay is not None for synapse in wiring.synapses)
    key = [
        said(len(drawn), len(wiring.synapses)),
        f"dotted: {_LATE:g} or more control steps late" if is_late else "",
        "head left, tail right",
        "blue excites, red inhibits",
    ]
    # At the left, where a page that scrolls sideways begins.
    axes.set_title("; ".join(filter(None, key)), fontsize=9, color="#57606a", loc="left")
    return figure


def _circle(places: dict[str, tuple[float, float]], figure: Figure) -> float:
    """Return how many points across a neuron is drawn, so that neighbours do not touch."""
    at = np.array(list(places.values()))
    extent = np.ptp(at, axis=0) + 2 * np.array([_ASIDE, _ABOVE])
    in_points = at / extent * 72 * figure.get_size_inches()
    to_neighbour = cKDTree(in_points).query(in_points, k=2)[0][:, 1]
    return float(np.clip(0.8 * to_neighbour.min(), 7, 32))


def _broken(name: str) -> str:
    """Return a name as it is typed; in two lines where it is long, after the underscore nearest to its middle."""
    breaks = [place + 1 for place, letter in enumerate(name[:-1]) if letter == "_"]
    if len(name) < 7 or not breaks:
        return name
    place = min(breaks, key=lambda each: abs(2 * each - len(name)))
    return f"{name[:place]}\n{name[place:]}"


def _crosses(places: dict[str, tuple[float, float]], synapse: Synapse) -> bool:
    return places[synapse.pre][1] * places[synapse.post][1] < 0
