"""A crisp top view of a swimming body, drawn with Pillow: no OpenGL, hundreds of frames a second."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from .camera import shot
from .palette import bend_tint, paler
from .poses import Poses
from .spine import axis_points, segments, spine
from .stamps import print_words

_NEAREST = Image.Resampling.NEAREST
_WATER, _GRID, _INK, _FAINT = (246, 249, 252), (222, 230, 238), (36, 41, 47), (110, 119, 129)
_TRAIL, _TARGET = np.array([9, 105, 218]), (255, 184, 108)
_TOUCH = (255, 211, 61)  # links that press on something
_SOURCE, _RIM = (26, 107, 51), (179, 98, 0)
_SMOOTH = 2  # what has edges is drawn this much larger, then reduced: anti-aliasing
_CELL, _RING = 4, 5 * _SMOOTH  # pixels: of the ground's picture, and the radius of a source's ring
_ARROW, _MARGIN = 22 * _SMOOTH, 6 * _SMOOTH  # pixels: of the arrow to a target out of view, and from the edge
_LETTERS, _SMALL = 15, 12  # pixels
_TRAIL_SECONDS, _SPEED_SECONDS = 6.0, 1.0


class TopView:
    """Draw frames of a moving body, seen from above.

    The body is tinted where a joint bends (red to the dorsal side, blue to the ventral side), and the head leaves a
    fading trail. Media, odour and temperature tint the ground, with a legend. Obstacles are drawn, and links that press
    on them have a yellow outline.

    Args:
        poses: the poses to draw.
        size: width and height, pixels.
        caption: a line under the body's name.
        clock: whether to write time and speed.
        camera: "follow" moves with the centre of mass, "fixed" shows the whole path.
        zoom: zoom factor.
    """

    def __init__(
        self,
        poses: Poses,
        size: tuple[int, int] = (640, 480),
        caption: str = "",
        clock: bool = True,
        camera: str = "follow",
        zoom: float = 1.0,
    ) -> None:
        if not isinstance(poses, Poses):
            warnings.warn("TopView takes poses: TopView(recording.poses(episode))", DeprecationWarning, stacklevel=2)
            poses = poses.poses()
        self.size, self.dt, self.caption, self.clock = size, poses.dt, caption, clock
        self.name = poses.name
        self._poses, self._lengths = poses, poses.link_length
        self._camera, extent = shot(poses, camera, zoom)
        self._pixels_per_metre = _SMOOTH * float(np.min(np.array(size) / extent))
        self._pixel = np.array([1, -1]) * _SMOOTH / self._pixels_per_metre  # to the right and down, m
        self._heads = axis_points(poses, 0.5)[:, 0]
        self._key = poses.scenery.key(_SMALL, size[0])

    def __len__(self) -> int:
        return len(self._poses.link_pos)

    def frames(self, step: int = 1) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """Draw every `step`-th instant, RGB from 0 to 255."""
        for instant in range(0, len(self), step):
            yield self.frame(instant)

    def frame(self, instant: int) -> UInt8[np.ndarray, "height width 3"]:
        """Draw one instant, RGB from 0 to 255."""
        image = Image.new("RGB", self.size, _WATER)
        origin = self._camera[instant]
        self._draw_ground(image, instant, origin)
        self._draw_grid(image, origin)
        box = self._edged(instant, origin)
        part = image.crop(box).resize(((box[2] - box[0]) * _SMOOTH, (box[3] - box[1]) * _SMOOTH), _NEAREST)
        self._draw_edged(ImageDraw.Draw(part), instant, origin + np.multiply(box[:2], self._pixel))
        image.paste(part.reduce(_SMOOTH), box[:2])
        self._draw_words(ImageDraw.Draw(image), instant)
        if self._key is not None:
            at = self.size[0] - self._key.width - 10, self.size[1] - self._key.height - 10
            image.paste(self._key, at, self._key)
        return np.array(image)  # asarray's would be read-only

    def _edged(self, instant: int, origin: np.ndarray) -> tuple[int, int, int, int]:
        """Return the part of the picture that has edges, pixels: reducing all of it takes as long as the body."""
        poses = self._poses
        if poses.obstacles is not None or poses.target_pos is not None or poses.scenery.sources.size:
            return (0, 0, *self.size)
        now = poses.between(instant, instant + 1)
        ends = [axis_points(now, along)[0] for along in (0.5, -0.5)]
        at = self._to_pixels(np.concatenate([*ends, self._heads[self._trail(instant)]]), origin) / _SMOOTH
        # The body's line swings out between joints.
        room = (0.3 * self._lengths.max() + poses.link_width.max()) * self._pixels_per_metre / _SMOOTH + 6
        low = np.clip(at.min(0) - room, 0, np.array(self.size) - 1).astype(int)
        high = np.clip(np.ceil(at.max(0) + room), low + 1, self.size).astype(int)
        return (*low.tolist(), *high.tolist())

    def _draw_edged(self, draw: ImageDraw.ImageDraw, instant: int, origin: np.ndarray) -> None:
        """Draw all that has edges."""
        self._draw_obstacles(draw, instant, origin)
        self._draw_things(draw, instant, origin)
        self._draw_trail(draw, instant, origin)
        self._draw_touch(draw, instant, origin)
        self._draw_body(draw, instant, origin)

    def _to_pixels(self, points: Float[np.ndarray, "n 2"], origin: np.ndarray) -> Float[np.ndarray, "n 2"]:
        centre = np.array(self.size) * _SMOOTH / 2
        return centre + (points - origin) * self._pixels_per_metre * np.array([1, -1])

    def _draw_ground(self, image: Image.Image, instant: int, origin: np.ndarray) -> None:
        """Tint the ground by the scenery's layers, a cell of a few pixels at a time: they are soft."""
        if not self._poses.scenery.layers:
            return
        width, height = image.size
        extent = width * self._pixel[0], height * self._pixel[0]
        cells = -(-width // _CELL), -(-height // _CELL)
        ground = Image.fromarray(self._poses.scenery.picture(origin, extent, cells, instant))
        smooth = ground.resize(image.size, Image.Resampling.BILINEAR)
        image.paste(smooth, (0, 0), smooth)

    def _draw_things(self, draw: ImageDraw.ImageDraw, instant: int, origin: np.ndarray) -> None:
        """Draw the sources of fields as rings, and the target as a disc, or an arrow towards it out of view."""
        scenery = self._poses.scenery
        for x, y in self._to_pixels(scenery.sources_at(instant), origin):
            ring = (x - _RING, y - _RING, x + _RING, y + _RING)
            draw.ellipse(ring, outline=_SOURCE, width=2 * _SMOOTH)
        if self._poses.target_pos is not None:
            x, y = self._to_pixels(self._poses.target_pos[instant][None], origin)[0]
            radius = scenery.target_radius * self._pixels_per_metre
            middle = np.array(self.size) * _SMOOTH / 2
            away = np.array([x, y]) - middle
            if (np.abs(away) > middle + radius).any():
                tip = middle + away * np.min((middle - _MARGIN) / np.maximum(np.abs(away), 1.0))
                draw.polygon(_arrow(tip, away), fill=_TARGET, outline=_RIM, width=_SMOOTH)
            else:
                around = (x - radius, y - radius, x + radius, y + radius)
                draw.ellipse(around, fill=_TARGET, outline=_RIM, width=_SMOOTH)

    def _draw_grid(self, image: Image.Image, origin: np.ndarray) -> None:
        spacing = _round_length(self._lengths.sum() / 2)
        width, height = self.size
        reach = np.array(self.size) * _SMOOTH / 2 / self._pixels_per_metre
        for axis in (0, 1):
            first = np.ceil((origin[axis] - reach[axis]) / spacing) * spacing
            places = np.arange(first, origin[axis] + reach[axis], spacing)
            for at in (self._to_pixels(np.column_stack([places, places]), origin)[:, axis] / _SMOOTH).tolist():
                # A line of one pixel is shared by the two that it lies on.
                left = math.floor(at - 0.5)
                for pixel, share in ((left, left + 1.5 - at), (left + 1, at - 0.5 - left)):
                    box = (pixel, 0, pixel + 1, height) if axis == 0 else (0, pixel, width, pixel + 1)
                    mask = Image.new("L", (box[2] - box[0], box[3] - box[1]), round(255 * share))
                    image.paste(_GRID, box, mask)

    def _draw_obstacles(self, draw: ImageDraw.ImageDraw, instant: int, origin: np.ndarray) -> None:
        if (obstacles := self._poses.obstacles) is None:
            return
        reach = np.array(self.size) * _SMOOTH / 2 / self._pixels_per_metre
        for corners, colour in obstacles.corners(instant, origin - reach, origin + reach):
            points = [tuple(point) for point in self._to_pixels(corners, origin).tolist()]
            draw.polygon(points, fill=paler(colour, 0.45), outline=paler(colour, -0.25), width=_SMOOTH)

    def _draw_touch(self, draw: ImageDraw.ImageDraw, instant: int, origin: np.ndarray) -> None:
        """Mark the links that press on something."""
        obstacles = self._poses.obstacles
        if obstacles is None or not obstacles.touch.size:
            return
        now = self._poses.between(instant, instant + 1)
        fronts, backs = (axis_points(now, along)[0] for along in (0.5, -0.5))
        for link in np.flatnonzero(obstacles.touch[instant] > 0):
            radius = max(0.9 * self._poses.link_width[link] * self._pixels_per_metre, 2.5 * _SMOOTH) + 5 * _SMOOTH
            ends = self._to_pixels(np.stack([fronts[link], backs[link]]), origin)
            draw.line((*ends[0], *ends[1]), fill=_TOUCH, width=round(2 * radius))
            for x, y in ends:
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_TOUCH)

    def _draw_trail(self, draw: ImageDraw.ImageDraw, instant: int, origin: np.ndarray) -> None:
        points = self._to_pixels(self._heads[self._trail(instant)], origin)
        # Lists of numbers: Pillow is twice as slow with NumPy's.
        share = np.arange(1, len(points))[:, None] / len(points)
        colours = (np.array(_WATER) + 0.55 * share * (_TRAIL - np.array(_WATER))).astype(int).tolist()
        for ends, colour in zip(np.hstack([points[:-1], points[1:]]).tolist(), colours, strict=True):
            draw.line(ends, fill=tuple(colour), width=2 * _SMOOTH)

    def _trail(self, instant: int) -> slice:
        return slice(max(0, instant - round(_TRAIL_SECONDS / self.dt)), instant + 1, 2)

    def _draw_body(self, draw: ImageDraw.ImageDraw, instant: int, origin: np.ndarray) -> None:
        now = self._poses.between(instant, instant + 1)
        if self._poses.is_chain:
            self._draw_chain(draw, now, origin)
        else:
            self._draw_links(draw, now, origin)

    def _draw_links(self, draw: ImageDraw.ImageDraw, now: Poses, origin: np.ndarray) -> None:
        """Draw each link as a rounded bar, the first one last, tinted where the joint that carries it bends."""
        (ends,), radii, (bend,) = segments(now)
        tints = [tuple(tint) for tint in bend_tint(bend).tolist()]
        for layer, extra in ((_INK, 1.5 * _SMOOTH), (None, 0.0)):
            for link in reversed(range(len(radii))):
                radius = max(radii[link] * self._pixels_per_metre, 2.5 * _SMOOTH) + extra
                fill = layer or tints[link]
                points = self._to_pixels(ends[link], origin)
                draw.line((*points[0], *points[1]), fill=fill, width=round(2 * radius))
                for x, y in points:
                    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def _draw_chain(self, draw: ImageDraw.ImageDraw, now: Poses, origin: np.ndarray) -> None:
        # Discs two pixels apart look like one outline.
        n_links, spacing = len(self._lengths), 2.0 * _SMOOTH / self._pixels_per_metre
        places = np.linspace(0, n_links, max(6 * n_links, int(self._lengths.sum() / spacing)) + 1)
        (line,), radius, (bend,) = spine(now, places)
        points = self._to_pixels(line, origin)
        radii = np.maximum(radius * self._pixels_per_metre, 2.5 * _SMOOTH)
        tints = [tuple(tint) for tint in bend_tint(bend).tolist()]
        for layer, extra in ((_INK, 1.5 * _SMOOTH), (None, 0.0)):
            reach = (radii + extra)[:, None]
            for box, tint in zip(np.hstack([points - reach, points + reach])[::-1].tolist(), tints[::-1], strict=True):
                draw.ellipse(box, fill=layer or tint)
        self._draw_eyes(draw, now, origin, radii[np.searchsorted(places, 0.3)])

    def _draw_eyes(self, draw: ImageDraw.ImageDraw, now: Poses, origin: np.ndarray, radius: float) -> None:
        angle = now.link_angle[0, 0]
        x, y = self._to_pixels(axis_points(now, 0.38)[0, :1], origin)[0]
        across = np.array([-np.sin(angle), -np.cos(angle)]) * radius * 0.55
        size = max(radius * 0.28, 1.2 * _SMOOTH)
        for sign in (-1, 1):
            ex, ey = x + sign * across[0], y + sign * across[1]
            draw.ellipse((ex - size, ey - size, ex + size, ey + size), fill=_INK)

    def _draw_words(self, draw: ImageDraw.ImageDraw, instant: int) -> None:
        (width, height), margin = self.size, 14
        # Words stay readable where posts or the body are behind them.
        edge: dict[str, Any] = {"edge": _WATER, "edge_width": 2}
        print_words(draw, (margin, margin), self.name, _LETTERS, fill=_INK, **edge)
        if self.caption:
            print_words(draw, (margin, margin + 20), self.caption, _SMALL, fill=_FAINT, **edge)
        if self.clock:
            before = max(0, instant - round(_SPEED_SECONDS / self.dt))
            moved = np.linalg.norm(self._poses.com_pos[instant] - self._poses.com_pos[before])
            speed = 100 * moved / max((instant - before) * self.dt, self.dt)
            # Apart, both recur, and are drawn once.
            at: float = width - margin
            for words in (f"{speed:.1f} cm/s", f"{instant * self.dt:.1f} s"):
                at = print_words(draw, (at, margin), words, _LETTERS, fill=_INK, anchor="ra", **edge) - _LETTERS
        length = self.scale_bar()
        pixels = length / self._pixel[0]
        y = height - margin
        draw.line((margin, y, margin + pixels, y), fill=_INK, width=3)
        label = f"{100 * length:g} cm" if length < 1 else f"{length:g} m"
        above = margin + pixels / 2, y - 5
        print_words(draw, above, label, _SMALL, fill=_INK, anchor="mb", **edge)

    def scale_bar(self) -> float:
        """Return the length of the scale bar, m: a round number near a third of the body."""
        return _round_length(self._lengths.sum() / 3)


def _arrow(tip: np.ndarray, along: np.ndarray) -> list[tuple[float, ...]]:
    """Return the corners of an arrowhead that points along a direction."""
    ahead = _ARROW * along / np.linalg.norm(along)
    aside = 0.45 * ahead[::-1] * (1, -1)
    return [tuple(corner) for corner in np.stack([tip, tip - ahead + aside, tip - ahead - aside]).tolist()]


def _round_length(length: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not above `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(step * power for step in (1, 2, 5) if step * power <= length * 1.0001))
