"""The body, its wiring with every neuron lit by its activity, and the activity over time beneath."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageColor, ImageDraw, ImageFont

from ..circuits import Neuron, Wiring
from ..drawing.palette import EXCITES, INHIBITS, activity_tint
from ..drawing.top_view import TopView
from ..training.rollouts.recording import Recording
from .wiring_panel import EDGE, FAINT, INK, PAPER, WiringPanel, kind_of

_WINDOW = 6.0  # seconds of activity in view
_BODY, _ABOVE = 0.36, 0.56  # the body's share of the width, and of the height together with the wiring
_LETTERS = 12 / 720  # in heights of the picture
_MOST_TICKS = 4  # columns of a control step in a raster: six seconds of more would be narrower than a pixel
_TO_COME = 0.6  # how pale the activity is that is to come


class NeuronView:
    """Frames of one recorded episode.

    Left the body, as `TopView` draws it; right the wiring, head left, with each neuron coloured by its
    value in units of the largest that it takes in the recording (orange above zero, violet below, a dark ring
    where it is pinned) and a key of the colours; beneath, six seconds of every neuron's activity with a line at the
    present, paler where it is still to come. Of neurons that fire, the spikes stand there instead, dark on paper.

    Args:
        recording: what to draw.
        wiring: of the circuit that was recorded.
        episode: which episode.
        size: width and height, pixels.
        caption: a line under the body's name.
        steps: how many control steps of the episode; all by default.
        camera, zoom: of the body; see `TopView`.
    """

    def __init__(
        self,
        recording: Recording,
        wiring: Wiring,
        episode: int = 0,
        size: tuple[int, int] = (1280, 720),
        caption: str = "",
        steps: int | None = None,
        camera: str = "follow",
        zoom: float = 1.0,
    ) -> None:
        self.size = size
        width, height = size
        self._split, self._beneath = round(_BODY * width), round(_ABOVE * height)
        self._letters = max(_LETTERS * height, 7.0)
        self._font = ImageFont.load_default(size=self._letters)
        steps = int(recording.lengths[episode]) if steps is None else steps
        poses = recording.poses(episode).between(0, steps)
        self._body = TopView(poses, (self._split, self._beneath), caption, camera=camera, zoom=zoom)
        self._dt = recording.dt
        # In the wiring's order, whatever the recording's is.
        columns = [recording.neurons.index(neuron.name) for neuron in wiring.neurons]
        activity = np.asarray(recording.activity, float)[..., columns]
        largest = np.abs(activity).max((0, 1))
        self._level = activity[episode, :steps] / np.where(largest > 1e-9, largest, 1.0)
        self._neurons = wiring.neurons
        pinned = {each["neuron"] for each in recording.meta.get("interventions", ())}
        header = round(2.2 * self._letters)
        self._panel = WiringPanel(wiring, (width - self._split, self._beneath - header), self._letters, pinned)
        self._order = _in_rows(wiring.neurons)
        self._rows = activity_tint(self._level[:, self._order]).transpose(1, 0, 2)
        if recording.firing:
            rows = {neuron.name: row for row, neuron in enumerate(wiring.neurons[index] for index in self._order)}
            ticks = _ticks(recording.spikes[episode, :steps])
            self._rows = self._rows.repeat(ticks.shape[1] // steps, axis=1)
            self._rows[[rows[name] for name in recording.firing]] = ticks
        self._per_step = self._rows.shape[1] // steps  # columns of the activity's picture
        self._still = self._draw_still(header, bool(pinned))

    def __len__(self) -> int:
        return len(self._level)

    def place(self, neuron: str) -> tuple[float, float]:
        """Return where a neuron is drawn, pixels from the left and the top of a frame."""
        x, y = self._panel.places[neuron]
        return self._split + x, round(2.2 * self._letters) + y

    def frame(self, instant: int) -> UInt8[np.ndarray, "height width 3"]:
        """Draw one instant, RGB from 0 to 255."""
        image = self._still.copy()
        image.paste(Image.fromarray(self._body.frame(instant)), (0, 0))
        image.paste(self._panel.frame(self._level[instant]), (self._split, round(2.2 * self._letters)))
        self._draw_activity(image, instant)
        return np.asarray(image)

    @property
    def _strip(self) -> tuple[int, int, int, int]:
        """Where activity is drawn: left, top, right, bottom."""
        letters = self._letters
        names = max(self._font.getlength(kind) for kind in {kind_of(neuron) for neuron in self._neurons})
        left = round(names + 2.5 * letters)
        return left, round(self._beneath + letters), round(self.size[0] - letters), round(self.size[1] - 2.2 * letters)

    def _draw_still(self, header: int, has_pinned: bool) -> Image.Image:
        """Draw what is the same in every frame: the key, the names of rows and the frame around the activity."""
        image = Image.new("RGB", self.size, PAPER)
        draw = ImageDraw.Draw(image)
        letters = self._letters
        x, y, bar = self._split + letters, header / 2, round(6 * letters)

        def write(text: str) -> None:
            nonlocal x
            draw.text((x, y), text, fill=INK, font=self._font, anchor="lm")
            x += self._font.getlength(text) + 0.5 * letters

        write("below zero")
        shades = Image.fromarray(activity_tint(np.linspace(-1, 1, bar))[None]).resize((bar, round(letters)))
        image.paste(shades, (round(x), round(y - letters / 2)))
        draw.rectangle((x, y - letters / 2, x + bar, y + letters / 2), outline=FAINT)
        draw.line((x + bar / 2, y - letters / 2, x + bar / 2, y + letters / 2), fill=FAINT)
        x += bar + 0.5 * letters
        write("above zero")
        for text, colour in (("excites", EXCITES), ("inhibits", INHIBITS)):
            x += letters
            draw.line((x, y, x + 2 * letters, y), fill=ImageColor.getrgb(colour), width=max(2, round(letters / 6)))
            x += 2.5 * letters
            write(text)
        x += letters
        write("; ".join([*(["dark ring: pinned"] if has_pinned else []), *filter(None, [self._panel.note])]))
        self._draw_rows(draw)
        return image

    def _draw_rows(self, draw: ImageDraw.ImageDraw) -> None:
        """Name every row where there is room, and otherwise each kind of neuron beside all of its rows."""
        left, top, right, bottom = self._strip
        draw.rectangle((left - 1, top - 1, right, bottom), outline=EDGE)
        high, line = (bottom - top) / len(self._order), 1.1 * self._letters
        free_from, kinds = float(top) - line, [_group(self._neurons[index]) for index in self._order]

        def write(text: str, middle: float) -> None:
            draw.text((left - 0.5 * self._letters, middle), text, fill=INK, font=self._font, anchor="rm")

        for row, kind in enumerate(kinds):
            if high >= line:
                write(self._neurons[self._order[row]].name, top + (row + 0.5) * high)
            elif row == 0 or kinds[row - 1] != kind:
                last = row + kinds.count(kind)
                middle = top + (row + last) / 2 * high
                draw.line((left - 0.4 * self._letters, top + row * high, left, top + row * high), fill=FAINT)
                if middle - line / 2 >= free_from:
                    free_from = middle + line / 2
                    write(kind, middle)

    def _draw_activity(self, image: Image.Image, instant: int) -> None:
        draw = ImageDraw.Draw(image)
        left, top, right, bottom = self._strip
        steps = min(round(_WINDOW / self._dt), len(self._level))
        # The present runs through the window, which moves along when it is past its middle.
        first = int(np.clip(instant - steps // 2, 0, len(self._level) - steps))
        shown = self._rows[:, first * self._per_step : (first + steps) * self._per_step].copy()
        to_come = shown[:, (instant + 1 - first) * self._per_step :]
        to_come[:] = (to_come + _TO_COME * (255 - to_come.astype(float))).astype(np.uint8)
        running = Image.fromarray(shown).resize((right - left, bottom - top), Image.Resampling.NEAREST)
        image.paste(running, (left, top))

        def x_of(time: float) -> float:
            return left + (time / self._dt - first) / steps * (right - left)

        now = x_of((instant + 1) * self._dt)
        draw.line((now, top, now, bottom), fill=INK, width=2)
        for second in range(int(np.ceil(first * self._dt)), int((first + steps) * self._dt + 1e-6) + 1):
            x = x_of(second)
            draw.line((x, bottom, x, bottom + 0.4 * self._letters), fill=FAINT)
            anchor = "ra" if x > right - 2 * self._letters else "ma"
            draw.text((x, bottom + 0.6 * self._letters), f"{second} s", fill=INK, font=self._font, anchor=anchor)


def _ticks(spikes: UInt8[np.ndarray, "time substeps firing"]) -> UInt8[np.ndarray, "firing columns 3"]:
    """Return a raster, RGB from 0 to 255: a column for each substep, or for some together where there are many."""
    columns = np.arange(spikes.shape[1]) * min(spikes.shape[1], _MOST_TICKS) // spikes.shape[1]
    starts = np.flatnonzero(np.diff(columns, prepend=-1))
    fired = np.maximum.reduceat(spikes > 0, starts, axis=1).reshape(-1, spikes.shape[2]).T
    colours = np.array([PAPER, INK], np.uint8)
    ticks: UInt8[np.ndarray, "firing columns 3"] = colours[fired.astype(int)]
    return ticks


def _in_rows(neurons: tuple[Neuron, ...]) -> list[int]:
    """Return the neurons' numbers, groups together and each from head to tail."""
    groups = list(dict.fromkeys(map(_group, neurons)))
    return sorted(range(len(neurons)), key=lambda index: groups.index(_group(neurons[index])))


def _group(neuron: Neuron) -> str:
    """Return what a neuron's name has in common with those beside it: osc of osc_d, B_d of B_d_0."""
    return kind_of(neuron) if kind_of(neuron) != neuron.name else neuron.name.rsplit("_", 1)[0]
