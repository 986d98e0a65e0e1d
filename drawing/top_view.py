"""A crisp top view of a swimming body, drawn with Pillow: no OpenGL, hundreds of frames a second."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy.interpolate import CubicHermiteSpline
from scipy.ndimage import uniform_filter1d

from .poses import Poses

_WATER, _GRID, _INK, _FAINT = (246, 249, 252), (222, 230, 238), (36, 41, 47), (110, 119, 129)
_TRAIL, _TARGET = np.array([9, 105, 218]), (255, 184, 108)
_STRAIGHT, _DORSAL, _VENTRAL = np.array([176, 137, 104]), np.array([214, 69, 65]), np.array([52, 120, 214])
_SMOOTH = 2  # drawn this much larger, then reduced: anti-aliasing
_TRAIL_SECONDS, _SPEED_SECONDS = 6.0, 1.0


class TopView:
    """Frames of a moving body.

    The body is tinted where a joint bends (red to the dorsal side, blue to the ventral), the head's path
    fades behind it, and the camera follows the centre of mass.

    Args:
        poses: what to draw.
        size: width and height, pixels.
        caption: a line under the body's name.
        clock: write time and speed, which a single instant does not know.
    """

    def __init__(
        self,
        poses: Poses,
        size: tuple[int, int] = (640, 480),
        caption: str = "",
        clock: bool = True,
    ) -> None:
        if not isinstance(poses, Poses):
            warnings.warn("TopView takes poses: TopView(recording.poses(episode))", DeprecationWarning, stacklevel=2)
            poses = poses.poses()
        self.size, self.dt, self.caption, self.clock = size, poses.dt, caption, clock
        self.name = poses.name
        self._links, self._angles, self._joints = poses.link_pos, poses.link_angle, poses.joint_pos
        self._limit, self._lengths, self._widths = poses.joint_limit, poses.link_length, poses.link_width
        self._target, self._com, self._is_chain = poses.target_pos, poses.com_pos, poses.is_chain
        self._camera = _smoothed(self._com, round(1.0 / self.dt))
        self._pixels_per_metre = _SMOOTH * size[0] / (2.4 * self._lengths.sum())
        self._font = ImageFont.load_default(size=15 * _SMOOTH)
        self._small = ImageFont.load_default(size=12 * _SMOOTH)
        self._heads = self._axis_points(slice(None), 0, 0.5)

    def __len__(self) -> int:
        return len(self._links)

    def frames(self, step: int = 1) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """Draw every `step`-th instant, RGB from 0 to 255."""
        for instant in range(0, len(self), step):
            yield self.frame(instant)

    def frame(self, instant: int) -> UInt8[np.ndarray, "height width 3"]:
        """Draw one instant, RGB from 0 to 255."""
        width, height = self.size[0] * _SMOOTH, self.size[1] * _SMOOTH
        image = Image.new("RGB", (width, height), _WATER)
        draw = ImageDraw.Draw(image)
        origin = self._camera[instant]
        self._draw_grid(draw, origin)
        if self._target is not None:
            x, y = self._to_pixels(self._target[instant][None], origin)[0]
            radius = 0.1 * self._pixels_per_metre
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_TARGET)
        self._draw_trail(draw, instant, origin)
        self._draw_body(draw, instant, origin)
        self._draw_words(draw, instant)
        return np.array(image.reduce(_SMOOTH))  # asarray's would be read-only

    def _axis_points(self, instants: slice | int, link: int, along: float) -> np.ndarray:
        """Return points on a link's axis, `along` link lengths ahead of its centre."""
        angle = self._angles[instants, link]
        direction = np.stack([np.cos(angle), np.sin(angle)], -1)
        return self._links[instants, link] + along * self._lengths[link] * direction

    def _to_pixels(self, points: Float[np.ndarray, "n 2"], origin: np.ndarray) -> Float[np.ndarray, "n 2"]:
        centre = np.array(self.size) * _SMOOTH / 2
        return centre + (points - origin) * self._pixels_per_metre * np.array([1, -1])

    def _draw_grid(self, draw: ImageDraw.ImageDraw, origin: np.ndarray) -> None:
        spacing = _round_length(self._lengths.sum() / 2)
        width, height = self.size[0] * _SMOOTH, self.size[1] * _SMOOTH
        reach = np.array([width, height]) / 2 / self._pixels_per_metre
        for axis in (0, 1):
            first = np.ceil((origin[axis] - reach[axis]) / spacing) * spacing
            for place in np.arange(first, origin[axis] + reach[axis], spacing):
                point = np.where(np.arange(2) == axis, place, origin)
                at = self._to_pixels(point[None], origin)[0][axis]
                ends = (at, 0, at, height) if axis == 0 else (0, at, width, at)
                draw.line(ends, fill=_GRID, width=_SMOOTH)

    def _draw_trail(self, draw: ImageDraw.ImageDraw, instant: int, origin: np.ndarray) -> None:
        first = max(0, instant - round(_TRAIL_SECONDS / self.dt))
        points = self._to_pixels(self._heads[first : instant + 1 : 2], origin)
        for index in range(len(points) - 1):
            share = (index + 1) / len(points)
            colour = tuple(int(c) for c in np.array(_WATER) + 0.55 * share * (_TRAIL - np.array(_WATER)))
            draw.line((*points[index], *points[index + 1]), fill=colour, width=2 * _SMOOTH)

    def _draw_body(self, draw: ImageDraw.ImageDraw, instant: int, origin: np.ndarray) -> None:
        if self._is_chain:
            self._draw_chain(draw, instant, origin)
        else:
            self._draw_links(draw, instant, origin)

    def _draw_links(self, draw: ImageDraw.ImageDraw, instant: int, origin: np.ndarray) -> None:
        """Draw each link as a rounded bar, the first one last, tinted where the joint that carries it bends."""
        bend = np.concatenate([[0.0], np.clip(self._joints[instant] / self._limit, -1, 1)])
        for layer, extra in ((_INK, 1.5 * _SMOOTH), (None, 0.0)):
            for link in reversed(range(len(self._lengths))):
                ends = np.stack([self._axis_points(instant, link, along) for along in (-0.5, 0.5)])
                radius = max(0.5 * self._widths[link] * self._pixels_per_metre, 2.5 * _SMOOTH) + extra
                fill = layer or _tint(bend[link])
                points = self._to_pixels(ends, origin)
                draw.line((*points[0], *points[1]), fill=fill, width=round(2 * radius))
                for x, y in points:
                    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def _draw_chain(self, draw: ImageDraw.ImageDraw, instant: int, origin: np.ndarray) -> None:
        # The spine runs from the nose over the joints to the tail; splitting it finely rounds the bends.
        n_links = len(self._lengths)
        ahead = np.stack([self._axis_points(instant, link, 0.5) for link in range(n_links)])
        knots = np.concatenate([ahead, self._axis_points(instant, n_links - 1, -0.5)[None]])
        # Discs two pixels apart look like one outline.
        spacing = 2.0 * _SMOOTH / self._pixels_per_metre
        fine = np.linspace(0, n_links, max(6 * n_links, int(self._lengths.sum() / spacing)) + 1)
        at = np.arange(n_links + 1)
        spine = CubicHermiteSpline(at, knots, np.gradient(knots, axis=0))(fine)
        width = np.interp(fine, at[:-1] + 0.5, self._widths)
        width *= np.clip(np.minimum(0.55 + fine, 0.25 + 0.6 * (n_links - fine)), 0, 1)
        bend = np.concatenate([[0.0], np.clip(self._joints[instant] / self._limit, -1, 1), [0.0]])
        bent = np.interp(fine, at, bend)
        radii = np.maximum(0.9 * width * self._pixels_per_metre, 2.5 * _SMOOTH)
        points = self._to_pixels(spine, origin)
        for layer, extra in ((_INK, 1.5 * _SMOOTH), (None, 0.0)):
            for (x, y), radius, amount in zip(points[::-1], radii[::-1], bent[::-1], strict=True):
                fill = layer or _tint(amount)
                r = radius + extra
                draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        self._draw_eyes(draw, instant, origin, radii[np.searchsorted(fine, 0.3)])

    def _draw_eyes(self, draw: ImageDraw.ImageDraw, instant: int, origin: np.ndarray, radius: float) -> None:
        angle = self._angles[instant, 0]
        x, y = self._to_pixels(self._axis_points(instant, 0, 0.38)[None], origin)[0]
        across = np.array([-np.sin(angle), -np.cos(angle)]) * radius * 0.55
        size = max(radius * 0.28, 1.2 * _SMOOTH)
        for sign in (-1, 1):
            ex, ey = x + sign * across[0], y + sign * across[1]
            draw.ellipse((ex - size, ey - size, ex + size, ey + size), fill=_INK)

    def _draw_words(self, draw: ImageDraw.ImageDraw, instant: int) -> None:
        width, height = self.size[0] * _SMOOTH, self.size[1] * _SMOOTH
        margin = 14 * _SMOOTH
        draw.text((margin, margin), self.name, fill=_INK, font=self._font)
        if self.caption:
            draw.text((margin, margin + 20 * _SMOOTH), self.caption, fill=_FAINT, font=self._small)
        if self.clock:
            before = max(0, instant - round(_SPEED_SECONDS / self.dt))
            moved = np.linalg.norm(self._com[instant] - self._com[before])
            speed = 100 * moved / max((instant - before) * self.dt, self.dt)
            words = f"{instant * self.dt:5.1f} s    {speed:4.1f} cm/s"
            draw.text((width - margin, margin), words, fill=_INK, font=self._font, anchor="ra")
        length = self.scale_bar()
        pixels = length * self._pixels_per_metre
        y = height - margin
        draw.line((margin, y, margin + pixels, y), fill=_INK, width=3 * _SMOOTH)
        label = f"{100 * length:g} cm" if length < 1 else f"{length:g} m"
        draw.text((margin + pixels / 2, y - 5 * _SMOOTH), label, fill=_INK, font=self._small, anchor="mb")

    def scale_bar(self) -> float:
        """Return the length of the scale bar, m: a round number near a third of the body."""
        return _round_length(self._lengths.sum() / 3)


def _tint(bend: float) -> tuple[int, ...]:
    """Return the colour of a part that bends, from -1 (ventral) to 1 (dorsal)."""
    towards = _DORSAL if bend > 0 else _VENTRAL
    return tuple(int(value) for value in _STRAIGHT + abs(bend) * (towards - _STRAIGHT))


def _round_length(length: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not above `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(step * power for step in (1, 2, 5) if step * power <= length * 1.0001))


def _smoothed(path: Float[np.ndarray, "T 2"], steps: int) -> Float[np.ndarray, "T 2"]:
    """Return a moving average, so that the camera does not sway with every stroke."""
    return np.asarray(uniform_filter1d(path, 2 * max(1, min(steps, len(path))), axis=0, mode="nearest"))
