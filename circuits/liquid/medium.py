"""A medium of leaky units that spikes run through, and the plasticity by which it organises itself, ms by ms.

Ivanov and Michmizos, NeurIPS 2021 (https://arxiv.org/abs/2111.01760).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

THRESHOLD = 20.0  # of a membrane, which leaks 1 / LEAK of itself in a ms
LEAK = 64.0
REFRACTORY = 2  # ms
DRIVE = 100.0  # current into an input's unit with each of its spikes
BOUND = 3.0  # of a synapse's weight, with which all begin
REST = 20  # ms since a unit's last spike where it has fired none
_LONGEST = 100  # ms since a spike that are counted
_ASTROCYTE = 0.15  # to which the depression returns, and with which both rates begin


@dataclasses.dataclass
class Plasticity:
    """Rates of plasticity, and the astrocyte that keeps depression in balance with the liquid's activity.

    Attributes:
        gain: w, of the astrocyte: how far an excess of the liquid's spikes over the inputs' raises depression.
        bound: of each weight's size.
        potentiation: eta, of pairs in which the synapse helped.
        depression: A, of the others: the astrocyte's state.
        tau: of the astrocyte, ms.
        trace: by which spikes' traces are multiplied in a ms; the grid's nearest to exp(-1 / 10).
        fading: by which rates, gain and bias are multiplied in a ms; 1 while organising.
        bias: the depression where the liquid fires as often as the inputs.
    """

    gain: float = 0.015
    bound: float = BOUND
    potentiation: float = _ASTROCYTE
    depression: float = _ASTROCYTE
    tau: float = 100.0
    trace: float = 0.9047744744744745
    fading: float = 1.0
    bias: float = _ASTROCYTE


class Medium:
    """Units of a liquid, excitatory first, and of its inputs, with plastic synapses of both onto the liquid.

    Attributes:
        weights: of each synapse [liquid, liquid + inputs].
        mask: which synapses there are.
        voltage, trace: of each unit; the liquid, then the inputs.
        spikes: of each unit in the last ms.
    """

    def __init__(
        self,
        weights: Float[np.ndarray, "liquid all"],
        mask: Bool[np.ndarray, "liquid all"],
        n_excitatory: int,
        plasticity: Plasticity,
    ) -> None:
        self.weights, self.mask = np.array(weights, float), np.asarray(mask, bool)
        self.n, self.n_all = self.weights.shape
        self.plasticity = plasticity
        self._inhibits = (np.arange(self.n_all) >= n_excitatory) & (np.arange(self.n_all) < self.n)
        bound = plasticity.bound
        self._low = np.where(np.arange(self.n_all) < n_excitatory, 0.0, -bound)
        self._high = np.where(self._inhibits, 0.0, bound)
        self.trace = np.zeros(self.n_all)
        self.rest()

    def rest(self) -> None:
        """Put all units and the astrocyte at rest; weights and traces stay."""
        self.voltage, self.spikes = np.zeros(self.n_all), np.zeros(self.n_all, bool)
        self._since, self._refractory = np.full(self.n_all, REST), np.zeros(self.n_all, int)
        self.plasticity.depression = self.plasticity.bias

    def step(self, bits: Bool[np.ndarray, " inputs"]) -> None:
        """Run one ms in which some inputs receive a spike."""
        n, rates = self.n, self.plasticity
        fires = (self._refractory <= 0) & (self.voltage >= THRESHOLD)
        v = np.where(fires, 0.0, self.voltage)
        self._since[fires] = 0
        current = np.concatenate((self.weights @ np.exp(-self._since.astype(float)), DRIVE * np.asarray(bits, float)))
        self.voltage = v + current - v / LEAK
        self._since = np.minimum(self._since + 1, _LONGEST)
        self._refractory = np.where(fires, REFRACTORY, self._refractory - 1)
        self._learn(np.flatnonzero(fires))
        self.trace = rates.trace * (self.trace + 0.1 * fires)
        self.spikes = fires
        excess = fires[:n].sum() - fires[n:].sum()
        rates.depression += (rates.gain * excess + rates.bias - rates.depression) / rates.tau
        for name in ("potentiation", "depression", "gain", "bias"):
            setattr(rates, name, getattr(rates, name) * rates.fading)

    def grow(self, samples: int, length: int, inputs: Float[np.ndarray, "time inputs"]) -> None:
        """Organise the weights by spikes of the inputs, sample after sample; units and astrocyte rest before each.

        Args:
            samples: how many.
            length: of each, ms.
            inputs: 0 or 1 for each ms of all samples and each input.
        """
        for sample in range(samples):
            self.rest()
            for bits in inputs[sample * length : (sample + 1) * length]:
                self.step(bits)

    def _learn(self, fired: Int[np.ndarray, " some"]) -> None:
        """Change the synapses of units that fire, by the traces of the units on their other side."""
        up, down = self.plasticity.potentiation, self.plasticity.depression
        # Of an inhibitory unit's synapses the two rates change places.
        after, before = np.where(self._inhibits, -down, up), np.where(self._inhibits, up, -down)
        post, weights = fired[fired < self.n], self.weights
        # Rows of units that fire and columns of those that do: few, and a synapse in both takes both changes at once.
        rows = weights[post] + after * self.trace
        rows[:, fired] += before[fired] * self.trace[post, None]
        columns = weights[:, fired] + before[fired] * self.trace[: self.n, None]
        weights[:, fired] = np.clip(columns, self._low[fired], self._high[fired]) * self.mask[:, fired]
        weights[post] = np.clip(rows, self._low, self._high) * self.mask[post]
