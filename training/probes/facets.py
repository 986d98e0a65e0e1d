"""Facets: the different situations in which one neuron is most active.

After Nguyen, Yosinski and Clune 2016 (https://arxiv.org/abs/1602.03616), on a body's postures.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...drawing.figures import COLOURS
from ...extras import require
from ..rollouts.recording import Recording
from .contract import ProbeResult, Subject, living, settled
from .tools.predicates import best_phrase, body_predicates

_MOMENTS = 150
_APART = 8  # control steps between moments of one neuron
_COMPONENTS = 5
_MOST = 5  # facets
_LEAST_SILHOUETTE = 0.2
_NULLS = 20
_LINEAR = 0.05  # share of linear readouts with several facets, above which the count says little
_SHOWN = 6  # neurons in the figure


@dataclasses.dataclass(frozen=True)
class Facets:
    """The facets of one neuron.

    Attributes:
        episode, step: of each of its moments.
        facet: of each moment, from 0; all 0 where there is one facet.
        silhouette: of the best division, whether it was good enough or not.
    """

    episode: Int[np.ndarray, " m"]
    step: Int[np.ndarray, " m"]
    facet: Int[np.ndarray, " m"]
    silhouette: float

    @property
    def count(self) -> int:
        """The number of facets."""
        return int(self.facet.max()) + 1


def facets(subject: Subject) -> ProbeResult:
    """Divide the 150 strongest moments of every neuron by the body's posture and motion.

    Moments are at least 8 control steps apart, after the first fifth of an episode. A neuron has several
    facets where the silhouette of their division is above 0.2 and above 95 % of those of Gaussian clouds of
    as many points and dimensions.

    Moments of a regular gait come at a few of its phases, and divide even if a neuron answers to one thing. As a
    control, 20 linear readouts of posture and motion in random directions are divided alike: `linear_with_several` is
    the share that has several facets. Where it is not near 0, read the postures and not the count.

    Raises:
        InvalidRecording: fewer than 100 steps, values that are not finite, or no neuron that changes.
        MissingDependency: scikit-learn is not installed.
    """
    recording = subject.recording
    first = settled(recording)
    activity, names, constant = living(recording, 100, first)
    situations = _situations(recording)
    moments = [
        (episode, first + step)
        for episode, step in (strongest_moments(activity[:, first:, index]) for index in range(len(names)))
    ]
    least = _silhouette_by_chance(min(len(episode) for episode, _ in moments), min(_COMPONENTS, situations.shape[2]))
    found = [divide(situations, episode, step, least) for episode, step in moments]
    counts = np.array([each.count for each in found])
    numbers = {
        "one_facet": float((counts == 1).sum()), "several_facets": float((counts > 1).sum()),
        "most_facets": float(counts.max()), "median_silhouette": float(np.median([f.silhouette for f in found])),
        "silhouette_by_chance": least, "linear_with_several": _linear_with_several(situations, first, least),
        "constant": float(constant),
    }  # fmt: skip
    units = dict.fromkeys(numbers, "neurons") | {"most_facets": "facets", "median_silhouette": "",
                                                 "silhouette_by_chance": "", "linear_with_several": ""}  # fmt: skip
    several = sorted(np.flatnonzero(counts > 1).tolist(), key=lambda index: -found[index].silhouette)
    words = [_sentence(names[index], found[index], recording) for index in several]
    if several and numbers["linear_with_several"] > _LINEAR:
        share = f"{100 * numbers['linear_with_several']:.0f} %"
        words.insert(0, f"{share} of random linear readouts have several facets too: the count says little here.")
    arrays = {
        "neuron": np.array(names), "facets": counts, "silhouette": np.array([each.silhouette for each in found]),
    }  # fmt: skip
    shown = several[:_SHOWN] or np.argsort([-each.silhouette for each in found])[:2].tolist()
    figure = _figure([names[index] for index in shown], [found[index] for index in shown], recording)
    return ProbeResult(numbers, units, arrays, figure, tuple(words))


def strongest_moments(series: Float[np.ndarray, "E T"]) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Return episode and step of a neuron's strongest moments, at least 8 steps apart, at most 150.

    Among equals, as in a neuron that saturates, moments are drawn at random.
    """
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(series.size)
    order = shuffled[np.argsort(-series.ravel()[shuffled], kind="stable")]
    # None from its lower half: those are not what it answers to.
    order = order[series.ravel()[order] > np.median(series)] if (series > np.median(series)).any() else order
    free = np.ones(series.shape, bool)
    episodes, steps = [], []
    for flat in order.tolist():
        episode, step = divmod(flat, series.shape[1])
        if free[episode, step]:
            episodes.append(episode)
            steps.append(step)
            free[episode, max(0, step - _APART + 1) : step + _APART] = False
            if len(steps) == _MOMENTS:
                break
    return np.array(episodes), np.array(steps)


