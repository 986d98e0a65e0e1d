"""Which synapses are drawn where there are too many to tell apart."""

from __future__ import annotations

from collections.abc import Sequence

from ..circuits.contract import Synapse


def strongest(synapses: Sequence[Synapse], most: int) -> list[Synapse]:
    """Return the strongest synapses, and every neuron's strongest input and output, from weak to strong.

    By weight alone, a layer of small weights, such as an mlp's last, would stand there without a synapse.

    Args:
        synapses: of a wiring.
        most: how many; more where every neuron's strongest alone are more.
    """
    ranked = sorted(synapses, key=lambda synapse: -abs(synapse.weight))
    first: dict[tuple[str, str], Synapse] = {}
    for synapse in ranked:
        first.setdefault(("to", synapse.post), synapse)
        first.setdefault(("from", synapse.pre), synapse)
    own = dict.fromkeys(first.values())
    chosen = list(dict.fromkeys([*own, *ranked]))[: max(most, len(own))]
    return sorted(chosen, key=lambda synapse: abs(synapse.weight))


def said(drawn: int, synapses: int) -> str:
    """Return in words that not all synapses are drawn; "" if all are."""
    return f"{drawn:,} of {synapses:,} synapses, the strongest" if drawn < synapses else ""
