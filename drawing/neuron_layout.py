"""Where neurons are drawn: place along the body across, layers from sensors to muscles."""

from __future__ import annotations

from ..circuits.contract import Neuron

# Height of each layer for the dorsal half; the ventral half is its mirror image.
_LAYER = {"sensor": 3.0, "oscillator": 3.0, "inter": 2.0, "motor": 2.0, "muscle": 1.0}


def neuron_places(neurons: tuple[Neuron, ...]) -> dict[str, tuple[float, float]]:
    """Return the drawing position of each neuron: x along the body, evenly spaced without a position; y by layer and
    side."""
    sided = any(neuron.side for neuron in neurons)
    # Oscillators at the head stand before it; a chain of them along the body is as many rows as it has kinds.
    is_chain = len({neuron.position for neuron in neurons if neuron.role == "oscillator"}) > 1
    # What is sensed at the same place in several ways stands in as many rows.
    sensed = list(dict.fromkeys(_kind(neuron) for neuron in neurons if neuron.role == "sensor"))
    loose: dict[str, list[str]] = {}
    for neuron in neurons:
        if neuron.position is None:
            loose.setdefault(_layer(neuron, is_chain), []).append(neuron.name)
    layers = list(dict.fromkeys(_layer(neuron, is_chain) for neuron in neurons))
    places = {}
    for neuron in neurons:
        layer = _layer(neuron, is_chain)
        if neuron.position is None:
            row = loose[layer]
            x = (row.index(neuron.name) + 0.5) / len(row)
        else:
            x = neuron.position - (0.12 if neuron.role == "oscillator" and not is_chain else 0.0)
        y = _LAYER[neuron.role] if sided else float(len(layers) - layers.index(layer))
        if sided and neuron.role == "sensor":
            y += 0.5 * sensed.index(_kind(neuron))
        places[neuron.name] = (x, -y if neuron.side == "v" else (y if neuron.side or not sided else 0.0))
    return places


def _layer(neuron: Neuron, is_chain: bool) -> str:
    """Return the layer a unit is drawn in: its role, or the own name of its hidden layer or its oscillators' row."""
    is_named = neuron.role == "inter" or (neuron.role == "oscillator" and is_chain)
    return neuron.name.rsplit("_", 1)[0] if is_named else neuron.role


def _kind(neuron: Neuron) -> str:
    return neuron.name.split("_")[0]