def divide(
    situations: Float[np.ndarray, "E T k"], episode: Int[np.ndarray, " m"], step: Int[np.ndarray, " m"], least: float
) -> Facets:
    """Divide moments by principal components and k-means; the silhouette picks how many facets.

    Args:
        situations: z-scored posture and motion.
        episode, step: of the moments.
        least: silhouette that a division must exceed.

    Raises:
        MissingDependency: scikit-learn is not installed.
    """
    points = situations[episode, step]
    points = points - points.mean(0)
    directions = np.linalg.svd(points, full_matrices=False)[2][:_COMPONENTS]
    scores = points @ directions.T
    silhouette, facet = _best_division(scores)
    if silhouette <= max(least, _LEAST_SILHOUETTE):
        facet = np.zeros(len(points), int)
    return Facets(episode, step, facet, silhouette)


def _best_division(points: Float[np.ndarray, "m k"]) -> tuple[float, Int[np.ndarray, " m"]]:
    cluster: Any = require("sklearn.cluster", "probes")
    metrics: Any = require("sklearn.metrics", "probes")
    best = -1.0, np.zeros(len(points), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fewer distinct points than facets
        for count in range(2, min(_MOST, len(points) - 1) + 1):
            facet = cluster.KMeans(count, n_init=2, random_state=0).fit_predict(points)
            if len(np.unique(facet)) < 2:
                break
            score = float(metrics.silhouette_score(points, facet))
            if score > best[0]:
                best = score, facet
    return best


def _silhouette_by_chance(points: int, dimensions: int) -> float:
    rng = np.random.default_rng(0)
    clouds = rng.standard_normal((_NULLS, max(points, 3), dimensions))
    return float(np.quantile([_best_division(cloud)[0] for cloud in clouds], 0.95))


def _linear_with_several(situations: Float[np.ndarray, "E T k"], first: int, least: float) -> float:
    """Return the share of linear readouts in random directions that have several facets."""
    directions = np.random.default_rng(0).standard_normal((_NULLS, situations.shape[2]))
    counts = []
    for direction in directions:
        episode, step = strongest_moments((situations @ direction)[:, first:])
        counts.append(divide(situations, episode, first + step, least).count)
    return float((np.array(counts) > 1).mean())


def _situations(recording: Recording) -> Float[np.ndarray, "E T k"]:
    parts = np.concatenate([np.asarray(recording.joint_pos, float), np.asarray(recording.joint_vel, float)], 2)
    flat = parts.reshape(-1, parts.shape[2])
    return np.asarray((parts - flat.mean(0)) / np.maximum(flat.std(0), 1e-9))


def _sentence(name: str, found: Facets, recording: Recording) -> str:
    """Say when each facet comes, against the neuron's other moments."""
    predicates = body_predicates(recording)
    parts = []
    at = np.zeros((recording.n_episodes, recording.n_steps), bool)
    at[found.episode, found.step] = True
    # In the order of the steps, as indexing by `at` gives them.
    order = np.lexsort((found.step, found.episode))
    for facet in range(found.count):
        event = (found.facet == facet)[order]
        phrase = best_phrase(predicates, event, at)
        parts.append(f"({100 * event.mean():.0f} %) {phrase.text if phrase else 'like no other'}")
    return f"{name} is most active in {found.count} situations: {'; '.join(parts)}."


def _figure(names: list[str], found: list[Facets], recording: Recording) -> Figure:
    columns = max(each.count for each in found)
    figure = Figure(figsize=(1.8 + 1.7 * columns, 0.5 + 1.25 * len(found)), layout="constrained")
    grid = figure.subplots(len(found), columns, squeeze=False)
    lengths = np.asarray(recording.meta["link_length"], float)
    for row, (name, each) in enumerate(zip(names, found, strict=True)):
        for column in range(columns):
            axes = grid[row, column]
            axes.set_axis_off()
            if column < each.count:
                chosen = each.facet == column
                _draw_posture(axes, recording, each.episode[chosen], each.step[chosen], lengths)
                axes.set_title(f"{100 * chosen.mean():.0f} %", fontsize=8, color="#57606a", pad=1)
        grid[row, 0].text(-0.02, 0.5, name, transform=grid[row, 0].transAxes, ha="right", va="center", fontsize=8)
    figure.suptitle("mean posture of each facet, head (dot) to the right; thin: single moments", fontsize=8)
    return figure


def _draw_posture(
    axes: Axes, recording: Recording, episode: np.ndarray, step: np.ndarray, lengths: Float[np.ndarray, " L"]
) -> None:
    joints = np.stack([np.asarray(recording.joint_pos[e, t], float) for e, t in zip(episode, step, strict=True)])
    for angles in [*joints[:15], joints.mean(0)]:
        heading = np.concatenate([[0.0], np.cumsum(angles)]) + np.pi
        points = np.vstack(
            [[0.0, 0.0], np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1) * lengths[:, None], 0)]
        )
        # Turned so that the body as a whole lies along the page.
        along = points[0] - points[-1]
        angle = -np.arctan2(along[1], along[0])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = (points - points.mean(0)) @ turn.T
        axes.plot(points[:, 0], points[:, 1], color=COLOURS[1], linewidth=0.5, alpha=0.35)
    axes.lines[-1].set(color=COLOURS[0], linewidth=2.4, alpha=1.0)
    axes.plot(*points[0], "o", color=COLOURS[0], markersize=5)
    axes.set_aspect("equal", "datalim")
