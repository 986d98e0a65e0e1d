"""The wiring beside a body: every neuron lit by its value, and named."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageColor, ImageDraw, ImageFont

from ..circuits import Neuron, Synapse, Wiring
from ..drawing.neuron_layout import neuron_places
from ..drawing.palette import EXCITES, INHIBITS, activity_tint
from ..drawing.strongest import said, strongest

PAPER, INK, FAINT, EDGE = (255, 255, 255), (36, 41, 47), (87, 96, 106), (208, 215, 222)
_SMOOTH = 2  # drawn this much larger, then reduced: anti-aliasing
_MOST_EDGES = 3000
_STRIDES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_BOW = 0.18  # of a line that crosses the midline, in its length: it bows around the muscle that it passes


class WiringPanel:
    """The wiring, head left, tail right.

    Beside each neuron stands its name. A row that is too crowded for that has the name at its left and numbers beside
    the neurons; where even numbers would touch, every second, fifth or tenth number stands above, as on an axis.

    Args:
        wiring: of the circuit.
        size: width and height, pixels.
        letters: height of letters, pixels.
        pinned: names of neurons that are silenced, clamped or driven; they have a dark ring.

    Attributes:
        places: where each neuron is drawn, pixels.
        note: what is not drawn, in words; "" if all is.
    """

    def __init__(self, wiring: Wiring, size: tuple[int, int], letters: float, pinned: set[str]) -> None:
        self._neurons, self._pinned = wiring.neurons, pinned
        self._size = size
        self._font = ImageFont.load_default(size=letters * _SMOOTH)
        self._letters = letters * _SMOOTH
        at = neuron_places(wiring.neurons)
        rows = self._rows(at)
        self._left = max(self._width(kind) for kind, _ in rows) + 1.5 * self._letters
        # The last neuron's name has to fit too; where no row has room for names, the room is the rows'.
        longest = max(self._width(neuron.name) for neuron in wiring.neurons)
        for right in (longest, max(self._width(number_of(neuron)) for neuron in wiring.neurons)):
            self._places = self._in_pixels(at, right + 2 * self._letters)
            if max(map(self._spacing, (row for _, row in rows))) > longest + 2 * self._letters:
                break
        self.places = {name: (x / _SMOOTH, y / _SMOOTH) for name, (x, y) in self._places.items()}
        nearest = min((self._spacing(row) for _, row in rows), default=size[0])
        self._radius = float(np.clip(0.32 * nearest, 2 * _SMOOTH, 0.75 * self._letters))
        drawn = strongest(wiring.synapses, _MOST_EDGES)
        self._drawn = Image.new("RGB", (size[0] * _SMOOTH, size[1] * _SMOOTH), PAPER)
        draw = ImageDraw.Draw(self._drawn)
        self._draw_wires(draw, drawn)
        names = "" if self._draw_names(draw, rows) else "some names"
        self.note = "; ".join(filter(None, [said(len(drawn), len(wiring.synapses)), names]))

    def frame(self, level: Float[np.ndarray, " neurons"]) -> Image.Image:
        """Draw the neurons at values in units of their greatest, from -1 to 1."""
        image = self._drawn.copy()
        draw = ImageDraw.Draw(image)
        r = self._radius
        for neuron, colour in zip(self._neurons, activity_tint(level).tolist(), strict=True):
            x, y = self._places[neuron.name]
            pinned = neuron.name in self._pinned
            thick = round((2 if pinned else 0.75) * _SMOOTH)
            outline = INK if pinned else FAINT
            draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(colour), outline=outline, width=thick)
        return image.reduce(_SMOOTH)

    def _rows(self, places: dict[str, tuple[float, float]]) -> list[tuple[str, list[Neuron]]]:
        """Return the neurons of each height, from above, with the kind that most of them are."""
        heights: dict[float, list[Neuron]] = {}
        for neuron in self._neurons:
            heights.setdefault(round(places[neuron.name][1], 6), []).append(neuron)
        rows = []
        for height in sorted(heights, reverse=True):
            row = sorted(heights[height], key=lambda neuron: places[neuron.name][0])
            kinds = [kind_of(neuron) for neuron in row]
            rows.append((max(dict.fromkeys(kinds), key=kinds.count), row))
        return rows

    def _width(self, text: str) -> float:
        return float(self._font.getlength(text))

    def _in_pixels(self, places: dict[str, tuple[float, float]], right: float) -> dict[str, tuple[float, float]]:
        width, height = self._size[0] * _SMOOTH, self._size[1] * _SMOOTH
        xs, ys = (np.array(column) for column in zip(*places.values(), strict=True))
        above = 2.5 * self._letters
        x = self._left + above + (xs - xs.min()) / max(np.ptp(xs), 1e-9) * (width - self._left - above - right)
        y = above + (ys.max() - ys) / max(np.ptp(ys), 1e-9) * (height - 2 * above)
        return dict(zip(places, zip(x.tolist(), y.tolist(), strict=True), strict=True))

    def _spacing(self, row: list[Neuron]) -> float:
        """Return how far apart the nearest two neurons of a row are."""
        at = sorted(self._places[neuron.name][0] for neuron in row)
        return float(np.diff(at).min()) if len(at) > 1 else float(self._size[0] * _SMOOTH)

    def _draw_wires(self, draw: ImageDraw.ImageDraw, synapses: list[Synapse]) -> None:
        heaviest = max((abs(synapse.weight) for synapse in synapses), default=1.0) or 1.0
        middle = np.mean([y for _, y in self._places.values()])
        is_sided = any(neuron.side for neuron in self._neurons)
        share = np.linspace(0, 1, 13)[:, None]
        for synapse in synapses:
            ends = np.array([self._places[synapse.pre], self._places[synapse.post]])
            across = (ends[1] - ends[0])[::-1] * (1, -1)
            crosses = is_sided and (ends[0, 1] - middle) * (ends[1, 1] - middle) < 0
            bow = ends.mean(0) + (2 * _BOW * across if crosses else 0)
            line = (1 - share) ** 2 * ends[0] + 2 * share * (1 - share) * bow + share**2 * ends[1]
            thick = max(1, round((1 + 1.5 * abs(synapse.weight) / heaviest) * _SMOOTH / 2))
            colour = EXCITES if synapse.weight >= 0 else INHIBITS
            draw.line([tuple(point) for point in line.tolist()], fill=_paler(colour), width=thick)

    def _draw_names(self, draw: ImageDraw.ImageDraw, rows: list[tuple[str, list[Neuron]]]) -> bool:
        """Name the neurons, and return whether there was room for all names."""
        # Paper around letters keeps lines from running through them.
        look: dict[str, Any] = {"font": self._font, "fill": INK, "stroke_width": 2 * _SMOOTH, "stroke_fill": PAPER}
        gap, has_all = self._radius + 0.25 * self._letters, True
        for kind, row in rows:
            own = [neuron for neuron in row if kind_of(neuron) == kind]
            room = self._spacing(row) - self._radius - 1.5 * gap
            is_named = room >= max(self._width(neuron.name) for neuron in row)
            texts = {neuron: neuron.name if is_named or neuron not in own else number_of(neuron) for neuron in row}
            if not is_named and len(own) > 1:
                draw.text((0.5 * self._letters, self._places[row[0].name][1]), kind, anchor="lm", **look)
            widest = max(self._width(texts[neuron]) for neuron in own)
            # Where they do not fit between neurons, numbers stand above, as those of an axis.
            beside = room >= widest
            steps = (k for k in _STRIDES if k * self._spacing(own) >= 1.6 * widest)
            every = 1 if beside else next(steps, len(own))
            free_from = 0.0
            for neuron in row:
                x, y = self._places[neuron.name]
                numbered = neuron in own
                if numbered and own.index(neuron) % every:
                    continue
                at, anchor = ((x + gap, y), "lm") if beside else ((x, y - gap), "mb")
                left = at[0] - (0 if beside else self._width(texts[neuron]) / 2)
                if left >= free_from:
                    draw.text(at, texts[neuron], anchor=anchor, **look)
                    free_from = left + self._width(texts[neuron])
                else:
                    has_all = False
        return has_all


def kind_of(neuron: Neuron) -> str:
    """Return a neuron's name without its number."""
    return re.sub(r"_?\d+$", "", neuron.name)


def number_of(neuron: Neuron) -> str:
    """Return the number at the end of a neuron's name, "" if there is none."""
    return neuron.name[len(kind_of(neuron)) :].lstrip("_")


def _paler(colour: str) -> tuple[int, ...]:
    """Return a colour halfway to paper: lines lie behind the neurons that they join."""
    return tuple((channel + 255) // 2 for channel in ImageColor.getrgb(colour)[:3])
