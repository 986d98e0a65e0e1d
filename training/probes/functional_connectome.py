"""The functional connectome: neurons whose activity rises and falls together, with times and episodes."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import networkx as nx
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from ...drawing.figures import COLOURS, open_axes
from ...errors import InvalidRecording
from ...extras import require
from .contract import ProbeResult, Subject, living

_NEURONS, _STEPS, _EPISODES = 36, 250, 6
_RANKS = range(1, 7)
_SMOOTH = 2.0  # bins


@dataclasses.dataclass(frozen=True)
class Assembly:
    """A group of neurons whose activity changes together.

    Attributes:
        members: indices of the neurons.
        strength: strength of every pair of neurons, 0 on the diagonal.
        course: the assembly's activation over time.
        episodes: the assembly's weight in each episode.
    """

    members: tuple[int, ...]
    strength: Float[np.ndarray, "n n"]
    course: Float[np.ndarray, " T"]
    episodes: Float[np.ndarray, " E"]


def functional_connectome(subject: Subject) -> ProbeResult:
    """Find assemblies of neurons by a non-negative decomposition of pairs x time x episodes.

    The decomposition uses at most 36 neurons (those whose z-scored activity changes fastest), 6 episodes and 250 bins
    of time; the affinity of a pair is sqrt(max(x'_i x'_j, 0)) of smoothed derivatives.

    Raises:
        InvalidRecording: fewer than 50 steps, values that are not finite, fewer than two neurons that change, or no two
            that ever change together.
        MissingDependency: tensorly is not installed.
    """
    activity, names, constant = living(subject.recording, 50)
    if len(names) < 2:
        raise InvalidRecording("one neuron alone changes, and assemblies need two; record a larger circuit")
    activity = activity[:_EPISODES]
    width = int(np.ceil(activity.shape[1] / _STEPS))
    bins = activity.shape[1] // width
    binned = activity[:, : bins * width].reshape(len(activity), bins, width, -1).mean(2)
    change = derivatives(binned)
    kept = np.sort(np.argsort(-(change**2).mean((0, 1)), kind="stable")[:_NEURONS])
    found, errors = assemblies(change[:, :, kept])
    kept_names = [names[index] for index in kept]
    seconds = width * subject.recording.dt
    numbers = {
        "assemblies": float(len(found)),
        "unexplained": float(errors[len(found) - 1]),
        "largest": float(max(len(each.members) for each in found)),
        "smallest": float(min(len(each.members) for each in found)),
        "neurons_taken": float(len(kept)),
        "constant": float(constant),
    }
    units = dict.fromkeys(numbers, "neurons") | {"assemblies": "assemblies", "unexplained": "of the power"}
    words = tuple(
        f"Assembly {index}: {', '.join(kept_names[member] for member in each.members)}."
        for index, each in enumerate(found, 1)
    )
    arrays = {
        "neuron": np.array(kept_names), "strength": np.stack([each.strength for each in found]),
        "course": np.stack([each.course for each in found]), "time": (np.arange(bins) + 0.5) * seconds,
        "episodes": np.stack([each.episodes for each in found]), "error": np.array(errors),
    }  # fmt: skip
    return ProbeResult(numbers, units, arrays, _figure(found, arrays), words)


def derivatives(activity: Float[np.ndarray, "E T n"]) -> Float[np.ndarray, "E T n"]:
    """Return the smoothed rate of change of every neuron's z-score, per bin."""
    flat = activity.reshape(-1, activity.shape[2]).astype(float)
    scored = (activity - flat.mean(0)) / np.maximum(flat.std(0), 1e-9)
    return np.asarray(gaussian_filter1d(scored, _SMOOTH, axis=1, order=1))


