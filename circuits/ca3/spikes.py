"""The content-addressable memory of CA3 as a spiking network, simulated in steps of 1 ms.

Casanueva-Morato et al. 2024 (https://arxiv.org/abs/2310.05868), as it ran on SpiNNaker.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from ...errors import CircuitMismatch

_GROUPS = ("cueCue", "contCue", "cond", "condInt", "cueCont", "contCont", "mergeCue", "mergeCont", "outCue", "outCont")
_KEPT = math.exp(-1 / 0.3)  # of a synaptic current after 1 ms
_TAKEN = 0.3 * (1 - _KEPT)  # of a weight, when it arrives: SpiNNaker's scaling
_THRESHOLD, _OUT_THRESHOLD = 3.0, 2.5  # mV above rest
_FAST = ("cond", "condInt", "cueCont")  # groups with short membranes
_MOST = 6.0  # nA, of a plastic weight
_WINDOW = 3.0  # ms, of the plasticity
# (from, to, nA, ms, which pairs): "same" cells, "all" of them, or all "others".
_STATIC = (
    ("inCue", "cueCue", 6.0, 1, "same"), ("inCont", "contCue", 6.0, 1, "same"),
    ("cueCue", "cueCont", 6.0, 2, "same"), ("cueCue", "cond", -6.0, 2, "all"), ("contCue", "cond", 9.0, 1, "same"),
    ("cond", "contCont", 6.0, 1, "same"), ("contCue", "condInt", 6.0, 1, "all"), ("condInt", "cond", 2.0, 1, "all"),
    ("cueCue", "mergeCue", 6.0, 3, "same"), ("cueCont", "mergeCue", 6.0, 1, "same"),
    ("contCue", "mergeCont", 6.0, 3, "same"), ("contCont", "mergeCont", 6.0, 1, "same"),
    ("mergeCue", "outCue", 6.0, 1, "same"), ("mergeCont", "outCont", 6.0, 1, "same"),
)  # fmt: skip
_PLASTIC = (("cueCue", "contCue"), ("contCont", "cueCont"))


class SpikingCA3:
    """An associative memory of cues and contents, stored and recalled by spikes of integrate-and-fire cells.

    Spikes of a cue's cell together with a content's cells for 3 ms store the content under the cue. A spike of the cue
    alone recalls the content, at `outCont` 6 ms later; a spike of any content cells recalls the cues under which they
    are stored, at `outCue`. With at least 14 ms per operation, recall is exact and equals that of the circuit `ca3`.

    Args:
        n_cues: number of cue cells, one per cue.
        n_content: number of content cells.

    Attributes:
        weights: plastic weights from cueCue to contCue [content, cues] and from contCont to cueCont [cues, content],
            0 to 6 nA.
    """

    def __init__(self, n_cues: int, n_content: int) -> None:
        for name, n in (("n_cues", n_cues), ("n_content", n_content)):
            if n < 1:
                raise CircuitMismatch(f"{name} is {n}; give 1 or more")
        cells = {"Cue": n_cues, "Content": n_content}
        self.sizes = {
            group: 1 if group == "condInt" else cells["Cue" if group in _CUES else "Content"]
            for group in (*_GROUPS, "inCue", "inCont")
        }
        self._synapses = [
            (pre, post, delay, _matrix(weight, pairs, self.sizes[post], self.sizes[pre]))
            for pre, post, weight, delay, pairs in (
                *_STATIC,
                # The more contents a cue's cells may answer to, the more strongly they hold one another down.
                ("cueCue", "cueCont", -6.0 * n_content, 3, "others"),
                ("cueCont", "cueCont", -6.0 * n_content, 2, "others"),
            )
        ]
        self.weights = {pair: np.zeros((self.sizes[pair[1]], self.sizes[pair[0]])) for pair in _PLASTIC}
        long_ago = -1_000_000
        self._time = 0
        self._before = {pair: np.full(self.sizes[pair[0]], long_ago) for pair in _PLASTIC}
        self._fired: dict[str, list[np.ndarray]] = {group: [] for group in self.sizes}
        self._cells = {group: np.zeros((4, self.sizes[group])) for group in _GROUPS}  # e, i, v, refractory

    def run(
        self, cues: Bool[np.ndarray, "ms cues"], content: Bool[np.ndarray, "ms content"]
    ) -> Mapping[str, Bool[np.ndarray, "ms cells"]]:
        """Run with input spikes, and return the spikes of each group of cells; plastic weights persist between calls.

        Raises:
            CircuitMismatch: an input has the wrong number of cells, or the inputs differ in length.
        """
        cues, content = np.asarray(cues, bool), np.asarray(content, bool)
        wanted = [(len(cues), self.sizes["inCue"]), (len(cues), self.sizes["inCont"])]
        if [cues.shape, content.shape] != wanted:
            raise CircuitMismatch(
                f"inputs are of shapes {cues.shape} and {content.shape}; give (ms, cells) of {wanted}"
            )
        first = self._time
        for row in zip(cues, content, strict=True):
            self._step(*row)
        return {group: np.array(self._fired[group][first:], bool).reshape(len(cues), -1) for group in _GROUPS}

    def membrane(self, group: str) -> Float[np.ndarray, " cells"]:
        """Return the current membrane potentials of a group, mV above rest."""
        return self._cells[group][2]

    def _step(self, cues: Bool[np.ndarray, " cues"], content: Bool[np.ndarray, " content"]) -> None:
        arrived = {group: np.zeros((2, self.sizes[group])) for group in _GROUPS}
        for pre, post, delay, weights in self._synapses:
            if self._time >= delay:
                came = weights @ self._fired[pre][self._time - delay]
                arrived[post] += np.stack([np.maximum(came, 0), np.maximum(-came, 0)])
        if self._time >= 1:
            for pre, post in _PLASTIC:
                arrived[post][0] += self.weights[pre, post] @ self._fired[pre][self._time - 1]
        self._fired["inCue"].append(cues)
        self._fired["inCont"].append(content)
        for group in _GROUPS:
            self._fired[group].append(self._integrate(group, arrived[group]))
        for pair in _PLASTIC:
            self._learn(pair)
        self._time += 1

    def _integrate(self, group: str, arrived: Float[np.ndarray, "2 cells"]) -> Bool[np.ndarray, " cells"]:
        """Return which cells of a group fire in this ms, given the weights that arrive, nA."""
        excites, inhibits, v, rests = self._cells[group]
        excites[:] = _KEPT * excites + _TAKEN * arrived[0]
        inhibits[:] = _KEPT * inhibits + _TAKEN * arrived[1]
        tau, capacity = (0.5, 0.14) if group in _FAST else (3.0, 0.27)
        goal = tau / capacity * (excites - inhibits)
        is_free = rests == 0
        v[:] = np.where(is_free, goal + (v - goal) * math.exp(-1 / tau), v)
        fires = is_free & (v >= (_OUT_THRESHOLD if group.startswith("out") else _THRESHOLD))
        v[fires] = 0
        rests[:] = fires
        return fires

    def _learn(self, pair: tuple[str, str]) -> None:
        """Change the weights of presynaptic cells that fire now: up for what followed their last spike, then down."""
        pre, post = pair
        now, weights = self._time, self.weights[pair]
        cells = np.flatnonzero(self._fired[pre][now])
        later = np.array(self._fired[post]) if len(cells) else np.zeros(0)
        for cell in cells:
            before = self._before[pair][cell]
            for time in range(max(before + 2, 0), now + 1):
                # A presynaptic spike counts from its arrival, 1 ms later.
                gain = _MOST * math.exp(-(time - before - 1) / _WINDOW)
                weights[:, cell] = np.minimum(weights[:, cell] + gain * later[time], _MOST)
            fired = later[: now + 1]
            last = np.where(fired.any(0), now - fired[::-1].argmax(0), -1_000_000)
            loss = np.where(last < now, _MOST * np.exp((last - now) / _WINDOW), 0.0)
            weights[:, cell] = np.maximum(weights[:, cell] - loss, 0)
            self._before[pair][cell] = now


_CUES = ("cueCue", "cueCont", "mergeCue", "outCue", "inCue")


def _matrix(weight: float, pairs: str, n_post: int, n_pre: int) -> Float[np.ndarray, "post pre"]:
    """Return a weight for each pair of cells, nA."""
    same = np.eye(n_post, n_pre)
    return weight * {"same": same, "all": np.ones((n_post, n_pre)), "others": 1 - same}[pairs]
