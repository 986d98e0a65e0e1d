"""A figure of eigenworms: their shapes, what they hold, and how a worm moves among them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ..drawing.figures import COLOURS, open_axes, stroke
from .posture import Posture
from .shapes import SEGMENTS, Eigenworms

_MOST_WORMS = 4  # whose ways are drawn, that they can be told apart


def eigenworm_figure(shapes: Eigenworms, postures: Mapping[str, Posture]) -> Figure:
    """Draw the shapes, the share of the variance, and two phase portraits: the first two amplitudes, and the third.

    Args:
        shapes: two or more.
        postures: by the worm's name; of many, the first few are drawn.
    """
    figure = Figure(figsize=(11.0, 2.8), layout="constrained")
    left, middle, right, far = figure.subplots(1, 4, width_ratios=[1.2, 0.8, 1, 1])
    place = (np.arange(SEGMENTS) + 0.5) / SEGMENTS
    for index, vector in enumerate(shapes.vectors):
        colour, dashes = stroke(index)
        left.plot(place, vector, dashes, color=colour, label=f"{index + 1}")
    left.set(xlabel="head to tail, of its length", ylabel="no unit", title="shapes")
    left.legend(frameon=False, ncols=4, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, -0.02), handlelength=1)
    left.margins(y=0.2)
    share = shapes.share(list(postures.values()))
    middle.plot(np.arange(len(share)) + 1, share, "o-", color=COLOURS[0])
    middle.set(xlabel="shapes", ylabel="share of the variance", title="what they hold", ylim=(0, 1.03))
    middle.set_xticks(np.arange(len(share)) + 1)
    third = min(2, len(shapes.vectors) - 1)
    for (name, posture), colour in zip([*postures.items()][:_MOST_WORMS], COLOURS, strict=False):
        found = shapes.amplitudes(posture)
        right.plot(found[:, 0], found[:, 1], color=colour, linewidth=0.8, label=name)
        far.plot(posture.time, found[:, third], color=colour, linewidth=0.8)
    right.set(xlabel="amplitude 1, rad", ylabel="amplitude 2, rad", title="phase portrait")
    right.set_aspect("equal", "datalim")
    if len(postures) > 1:
        right.legend(frameon=False, fontsize=7)
    far.set(xlabel="time, s", ylabel=f"amplitude {third + 1}, rad", title="over time")
    for axes in (left, middle, right, far):
        axes.grid(alpha=0.25)
        open_axes(axes)
    return figure