def assemblies(change: Float[np.ndarray, "E T n"]) -> tuple[list[Assembly], list[float]]:
    """Return the assemblies, and the share of the tensor's power left unexplained at each rank from 1.

    The rank is at the elbow, where the decrease of the unexplained share slows down most, or 1 if it hardly decreases.

    Raises:
        InvalidRecording: no two neurons ever change together.
        MissingDependency: tensorly is not installed.
    """
    tensorly: Any = require("tensorly", "probes")
    decomposition: Any = require("tensorly.decomposition", "probes")
    n = change.shape[2]
    pairs = list(itertools.combinations(range(n), 2))
    first, second = np.array(pairs).T
    affinity = np.sqrt(np.maximum(change[:, :, first] * change[:, :, second], 0)).transpose(2, 1, 0)
    power = float((affinity**2).sum())
    if not power:
        raise InvalidRecording(f"no two of {n} neurons ever rise or fall together, so there are no assemblies")
    fits, errors = [], []
    for rank in _RANKS:
        factors = decomposition.non_negative_parafac_hals(
            tensorly.tensor(affinity), rank, n_iter_max=100, init="random", tol=1e-6, random_state=0
        )
        fits.append(factors)
        errors.append(float(((affinity - factors.to_tensor()) ** 2).sum()) / power)
    # At rank 0, all power is unexplained.
    falls = -np.diff([1.0, *errors])
    bends = falls[:-1] - falls[1:]
    rank = int(np.argmax(bends)) + 1
    weights, (of_pairs, of_time, of_episodes) = fits[rank - 1]
    found = []
    for index in range(rank):
        strength = np.zeros((n, n))
        strength[first, second] = np.asarray(of_pairs)[:, index] * float(np.asarray(weights)[index])
        strength += strength.T
        found.append(
            Assembly(community(strength), strength, np.asarray(of_time)[:, index], np.asarray(of_episodes)[:, index])
        )
    return found, errors


def community(strength: Float[np.ndarray, "n n"]) -> tuple[int, ...]:
    """Return the most strongly connected community of a weighted graph, by Louvain's method (networkx).

    Edges below a fifth of the strongest are taken as noise and removed.
    """
    graph = nx.from_numpy_array(np.where(strength >= 0.2 * strength.max(), strength, 0))
    groups = nx.community.louvain_communities(graph, seed=0)
    inside = [strength[np.ix_(sorted(group), sorted(group))].sum() for group in groups]
    return tuple(sorted(groups[int(np.argmax(inside))]))


def _figure(found: list[Assembly], arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(9.4, 2.4 + 1.9 * ((len(found) + 2) // 3)), layout="constrained")
    rows = (len(found) + 2) // 3
    grid = figure.add_gridspec(rows + 1, 3, height_ratios=[1.0, *[1.3] * rows])
    top, elbow = figure.add_subplot(grid[0, :2]), figure.add_subplot(grid[0, 2])
    for index, each in enumerate(found):
        colour = COLOURS[index % len(COLOURS)]
        course = each.course / max(float(each.course.max()), 1e-12)
        top.plot(arrays["time"], course, color=colour, linewidth=0.9, label=f"assembly {index + 1}")
        axes = figure.add_subplot(grid[1 + index // 3, index % 3])
        order = [*each.members, *(i for i in range(len(each.strength)) if i not in each.members)]
        image = axes.imshow(each.strength[np.ix_(order, order)], cmap="magma", interpolation="nearest")
        inside = ", ".join(arrays["neuron"][list(each.members)][:4])
        axes.set_title(f"{index + 1}: {inside}{' ...' if len(each.members) > 4 else ''}", fontsize=8)
        axes.set(xlabel="neuron, members first", ylabel="neuron")
        figure.colorbar(image, ax=axes, shrink=0.8, label="strength")
    top.set(xlabel="time (s)", ylabel="activation (of its peak)")
    top.legend(frameon=False, fontsize=8, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.25))
    elbow.plot(list(_RANKS), arrays["error"], "-o", markersize=4, color=COLOURS[0])
    elbow.plot(len(found), arrays["error"][len(found) - 1], "o", markersize=9, markerfacecolor="none", color=COLOURS[4])
    elbow.set(xlabel="assemblies", ylabel="unexplained", ylim=(0, None))
    for axes in (top, elbow):
        open_axes(axes)
    return figure
