"""The body, its wiring with every neuron lit by its activity, and the activity running by beneath."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from ..circuits import Neuron, Wiring
from ..drawing.top_view import TopView
from ..drawing.wiring import neuron_places
from ..training.rollouts.recording import Recording

_PAPER, _INK, _FAINT, _EDGE = (255, 255, 255), (36, 41, 47), (110, 119, 129), (208, 215, 222)
_EXCITES, _INHIBITS = (155, 190, 240), (240, 175, 175)
_REST, _ACTIVE, _NEGATIVE = np.array([246, 248, 250]), np.array([227, 98, 9]), np.array([9, 105, 218])
_SMOOTH = 2  # drawn this much larger, then reduced: anti-aliasing
_MOST_EDGES = 200
_LABELLED = 60  # more neurons than this are drawn without their names
_WINDOW = 6.0  # seconds of activity in view
_MARGIN = 14
_LINE = 11  # pixels that a name needs


class NeuronView:
    """Frames of one recorded episode.

    Left the body, as `TopView` draws it; right the wiring, head left, with each neuron coloured by its
    value in units of the largest that it takes in the recording (orange above zero, blue below, a ring
    where it is pinned); beneath, the last six seconds of every neuron's activity, now at the right.

    Args:
        recording: what to draw.
        wiring: of the circuit that was recorded.
        episode: which episode.
        size: width and height, pixels.
        caption: a line under the body's name.
    """

    def __init__(
        self,
        recording: Recording,
        wiring: Wiring,
        episode: int = 0,
        size: tuple[int, int] = (1120, 640),
        caption: str = "",
    ) -> None:
        self.size = size
        width, height = size
        self._beneath = height * 3 // 8
        self._half = width // 2
        self._body = TopView(recording.poses(episode), (self._half, height - self._beneath), caption)
        self._dt = recording.dt
        activity = np.asarray(recording.activity[episode], float)
        largest = np.abs(np.asarray(recording.activity, float)).max((0, 1))
        self._level = activity / np.where(largest > 1e-9, largest, 1.0)
        self._neurons = wiring.neurons
        self._pinned = {each["neuron"] for each in recording.meta.get("interventions", ())}
        self._font = ImageFont.load_default(size=11)
        self._order = _in_rows(wiring.neurons)
        self._rows = _tint(self._level[:, self._order]).transpose(1, 0, 2)
        self._places = self._in_pixels(neuron_places(wiring.neurons))
        self._wires = self._draw_wires(wiring)

    def __len__(self) -> int:
        return len(self._level)

    def frame(self, instant: int) -> UInt8[np.ndarray, "height width 3"]:
        """Draw one instant."""
        image = Image.new("RGB", self.size, _PAPER)
        image.paste(Image.fromarray(self._body.frame(instant)), (0, 0))
        image.paste(self._lit(instant), (self._half, 0))
        self._draw_activity(image, instant)
        return np.asarray(image)

    def _in_pixels(self, places: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        width = (self.size[0] - self._half) * _SMOOTH
        height = (self.size[1] - self._beneath) * _SMOOTH
        xs, ys = (np.array(column) for column in zip(*places.values(), strict=True))
        margin = 3 * _MARGIN * _SMOOTH
        x = margin + (xs - xs.min()) / max(np.ptp(xs), 1e-9) * (width - 2 * margin)
        y = margin + (ys.max() - ys) / max(np.ptp(ys), 1e-9) * (height - 2 * margin)
        return dict(zip(places, zip(x.tolist(), y.tolist(), strict=True), strict=True))

    def _draw_wires(self, wiring: Wiring) -> Image.Image:
        size = ((self.size[0] - self._half) * _SMOOTH, (self.size[1] - self._beneath) * _SMOOTH)
        image = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(image)
        strongest = sorted(wiring.synapses, key=lambda synapse: abs(synapse.weight))[-_MOST_EDGES:]
        heaviest = max((abs(synapse.weight) for synapse in strongest), default=1.0) or 1.0
        for synapse in strongest:
            colour = _EXCITES if synapse.weight >= 0 else _INHIBITS
            thick = round((1 + 2.5 * abs(synapse.weight) / heaviest) * _SMOOTH / 2)
            draw.line((*self._places[synapse.pre], *self._places[synapse.post]), fill=colour, width=thick)
        return image

    def _lit(self, instant: int) -> Image.Image:
        image = self._wires.copy()
        draw = ImageDraw.Draw(image)
        colours = _tint(self._level[instant])
        radius = _SMOOTH * float(np.clip(220 / len(self._neurons) ** 0.8, 3, 15))
        font = ImageFont.load_default(size=9 * _SMOOTH)
        for neuron, colour in zip(self._neurons, colours, strict=True):
            x, y = self._places[neuron.name]
            pinned = neuron.name in self._pinned
            draw.ellipse(
                (x - radius, y - radius, x + radius, y + radius),
                fill=tuple(int(value) for value in colour),
                outline=_INK if pinned else _FAINT,
                width=3 * _SMOOTH if pinned else _SMOOTH,
            )
            if len(self._neurons) <= _LABELLED:
                draw.text((x, y + radius + 2), neuron.name, fill=_FAINT, font=font, anchor="mt")
        return image.reduce(_SMOOTH)

    def _draw_activity(self, image: Image.Image, instant: int) -> None:
        draw = ImageDraw.Draw(image)
        left, top = 8 * _MARGIN, self.size[1] - self._beneath + _MARGIN
        right, bottom = self.size[0] - _MARGIN, self.size[1] - 2 * _MARGIN
        steps = round(_WINDOW / self._dt)
        first = instant + 1 - steps
        shown = np.full((len(self._order), steps, 3), _PAPER, np.uint8)
        seen = self._rows[:, max(first, 0) : instant + 1]
        shown[:, steps - seen.shape[1] :] = seen
        running = Image.fromarray(shown).resize((right - left, bottom - top), Image.Resampling.NEAREST)
        image.paste(running, (left, top))
        draw.rectangle((left, top, right, bottom), outline=_EDGE)
        # One name per row where there is room, otherwise the first of each kind.
        high = (bottom - top) / len(self._order)
        kinds, free_from = set[str](), float(top)
        for row, index in enumerate(self._order):
            name, middle = self._neurons[index].name, top + (row + 0.5) * high
            kind = name.rsplit("_", 1)[0]
            if high >= _LINE or (kind not in kinds and middle >= free_from):
                kinds.add(kind)
                free_from = middle + _LINE
                draw.text((left - 6, middle), name if high >= _LINE else kind, fill=_INK, font=self._font, anchor="rm")
        draw.text((left, bottom + 4), f"-{_WINDOW:g} s", fill=_FAINT, font=self._font)
        draw.text((right, bottom + 4), "now", fill=_FAINT, font=self._font, anchor="ra")


def _in_rows(neurons: tuple[Neuron, ...]) -> list[int]:
    """Return the neurons' numbers, kinds together and each from head to tail."""
    kinds = list(dict.fromkeys(neuron.name.rsplit("_", 1)[0] for neuron in neurons))
    return sorted(range(len(neurons)), key=lambda index: kinds.index(neurons[index].name.rsplit("_", 1)[0]))


def _tint(level: Float[np.ndarray, "*any"]) -> UInt8[np.ndarray, "*any 3"]:
    """Return a colour for each value in [-1, 1]."""
    amount = np.clip(np.abs(level), 0, 1)[..., None]
    towards = np.where(level[..., None] >= 0, _ACTIVE, _NEGATIVE)
    tinted: np.ndarray = (_REST + amount * (towards - _REST)).astype(np.uint8)
    return tinted
