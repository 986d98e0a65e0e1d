"""Partition the units of a layer into bricks: by the weights by which they hear, by their activity, or at random."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import networkx
import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from ....errors import InvalidOption

METHODS = ("weights", "activity", "random")
_RESTARTS, _MOST_ROUNDS = 8, 100
_FEW = 10  # units, below which what a brick does is mostly noise
_log = logging.getLogger(__name__)

Labels = Int[np.ndarray, " units"]


@dataclasses.dataclass(frozen=True)
class Brick:
    """A named set of hidden units of one layer.

    Attributes:
        name: LAYER-METHOD-NUMBER.
        layer: the group of neurons that it is of, such as hidden_0, or units of a recurrent circuit.
        units: the neurons' names.
        method: weights, activity or random.
        seed: of the partition.
    """

    name: str
    layer: str
    units: tuple[str, ...]
    method: str
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return dataclasses.asdict(self)


def bricks_of(labels: Labels, names: Sequence[str], layer: str, method: str, seed: int) -> tuple[Brick, ...]:
    """Return the bricks that labels make of a layer's units; a unit of label -1 is in none."""
    found = []
    for number in range(labels.max() + 1):
        units = tuple(name for name, label in zip(names, labels, strict=True) if label == number)
        found.append(Brick(f"{layer}-{method}-{number}", layer, units, method, seed))
    return tuple(found)


def check_bricks(layer: str, units: int, bricks: int) -> None:
    """Refuse bricks of one unit, and one that is the whole layer; say where bricks are small.

    Raises:
        InvalidOption: there is no such partition.
    """
    if bricks < 2:
        raise InvalidOption(f"bricks is {bricks}, which leaves {layer} whole; give 2 or more")
    if units // bricks < 2:
        most = f"give 2 to {units // 2}" if units >= 4 else "train a circuit of more units"
        raise InvalidOption(f"{bricks} bricks of the {units} units of {layer} would have one unit or none; {most}")
    if units // bricks < _FEW:
        _log.warning(
            "nervecord: bricks of %s have %d units; below %d, what one does is mostly noise",
            layer,
            units // bricks,
            _FEW,
        )


def by_weights(rows: Float[np.ndarray, "units weights"], bricks: int, seed: int = 0) -> Labels:
    """Partition units whose incoming weights point the same way, into bricks of equal size (or one unit more).

    K-means on rows of length 1, each unit assigned to a place in a brick at the least total squared distance (an exact
    assignment, Kuhn 1955): the best of 8 starts.

    Args:
        rows: the weights by which each unit hears, from inputs and recurrent together.
        bricks: how many.
        seed: of the starts.

    Source: Zhang et al. 2022, MoEfication (https://arxiv.org/abs/2110.01786).
    """
    rows = unit_rows(rows)
    rng = np.random.default_rng(seed)
    found = [_equal_k_means(rows, rows[rng.choice(len(rows), bricks, replace=False)]) for _ in range(_RESTARTS)]
    return min(found, key=lambda labels: inertia(rows, labels))


def by_activity(activity: Float[np.ndarray, "steps units"], seed: int = 0) -> Labels:
    """Partition units that are active together: Louvain communities of the graph of |correlation|.

    How many there are follows from the activity. A unit alone joins the community that it is most correlated with; one
    that never changes belongs to none, label -1.

    Source: Blondel et al. 2008 (https://arxiv.org/abs/0803.0476).
    """
    weights = np.abs(correlations(activity, activity))
    np.fill_diagonal(weights, 0)
    alive = np.flatnonzero(weights.any(0))
    labels = np.full(len(weights), -1)
    if not len(alive):
        return labels
    graph = networkx.from_numpy_array(weights[np.ix_(alive, alive)])
    communities = sorted(
        networkx.community.louvain_communities(graph, seed=seed), key=lambda each: (-len(each), min(each))
    )
    groups = [alive[sorted(each)] for each in communities]
    whole = [each for each in groups if len(each) > 1]
    for number, each in enumerate(whole):
        labels[each] = number
    for (alone,) in (each for each in groups if len(each) == 1):
        labels[alone] = int(np.argmax([weights[alone, each].mean() for each in whole]))
    return labels


def at_random(units: int, bricks: int, seed: int = 0) -> Labels:
    """Partition units into bricks of equal size (or one unit more) at random: the control of the others."""
    labels = np.arange(units) % bricks
    np.random.default_rng(seed).shuffle(labels)
    return labels


def unit_rows(rows: Float[np.ndarray, "units weights"]) -> Float[np.ndarray, "units weights"]:
    """Return rows of length 1, without a unit; one of zeros stays so."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12))


def centres(rows: Float[np.ndarray, "units weights"], labels: Labels) -> Float[np.ndarray, "bricks weights"]:
    """Return the mean row of each brick, in the unit of the rows."""
    return np.stack([rows[labels == brick].mean(0) for brick in range(labels.max() + 1)])


def inertia(rows: Float[np.ndarray, "units weights"], labels: Labels) -> float:
    """Return the sum of squared distances of rows to the centre of their brick: what k-means makes small."""
    return float(np.square(rows - centres(rows, labels)[labels]).sum())


def correlations(one: Float[np.ndarray, "steps n"], other: Float[np.ndarray, "steps m"]) -> Float[np.ndarray, "n m"]:
    """Return the correlation of each unit of one activity with each of another, no unit; 0 where one never changes."""

    def standard(values: np.ndarray) -> np.ndarray:
        centred = values - values.mean(0)
        spread = centred.std(0)
        return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)

    return np.asarray(standard(np.asarray(one, float)).T @ standard(np.asarray(other, float)) / len(one))


def _equal_k_means(rows: np.ndarray, centre: np.ndarray) -> Labels:
    labels = np.full(len(rows), -1)
    for _ in range(_MOST_ROUNDS):
        before, labels = labels, _assigned(np.square(rows[:, None] - centre).sum(2))
        if (labels == before).all():
            break
        centre = centres(rows, labels)
    return labels


def _assigned(costs: Float[np.ndarray, "units bricks"]) -> Labels:
    """Assign units to bricks of equal size, or of one unit more where they do not divide, at the least total cost."""
    units, bricks = costs.shape
    each, over = divmod(units, bricks)
    slots = np.tile(np.arange(bricks), each + bool(over))
    # Dear enough that every brick is full before any has one unit more.
    extra = np.where(np.arange(len(slots)) < each * bricks, 0.0, 1 + costs.sum())
    chosen = linear_sum_assignment(costs[:, slots] + extra)[1]
    return np.asarray(slots[chosen])
