"""Predictions of the propagation atlas that need no fit: from wiring, from places, and from the atlas itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy.sparse.csgraph import shortest_path

from ..circuits.connectome import Graph
from .atlas import Atlas, partners
from .scoring import auroc

_ALPHA = 0.5
_NO_WAY = 99.0  # hops
REPLICATES = (1, 2, 3, 4, 6)


def wiring_of(graph: Graph) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, "n n"], Float[np.ndarray, "n n"]]:
    """Return counts of chemical synapses, of gap junctions, and of both with their signs, [post, pre].

    The order is the graph's own.
    """
    row = {cell.name: i for i, cell in enumerate(graph.cells)}
    chemical, gap, signed = np.zeros((3, len(row), len(row)))
    for contact in graph.contacts:
        i, j = row[contact.post], row[contact.pre]
        for post, pre in [(i, j), (j, i)] if contact.is_electrical else [(i, j)]:
            (gap if contact.is_electrical else chemical)[post, pre] += contact.count
            signed[post, pre] += contact.sign * contact.count
    return chemical, gap, signed


def linear(counts: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Return the steady responses of a linear network to a unit input, [responding, stimulated]: (I - W / 2)^-1.

    Args:
        counts: [post, pre], signed or not; W is each row over the sum of its magnitudes.
    """
    total = np.abs(counts).sum(1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    return np.asarray(np.linalg.inv(np.eye(len(counts)) - _ALPHA * share))


def nearness(counts: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Return minus the fewest contacts from the stimulated to the responding cell, -99 where there is no way.

    Args:
        counts: [post, pre].
    """
    hops = shortest_path((counts > 0).T.astype(float), unweighted=True).T
    return -np.where(np.isinf(hops), _NO_WAY, hops)


def of_graph(atlas: Atlas, graph: Graph) -> dict[str, Float[np.ndarray, "300 300"]]:
    """Return what a graph's contacts predict, by name; NaN for neurons that it does not have.

    Counts of contacts, the fewest contacts from one to the other, and the responses of a linear network: of the wiring
    as it is, of one in which all contacts act both ways, and of one with the contacts' signs.

    Raises:
        CircuitMismatch: fewer than 20 of its neurons were measured.
    """
    cells = [(i, cell.name) for i, cell in enumerate(graph.cells) if atlas.find(cell.name) is not None]
    rows, names = [i for i, _ in cells], [name for _, name in cells]
    chemical, gap, signed = (each[np.ix_(rows, rows)] for each in wiring_of(graph))
    counts = chemical + gap
    found = {"counts": counts, "path": nearness(counts), "linear": linear(counts),
             "linear, both ways": linear(counts + counts.T), "linear, signed": linear(signed)}  # fmt: skip
    return {name: atlas.place(names, values) for name, values in found.items()}


def ceilings(atlas: Atlas, other: Atlas | None = None) -> Mapping[str, Float[np.ndarray, "300 300"]]:
    """Return what the atlas says of itself: amplitudes of the same pair elsewhere, NaN where it was not measured.

    By name: the pair's mirror image (both cells' partners on the other side), the reverse pair, and, where one is
    given, the same pair in the other strain.
    """
    mirror = partners(atlas, atlas.names)
    known = np.where(atlas.measured, np.nan_to_num(atlas.amplitude), np.nan)
    mirrored = known[np.ix_(mirror, mirror)]
    # A pair of cells without partners is its own mirror image.
    mirrored[(mirror[:, None] == np.arange(len(mirror))[:, None]) & (mirror == np.arange(len(mirror)))] = np.nan
    found = {"mirror pair": mirrored, "reverse pair": known.T}
    if other is not None:
        found[other.strain] = np.where(other.measured, np.nan_to_num(other.amplitude), np.nan)
    return found


def replicates(atlas: Atlas, repeats: int = 20) -> dict[int, float]:
    """Return how well a replicate of the experiment with k trials a pair predicts one, by k: a ceiling, as an AUROC.

    k trials of each pair with 2k or more rank the pairs; which ones respond is said by k others, as the strongest
    among them, as many as the atlas has. Trials, not animals, are halved, since the file does not tell animals
    apart, so that this is generous.

    Args:
        atlas: with its trials.
        repeats: divisions of the trials, which are averaged.
    """
    changes, rng = atlas.changes(), np.random.default_rng(0)
    share = float(atlas.significant[atlas.measured].mean())
    pairs = [changes[i][j] for i, j in np.argwhere(atlas.measured)]
    trials = np.full((len(pairs), max(map(len, pairs))), np.nan)
    for row, each in zip(trials, pairs, strict=True):
        row[: len(each)] = each
    found = {}
    for k in REPLICATES:
        some = trials[np.isfinite(trials).sum(1) >= 2 * k]
        scores = []
        for _ in range(repeats):
            order = np.argsort(np.where(np.isfinite(some), rng.random(some.shape), np.inf), 1)[:, : 2 * k]
            drawn = np.take_along_axis(some, order, 1)
            one, other = drawn[:, :k].mean(1), drawn[:, k:].mean(1)
            scores.append(auroc(other >= np.quantile(other, 1 - share), one))
        found[k] = float(np.mean(scores))
    return found
