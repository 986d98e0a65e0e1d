"""What is around a body, as it is drawn: quantities over the plane as tints of the ground, each with a key."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from PIL.ImageColor import getrgb

Level = Callable[[Float[np.ndarray, "*some 2"], int], Float[np.ndarray, "*some"]]
# Colour and opacity from the lowest level to the highest. Letters and the body are readable on all of them, in the
# light and in the dark.
MEDIA = (("#c8963c", 0.0), ("#c8963c", 0.55))
ODOUR = (("#2da44e", 0.0), ("#2da44e", 0.5))
TEMPERATURE = (("#3478d6", 0.5), ("#8b949e", 0.0), ("#d64541", 0.5))
_BAR = 9.0  # letters wide
_PAPER, _INK, _EDGE = (255, 255, 255, 190), (36, 41, 47), (110, 119, 129)


@dataclasses.dataclass(frozen=True)
class Layer:
    """A quantity over the plane.

    Attributes:
        name: of the quantity, in the key.
        at: its level at some places, m, at an instant: from 0 to 1.
        colours: colour and opacity of equally spaced levels, from 0 to 1.
        ticks: levels that the key names: each with a patch of its colour where they are `apart`, or the ends of a bar.
        apart: the key's levels are all that there is, but for the edges between them.
    """

    name: str
    at: Level
    colours: tuple[tuple[str, float], ...]
    ticks: tuple[tuple[float, str], ...]
    apart: bool = False

    def tint(self, levels: Float[np.ndarray, "*some"]) -> Float[np.ndarray, "*some 4"]:
        """Return colour, 0 to 255, and opacity, 0 to 1, of levels."""
        stops = np.array([(*getrgb(colour)[:3], opacity) for colour, opacity in self.colours], float)
        known = np.linspace(0.0, 1.0, len(stops))
        return np.stack([np.interp(levels, known, stops[:, channel]) for channel in range(4)], -1)


@dataclasses.dataclass(frozen=True)
class Scenery:
    """Everything around a body that is drawn beneath it.

    Attributes:
        layers: from the lowest to the one on top.
        sources: of fields, at each instant, m.
        target_radius: m.
        first: the instant that counts as 0.
    """

    layers: tuple[Layer, ...] = ()
    sources: Float[np.ndarray, "T sources 2"] = dataclasses.field(default_factory=lambda: np.zeros((0, 0, 2)))
    target_radius: float = 0.1
    first: int = 0

    def later(self, start: int) -> Scenery:
        """Return the same from another instant on."""
        return dataclasses.replace(self, first=self.first + start)

    def sources_at(self, instant: int) -> Float[np.ndarray, "sources 2"]:
        """Return where sources are, m."""
        return self.sources[self.first + instant] if len(self.sources) else np.zeros((0, 2))

    def picture(
        self,
        middle: Float[np.ndarray, " 2"],
        extent: tuple[float, float],
        size: tuple[int, int],
        instant: int,
    ) -> UInt8[np.ndarray, "height width 4"]:
        """Draw the ground of a rectangle, RGB and opacity from 0 to 255; its first row is the one of largest y.

        Args:
            middle: of the rectangle, m.
            extent: its width and height, m.
            size: width and height, pixels.
            instant: which.
        """
        x, y = ((np.arange(n) + 0.5) / n - 0.5 for n in size)
        places = np.stack(np.meshgrid(middle[0] + x * extent[0], middle[1] - y * extent[1]), -1)
        colour, opacity = np.zeros((*places.shape[:2], 3)), np.zeros((*places.shape[:2], 1))
        for layer in self.layers:
            tint = layer.tint(layer.at(places, self.first + instant))
            top = tint[..., 3:]
            both = top + opacity * (1 - top)
            share = np.divide(top, both, out=np.zeros_like(both), where=both > 0)
            colour, opacity = colour + share * (tint[..., :3] - colour), both
        return np.concatenate([colour, 255 * opacity], -1).round().astype(np.uint8)

    def key(self, letters: float, width: float) -> Image.Image | None:
        """Draw what the tints mean, with letters of a size, for a picture of some width, pixels; None without tints."""
        if not self.layers:
            return None
        font, most = ImageFont.load_default(size=letters), width - 5 * letters
        rows = [row for layer in self.layers for row in _rows(layer, font, letters, most)]
        across = max(row.width for row in rows) + round(letters)
        image = Image.new("RGBA", (across, sum(row.height for row in rows) + round(0.6 * letters)), _PAPER)
        y = round(0.3 * letters)
        for row in rows:
            image.alpha_composite(row, (across - row.width - round(0.5 * letters), y))
            y += row.height
        return image


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _rows(layer: Layer, font: _Font, letters: float, most: float) -> list[Image.Image]:
    """Draw a layer's lines of the key, as few as `most` pixels across allow."""
    low, high = layer.ticks[0], layer.ticks[-1]
    if not layer.apart:
        bar = np.linspace(low[0], high[0], round(_BAR * letters))
        return [_row(layer, [f"{layer.name}: {low[1]}", bar, high[1]], font, letters)]
    lines: list[list[Any]] = [[f"{layer.name}:"]]
    for level, text in layer.ticks:
        entry = [np.array([level]), text]
        if _row(layer, [*lines[-1], *entry], font, letters).width > most and len(lines[-1]) > 1:
            lines.append([])
        lines[-1] += entry
    return [_row(layer, line, font, letters) for line in lines]


def _row(layer: Layer, parts: Sequence[Any], font: _Font, letters: float) -> Image.Image:
    """Draw words, and levels as patches of their colour, in a line."""
    gap, high = 0.5 * letters, round(1.5 * letters)
    widths = [font.getlength(part) if isinstance(part, str) else max(letters, len(part)) for part in parts]
    image = Image.new("RGBA", (round(sum(widths) + gap * (len(parts) - 1)) + 1, high), (255, 255, 255, 0))
    draw, x, y = ImageDraw.Draw(image), 0.0, high / 2
    for part, width in zip(parts, widths, strict=True):
        if isinstance(part, str):
            draw.text((x, y), part, fill=_INK, font=font, anchor="lm")
        else:
            tint = layer.tint(part)
            shade = (255 + tint[:, 3:] * (tint[:, :3] - 255)).round().astype(np.uint8)
            box = round(x), round(y - letters / 2), round(x + width), round(y + letters / 2)
            image.paste(Image.fromarray(shade[None]).resize((box[2] - box[0], box[3] - box[1])), box[:2])
            draw.rectangle(box, outline=_EDGE)
        x += width + gap
    return image
