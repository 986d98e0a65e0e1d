"""The look of a film: view, size, frame rate and camera."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Int

from ..drawing.camera import CAMERAS
from ..errors import InvalidFilm, UnknownName
from ..options import Number, wrong_value

VIEWS = ("2d", "3d", "neurons")
_SIZE = {"2d": (640, 480), "3d": (640, 480), "neurons": (1280, 720)}
# Smaller ones have no room for words; larger ones are no H.264 that players take.
_PIXELS = Number(120, 4096, is_whole=True)
_BOUNDS = {"fps": Number(1, 120, also=(None,)), "speed": Number(0.01, 100), "zoom": Number(0.1, 20)}
_FASTEST_IMAGES = 50  # frames per second: browsers show a gif that is faster at ten


@dataclasses.dataclass(frozen=True)
class Look:
    """The look of a film.

    Attributes:
        view: "2d" from above, "3d" by MuJoCo's renderer, or "neurons", the body beside its wiring.
        size: width and height, pixels, 120 to 4096; None is 640 x 480, or 1280 x 720 with neurons.
        fps: frames per second; None is one frame per control step, or per two control steps in a gif or webp.
        speed: speed relative to real time; 0.5 is slow motion.
        camera: "follow" goes with the body, "fixed" shows its whole path from one place.
        zoom: zoom factor.

    Raises:
        UnknownName: there is no such view or camera.
        InvalidFilm: a number is out of range.
    """

    view: str = "2d"
    size: tuple[int, int] | None = None
    fps: float | None = None
    speed: float = 1.0
    camera: str = "follow"
    zoom: float = 1.0

    def __post_init__(self) -> None:
        for what, name, known in (("view", self.view, VIEWS), ("camera", self.camera, CAMERAS)):
            if name not in known:
                raise UnknownName(what, name, known)
        if wrong := wrong_value({name: getattr(self, name) for name in _BOUNDS}, _BOUNDS):
            raise InvalidFilm(wrong)
        if self.size is not None and not (len(self.size) == 2 and all(map(_PIXELS.takes, self.size))):
            raise InvalidFilm(f"size is {self.size}; give width and height in pixels, each {_PIXELS}")

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height."""
        return self.size or _SIZE[self.view]

    def rate(self, dt: float, path: Path) -> float:
        """Return the frames per second of a film at `path`, for control steps of `dt` seconds.

        Raises:
            InvalidFilm: the rate is too high for a gif or webp.
        """
        is_video = path.suffix == ".mp4"
        if self.fps is None:
            return 1 / dt if is_video else min(0.5 / dt, _FASTEST_IMAGES)
        if self.fps > _FASTEST_IMAGES and not is_video:
            raise InvalidFilm(f"fps is {self.fps:g}; a {path.suffix[1:]} shows at most {_FASTEST_IMAGES}, an mp4 more")
        return self.fps

    def instants(self, steps: int, dt: float, fps: float) -> Int[np.ndarray, " frames"]:
        """Return the control step shown by each frame, out of `steps` control steps of `dt` seconds."""
        stride = self.speed / (fps * dt)
        frames = max(1, int(np.ceil(steps / stride - 1e-6)))
        return np.minimum(np.arange(frames) * stride + 1e-6, steps - 1).astype(int)
