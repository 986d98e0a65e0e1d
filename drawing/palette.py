"""The colours that mean something: the same in figures, films and pages."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL.ImageColor import getrgb

# A neuron's value: above zero, below zero and at zero. Orange and violet differ to every kind of colour vision, and
# dark letters (LETTERS) on either have a contrast of 5 to 1.
ABOVE, BELOW, REST = "#f08c00", "#a78bfa", "#f6f8fa"
LETTERS = "#24292f"
# Synapses.
EXCITES, INHIBITS = "#1f6feb", "#cf222e"
# A joint's bend: to the dorsal side, to the ventral side and straight.
DORSAL, VENTRAL, STRAIGHT = "#d64541", "#3478d6", "#b08968"


def activity_tint(level: Float[np.ndarray, "*any"]) -> UInt8[np.ndarray, "*any 3"]:
    """Return the colour, RGB from 0 to 255, of each value in units of the neuron's greatest, from -1 to 1."""
    return _between(level, BELOW, REST, ABOVE)


def bend_tint(bend: Float[np.ndarray, "*any"]) -> UInt8[np.ndarray, "*any 3"]:
    """Return the colour, RGB from 0 to 255, of parts of a body that bend, from -1 (ventral) to 1 (dorsal)."""
    return _between(bend, VENTRAL, STRAIGHT, DORSAL)


def meant() -> UInt8[np.ndarray, "colours 3"]:
    """Return the colours of synapses, down to those of thin lines, and the shades of neurons and of bodies."""
    shades = np.linspace(-1, 1, 17)
    lines = [paler(colour, eighths / 8) for colour in (EXCITES, INHIBITS) for eighths in range(8)]
    return np.concatenate([np.array(lines, np.uint8), activity_tint(shades), bend_tint(shades)])


def paler(colour: str, share: float) -> tuple[int, ...]:
    """Return a colour, RGB from 0 to 255, that is a share of the way to white; to black where it is below 0."""
    goal = 255 if share > 0 else 0
    return tuple(round(value + abs(share) * (goal - value)) for value in getrgb(colour)[:3])


def _between(level: Float[np.ndarray, "*any"], low: str, middle: str, high: str) -> UInt8[np.ndarray, "*any 3"]:
    below, zero, above = (np.array(getrgb(colour), float) for colour in (low, middle, high))
    share = np.clip(np.asarray(level, float), -1, 1)[..., None]
    mixed: np.ndarray = (zero + np.abs(share) * (np.where(share >= 0, above, below) - zero)).astype(np.uint8)
    return mixed
