"""Pictures of environments as they are now, for every API."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import UInt8

from ..drawing.top_view import TopView
from ..errors import InvalidTask
from ..options import Number, wrong_value
from .env_batch import EnvBatch

RENDER_MODES = ["rgb_array"]
_MOST = 8192  # pixels, beyond any screen


def picture_size(render_mode: str | None, width: int, height: int) -> tuple[int, int]:
    """Return the size of a picture, pixels.

    Raises:
        InvalidTask: there is no such render mode, or the size is out of range.
    """
    if render_mode not in (None, *RENDER_MODES):
        raise InvalidTask(
            f"render_mode is {render_mode!r}; give None or 'rgb_array', of which gymnasium.make makes 'human' and "
            "'rgb_array_list', and so does gymnasium.make_vec with vectorization_mode='sync'"
        )
    allowed = {name: Number(64, _MOST, is_whole=True) for name in ("width", "height")}
    if wrong := wrong_value({"width": width, "height": height}, allowed):
        raise InvalidTask(wrong)
    return width, height


def pictured(dt: float) -> dict[str, Any]:
    """Return gymnasium's metadata of environments with a control step of `dt` seconds, one picture for each."""
    return {"render_modes": list(RENDER_MODES), "render_fps": round(1 / dt)}


def pictures(envs: EnvBatch, size: tuple[int, int]) -> list[UInt8[np.ndarray, "height width 3"]]:
    """Draw every environment as it is now, RGB from 0 to 255; `size` is width and height, pixels."""
    return [TopView(envs.poses(index), size=size, clock=False).frame(0) for index in range(envs.n_envs)]
