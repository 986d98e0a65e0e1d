"""What of the water is in the picture: the camera follows the body, or stands where it sees all of its path."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from .poses import Poses

CAMERAS = ("follow", "fixed")
_ROOM = 2.4, 1.15  # body lengths across and high, at least, where the camera follows
_SWAY = 1.0  # seconds over which its path is smoothed


def shot(poses: Poses, camera: str, zoom: float) -> tuple[Float[np.ndarray, "T 2"], Float[np.ndarray, " 2"]]:
    """Return the middle of the picture at each instant, m, and the width and height that must be in it, m.

    Args:
        poses: what is drawn.
        camera: "follow" goes with the centre of mass, "fixed" sees the whole path from one place.
        zoom: how many times closer.
    """
    length = poses.link_length.sum()
    if camera == "follow":
        return _smoothed(poses.com_pos, round(_SWAY / poses.dt)), length * np.array(_ROOM) / zoom
    low, high = poses.link_pos.min((0, 1)), poses.link_pos.max((0, 1))
    centres = np.repeat((low + high)[None] / 2, len(poses.link_pos), 0)
    return centres, (high - low + 0.4 * length) / zoom


def _smoothed(path: Float[np.ndarray, "T 2"], steps: int) -> Float[np.ndarray, "T 2"]:
    """Return a moving average, so that the camera does not sway with every stroke."""
    half = max(1, min(steps, len(path)))
    held = np.pad(path, ((half, half - 1), (0, 0)), "edge")
    averages: np.ndarray = np.lib.stride_tricks.sliding_window_view(held, 2 * half, axis=0).mean(-1)
    return averages
