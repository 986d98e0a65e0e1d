"""Words drawn once and printed on many frames: to render letters takes longer than the rest of a frame together."""

from __future__ import annotations

import functools

from PIL import Image, ImageDraw, ImageFont

# Of a frame's words only the clock changes, whose times and speeds are few.
_KEPT = 256


def print_words(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    words: str,
    size: int,
    *,
    fill: tuple[int, int, int],
    edge: tuple[int, int, int],
    edge_width: int,
    anchor: str = "la",
) -> float:
    """Draw words with an edge around their letters, as `ImageDraw.text` does at whole pixels, from a cache.

    Return where their letters begin, pixels from the left.

    Args:
        draw: draws on the picture.
        at: where the anchor of the words is, pixels.
        words: in one line.
        size: of the letters, pixels.
        fill: their colour, RGB from 0 to 255.
        edge: the edge's colour.
        edge_width: pixels.
        anchor: which point of the words is there, as Pillow names it.
    """
    (left, top), outer, inner = _stamp(words, size, edge_width, anchor)
    corner = round(at[0]) + left, round(at[1]) + top
    draw.bitmap(corner, outer, fill=edge)
    draw.bitmap(corner, inner, fill=fill)
    return corner[0] + edge_width


@functools.lru_cache(_KEPT)
def _stamp(words: str, size: int, edge_width: int, anchor: str) -> tuple[tuple[int, int], Image.Image, Image.Image]:
    """Return where the upper left corner is from the anchor, and the shares of the edge and of the letters."""
    font = _font(size)
    left, top, right, bottom = (int(each) for each in font.getbbox(words, stroke_width=edge_width, anchor=anchor))
    shares = []
    for stroke in (edge_width, 0):
        share = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(share).text((-left, -top), words, fill=255, font=font, anchor=anchor, stroke_width=stroke)
        shares.append(share)
    return (left, top), shares[0], shares[1]


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
