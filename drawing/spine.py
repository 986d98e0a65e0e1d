"""The smooth body that is drawn through the links of a chain."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from .poses import Poses


def axis_points(poses: Poses, along: float) -> Float[np.ndarray, "T L 2"]:
    """Return a point on each link's axis, m, `along` link lengths ahead of its centre."""
    direction = np.stack([np.cos(poses.link_angle), np.sin(poses.link_angle)], -1)
    return poses.link_pos + along * poses.link_length[:, None] * direction


def spine(
    poses: Poses, places: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "T n 2"], Float[np.ndarray, " n"], Float[np.ndarray, "T n"]]:
    """Return points along a chain, m, with the radius, m, and the bend, in units of the joint limit, at each.

    It runs from the nose over the joints to the tail. `places` are in links: 0 is the nose and L the tail.
    """
    n_links = len(poses.link_length)
    knots = np.concatenate([axis_points(poses, 0.5), axis_points(poses, -0.5)[:, -1:]], 1)
    width = np.interp(places, np.arange(n_links) + 0.5, poses.link_width)
    # Pointed at both ends, the tail more than the nose.
    width *= np.clip(np.minimum(0.55 + places, 0.25 + 0.6 * (n_links - places)), 0, 1)
    bend = np.pad(np.clip(poses.joint_pos / poses.joint_limit, -1, 1), ((0, 0), (1, 1)))
    left = np.minimum(places.astype(int), n_links - 1)
    share = places - left
    # Cubic Hermite interpolation, written out: scipy.interpolate takes a fifth of a second to import.
    s, slopes = share[:, None], np.gradient(knots, axis=1)
    line = (1 - s) ** 2 * ((1 + 2 * s) * knots[:, left] + s * slopes[:, left])
    line += s**2 * ((3 - 2 * s) * knots[:, left + 1] - (1 - s) * slopes[:, left + 1])
    return line, 0.9 * width, bend[:, left] * (1 - share) + bend[:, left + 1] * share


def segments(
    poses: Poses,
) -> tuple[Float[np.ndarray, "T S 2 2"], Float[np.ndarray, " S"], Float[np.ndarray, "T S"]]:
    """Return a body as straight pieces: their ends, m, with the radius, m, and the bend of each, as `spine` does."""
    if not poses.is_chain:
        bend = np.pad(poses.joint_pos / poses.joint_limit, ((0, 0), (1, 0)))
        return np.stack([axis_points(poses, 0.5), axis_points(poses, -0.5)], 2), 0.5 * poses.link_width, bend
    # Four to a link look smooth.
    points, radius, bend = spine(poses, np.arange(4 * len(poses.link_length) + 1) / 4)
    return np.stack([points[:, :-1], points[:, 1:]], 2), (radius[:-1] + radius[1:]) / 2, bend[:, :-1]
