"""Where a body swam, from above: its path over the ground, with what was there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch, Polygon

from .poses import Poses
from .scenery import Layer
from .spine import axis_points

_CELLS, _WIDTH = 256, 7.0  # of the ground's picture along its longer side; inches
_PATH, _TARGET, _SOURCE = "#1f6feb", "#d4772c", "#1a6b33"
_MOST_TARGETS = 50


def path_map(poses: Poses) -> Figure:
    """Draw the nose's path over the ground as it is at the end, the body at both ends, and what was around it."""
    nose, room = axis_points(poses, 0.5)[:, 0], 0.5 * float(poses.link_length.sum())
    targets = _places(poses)
    seen = np.concatenate([poses.link_pos.reshape(-1, 2), targets])
    low, high = seen.min(0) - room, seen.max(0) + room
    # No flatter or taller than a page shows well.
    size = np.maximum(high - low, (high - low).max() * np.array([0.5, 0.35]))
    middle, scenery, last = (low + high) / 2, poses.scenery, len(nose) - 1
    figure = Figure(figsize=(_WIDTH, float(np.clip(_WIDTH * size[1] / size[0] + 1.0, 2.5, 8.0))), layout="constrained")
    axes = figure.subplots()
    left, right = middle - size / 2, middle + size / 2
    if scenery.layers:
        cells = np.maximum(size / size.max() * _CELLS, 1).astype(int).tolist()
        ground = scenery.picture(middle, (size[0], size[1]), (cells[0], cells[1]), last)
        axes.imshow(ground, extent=(left[0], right[0], left[1], right[1]), interpolation="bilinear")
    if poses.obstacles is not None:
        for corners, colour in poses.obstacles.corners(last, left, right):
            axes.add_patch(Polygon(corners, facecolor=colour, alpha=0.6, linewidth=0))
    for place in targets:
        axes.add_patch(Circle((place[0], place[1]), scenery.target_radius, color=_TARGET, alpha=0.7, linewidth=0))
    for x, y in scenery.sources_at(last):
        axes.plot(x, y, "o", markersize=6, markerfacecolor="none", markeredgecolor=_SOURCE)
    axes.plot(*nose.T, color=_PATH, linewidth=1.4, label="path of the nose")
    for instant, style in ((0, ":"), (last, "-")):
        links = poses.link_pos[instant]
        # Black, which is a page's ink in the dark.
        axes.plot(*links.T, style, color="black", linewidth=2.5, label="at the end" if instant else "at the start")
    axes.set(xlim=(left[0], right[0]), ylim=(left[1], right[1]), xlabel="m", ylabel="m", aspect="equal")
    handles = [*axes.get_legend_handles_labels()[0], *_patches(scenery.layers)]
    if len(targets):
        handles.append(Patch(color=_TARGET, alpha=0.7, label="target"))
    figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    for layer in scenery.layers:
        if not layer.apart:
            _bar(figure, axes, layer)
    return figure


def _places(poses: Poses) -> Float[np.ndarray, "places 2"]:
    """Return every place where the target was, m, but for those that it passed."""
    if poses.target_pos is None:
        return np.zeros((0, 2))
    places = np.unique(poses.target_pos.round(3), axis=0)
    return places if len(places) <= _MOST_TARGETS else poses.target_pos[[0, -1]]


def _patches(layers: tuple[Layer, ...]) -> list[Patch]:
    return [
        Patch(facecolor=_rgba(layer, level), edgecolor="#6e7781", label=f"{layer.name}: {text}")
        for layer in layers if layer.apart for level, text in layer.ticks
    ]  # fmt: skip


def _bar(figure: Figure, axes: Axes, layer: Layer) -> None:
    """Draw the levels of a layer as a bar beside the map."""
    levels = np.linspace(0.0, 1.0, 64)
    colours = ListedColormap([_rgba(layer, level) for level in levels.tolist()])
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), colours), ax=axes, shrink=0.7, label=layer.name)
    bar.set_ticks([level for level, _ in layer.ticks], labels=[text for _, text in layer.ticks])


def _rgba(layer: Layer, level: float) -> tuple[float, float, float, float]:
    red, green, blue, opacity = layer.tint(np.array(level)).tolist()
    return red / 255, green / 255, blue / 255, opacity
