"""Geometry: which conditions a network holds apart, and whether it shares its inputs' layout or its outputs'."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from scipy.sparse import csgraph
from scipy.spatial.distance import pdist, squareform

from ...extras import require
from .contract import ProbeResult, Subject
from .tools.alignment import alignment
from .tools.conditions import phase_means

_BINS = 16
_SHUFFLES = 200
_LOW, _UP = 0.2, 0.8  # quantiles of the geo-topological transform


def geometry(subject: Subject) -> ProbeResult:
    """Compare the network's layout of the gait's phases (16 bins) with its inputs' and its outputs'.

    Alignments are centred kernel alignments of the bins' means, with the mean over shuffled bins beside
    them; parallelism and generalisation are of two dichotomies of the phase: the first joint bent dorsally,
    and bending dorsally.

    Raises:
        InvalidRecording: no undulation, or a phase that is never reached.
        MissingDependency: rsatoolbox is not installed.
    """
    recording = subject.recording
    means, bin_of, _, constant = phase_means(recording, _BINS)
    states = means.mean(0)

    def by_bin(values: Any) -> Float[np.ndarray, "bins k"]:
        late = np.asarray(values[:, -bin_of.shape[1] :], float).reshape(-1, values.shape[2])
        return np.stack([late[bin_of.ravel() == index].mean(0) for index in range(_BINS)])

    inputs, outputs = by_bin(recording.observations), by_bin(recording.actions)
    rng = np.random.default_rng(0)
    numbers = {"constant": float(constant)}
    for name, other in (("inputs", inputs), ("outputs", outputs)):
        shuffled = [alignment(states, other[rng.permutation(_BINS)]) for _ in range(_SHUFFLES)]
        numbers |= {f"alignment_{name}": alignment(states, other),
                    f"alignment_{name}_shuffled": float(np.mean(shuffled)),
                    f"alignment_{name}_shuffled_95": float(np.quantile(shuffled, 0.95))}  # fmt: skip
    angle = (np.arange(_BINS) + 0.5) * 2 * np.pi / _BINS
    labels = np.stack([np.cos(angle) > 0, -np.sin(angle) > 0], 1)
    for index, name in enumerate(("bent", "bending")):
        numbers[f"parallelism_{name}"] = parallelism(states, labels, index)
        numbers[f"generalisation_{name}"] = generalisation(states, labels, index)
    numbers["generalisation_shuffled"] = float(
        np.mean([generalisation(states, labels[rng.permutation(_BINS)], 0) for _ in range(_SHUFFLES // 4)])
    )
    units = dict.fromkeys(numbers, "") | {"constant": "neurons"}
    rdm = dissimilarity(states)
    arrays = {
        "rdm": rdm, "geo_topological": transformed(rdm, "geo-topological"), "geodesic": transformed(rdm, "geodesic"),
        "phase": np.degrees(angle),
    }  # fmt: skip
    return ProbeResult(numbers, units, arrays, _figure(arrays))


def dissimilarity(states: Float[np.ndarray, "c n"]) -> Float[np.ndarray, "c c"]:
    """Return the Euclidean distances between conditions (a representational dissimilarity matrix)."""
    return np.asarray(squareform(pdist(states)))


def transformed(
    rdm: Float[np.ndarray, "c c"], kind: str, low: float = _LOW, up: float = _UP
) -> Float[np.ndarray, "c c"]:
    """Return the "geo-topological" or the "geodesic" transform of a dissimilarity matrix.

    The first ranks the distances, makes those below the quantile `low` 0, those above `up` 1, and is linear
    between: it keeps who is near whom and drops how far the far are. The second takes ranks along the shortest
    way through the graph of what is left below `up`, over the longest such way. Ranks are rsatoolbox's; the
    rest is not, because its geo-topological transform (0.3.2) clips what it has scaled by the threshold before
    scaling, and its geodesic one takes distances of 0 for missing edges.

    Source: Lin and Kriegeskorte 2023 (https://arxiv.org/abs/2309.11028).
    """
    held: Any = require("rsatoolbox.rdm", "probes")
    # A copy, because the library's transforms work in place.
    upper = np.triu_indices(len(rdm), 1)
    ranks = held.rank_transform(held.RDMs(rdm[upper].copy()[None])).get_vectors()[0]
    bottom, top = np.quantile(ranks, low), np.quantile(ranks, up)
    found = np.zeros(rdm.shape)
    if kind == "geo-topological":
        # Ranks are whole or half numbers: where ties leave nothing between the quantiles, this is a step.
        found[upper] = np.clip((ranks - bottom) / max(top - bottom, 0.1), 0.0, 1.0)
        return found + found.T
    edges = np.full(rdm.shape, np.inf)
    edges[upper] = np.where(ranks <= top, ranks, np.inf)
    ways = csgraph.shortest_path(csgraph.csgraph_from_dense(np.minimum(edges, edges.T), null_value=np.inf), "FW")
    np.fill_diagonal(ways, 0)
    longest = ways[np.isfinite(ways)].max()
    # Parts of the graph that nothing connects are as far apart as can be.
    return np.asarray(np.where(np.isfinite(ways), ways / longest, 1.0))


def parallelism(states: Float[np.ndarray, "c n"], labels: Bool[np.ndarray, "c k"], index: int) -> float:
    """Return how parallel the coding directions of one label are across the values of the others.

    The mean cosine between the differences (label true less false) over all pairs of contexts; conditions of
    the same labels are averaged first (Bernardi et al. 2020).
    """
    differences = [true - false for _, true, false in _contexts(states, labels, index)]
    unit = [each / max(np.linalg.norm(each), 1e-12) for each in differences]
    cosines = [one @ other for one, other in itertools.combinations(unit, 2)]
    return float(np.mean(cosines)) if cosines else float("nan")


def generalisation(states: Float[np.ndarray, "c n"], labels: Bool[np.ndarray, "c k"], index: int) -> float:
    """Return the accuracy at which a readout of one label, learned in one context, holds in the others.

    The readout is the difference of means, its threshold midway; 0.5 is chance (Bernardi et al. 2020).
    """
    rest, hits = np.delete(labels, index, 1), []
    for context, true, false in _contexts(states, labels, index):
        elsewhere = (rest != context).any(1)
        said = (states[elsewhere] - (true + false) / 2) @ (true - false) > 0
        hits.append(said == labels[elsewhere, index])
    return float(np.concatenate(hits).mean()) if hits else float("nan")


def _contexts(
    states: Float[np.ndarray, "c n"], labels: Bool[np.ndarray, "c k"], index: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the other labels, the mean state with the label and that without it, where there are both."""
    rest, label = np.delete(labels, index, 1), labels[:, index]
    found = []
    for context in np.unique(rest, axis=0):
        here = (rest == context).all(1)
        if (here & label).any() and (here & ~label).any():
            found.append((context, states[here & label].mean(0), states[here & ~label].mean(0)))
    return found


def _figure(arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(9.4, 3.0), layout="constrained")
    titles = {"rdm": "distance", "geo_topological": "geo-topological", "geodesic": "geodesic"}
    for axes, (name, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        image = axes.imshow(arrays[name], cmap="viridis", extent=(0, 360, 360, 0), interpolation="nearest")
        axes.set(title=title, xlabel="phase (degrees)", xticks=[0, 180, 360], yticks=[0, 180, 360])
        figure.colorbar(image, ax=axes, shrink=0.8)
    figure.axes[0].set_ylabel("phase (degrees)")
    return figure
