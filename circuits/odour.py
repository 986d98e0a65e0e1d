"""The base of circuits that follow an odour: from its change over time to a turn."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .bounds import within
from .contract import Circuit, Neuron, Pins, State, Synapse

_GAIN = 300.0  # of a logarithm that is sensed in units of 5
# What is smoothed over `log_seconds`: the odour, twice, the steering, and the odour's fall.
FILTERS = ("fast", "slow", "steer", "falling")


class OdourCircuit(Circuit):
    """A circuit that turns by an odour's change.

    With x the sensed logarithm of the odour, and LP_a a low-pass filter with the learned time constant a:

        change = LP_fast(x) - LP_slow(x);  ON = max(change, 0), OFF = max(-change, 0)
        steer = LP_steer(change times the head's side)   (klinotaxis: turn to the side where the odour rises)
        falling = max(-LP_falling(change), 0)            (klinokinesis: turn when the odour falls)
        turn = clip(gain_1 steer + gain_2 falling, -cap, cap);  right = max(turn, 0), left = max(-turn, 0)

    A subclass determines the head's side, and applies the turn.

    Attributes:
        dt: seconds of a control step.
        klinotaxis, klinokinesis: which of the two mechanisms are used.
        log_seconds: [4], logarithms of the filters' time constants in seconds, in the order of `FILTERS`.
        gains: [2], gains of steer and falling, in units of 300.
        cap: largest turn.
        lag: delay of the head's side, in periods.
    """

    dt: float
    klinotaxis: bool
    klinokinesis: bool

    def _add_steering(
        self, seconds: tuple[float, ...], gains: tuple[float, float], cap: float, lag: float, klinotaxis: bool,
        klinokinesis: bool,
    ) -> None:  # fmt: skip
        if not klinotaxis and not klinokinesis:
            raise CircuitMismatch("klinotaxis and klinokinesis are both left out; keep one of them, or take ncap")
        if not math.isfinite(lag):
            raise CircuitMismatch(f"lag is {lag}; give a number of periods, such as 0.37")
        self.klinotaxis, self.klinokinesis = klinotaxis, klinokinesis
        self.log_seconds = nn.Parameter(torch.tensor([math.log(each) for each in seconds]))
        self.gains = nn.Parameter(torch.tensor(gains))
        self.cap, self.lag = nn.Parameter(torch.tensor(cap)), nn.Parameter(torch.tensor(float(lag)))

    def _add_neurons(self, moved: Circuit, *more: Neuron) -> None:
        """Take the neurons of the circuit that is steered, and those of the odour after them."""
        own = (
            *more, Neuron("odour", "sensor", 0.0), Neuron("ON", "inter", 0.0), Neuron("OFF", "inter", 0.0),
            Neuron("steer", "inter", 0.0), Neuron("falling", "inter", 0.0),
        )  # fmt: skip
        n = len(moved.neurons)
        self.neurons = (*moved.neurons, *own)
        self.groups = {
            **moved.groups,
            **{neuron.name: slice(n + place, n + place + 1) for place, neuron in enumerate(own)},
        }

    def filters_at_rest(self, batch_size: int) -> State:
        """Return the four filters, [batch, 1] each; the first odour sets those of the odour."""
        zero = self.cap.new_zeros(batch_size, 1)
        return {name: zero.clone() for name in FILTERS}

    def turned(
        self,
        odour: Float[Tensor, "batch 1"],
        side: Float[Tensor, "batch 1"],
        state: State,
        is_first: Bool[Tensor, "batch 1"],
        pins: Pins | None,
    ) -> tuple[Float[Tensor, "batch 1"], State, Float[Tensor, "batch 5"]]:
        """Return the turn, the filters one step later, and the values of the odour's neurons.

        Args:
            odour: as it is sensed.
            side: of the head, 1 where it is dorsal, else -1.
            state: with the filters.
            is_first: where an episode starts.
            pins: as in `forward_with_activity`.
        """
        odour = self.pinned(odour, "odour", pins)
        rates = 1.0 - torch.exp(-self.dt / self.log_seconds.exp())

        def toward(name: str, goal: Tensor, begins: bool = False) -> Tensor:
            moved = state[name] + rates[FILTERS.index(name)] * (goal - state[name])
            return torch.where(is_first, goal, moved) if begins else moved

        fast, slow = toward("fast", odour, True), toward("slow", odour, True)
        change = fast - slow
        on = self.pinned(change.clamp(min=0.0), "ON", pins)
        off = self.pinned((-change).clamp(min=0.0), "OFF", pins)
        change = on - off
        steer, falling = toward("steer", change * side), toward("falling", change)
        steering = self.pinned(steer * self.klinotaxis, "steer", pins)
        turning = self.pinned((-falling).clamp(min=0.0) * self.klinokinesis, "falling", pins)
        turns = torch.cat((steering, turning), 1)
        cap = within(self.cap, 0.0, 1.0)
        turn = (_GAIN * (turns * self.gains).sum(1, keepdim=True)).clamp(-cap, cap)
        after = {"fast": fast, "slow": slow, "steer": steer, "falling": falling}
        return turn, after, torch.cat((odour, on, off, turns), 1)

    def odour_synapses(self) -> list[Synapse]:
        """Return those from the odour to `right` and `left`.

        `steer` hears ON and OFF with the sign of the head's side, which a graph cannot show.
        """
        steer, falling = (_GAIN * self.gains).tolist()
        found = [Synapse("odour", "ON", 1.0), Synapse("odour", "OFF", -1.0)]
        if self.klinotaxis:
            found += [Synapse("ON", "steer", 1.0), Synapse("OFF", "steer", -1.0),
                      Synapse("steer", "right", steer, "gains"), Synapse("steer", "left", -steer, "gains")]  # fmt: skip
        if self.klinokinesis:
            found += [Synapse("OFF", "falling", 1.0), Synapse("ON", "falling", -1.0)]
            found += [Synapse("falling", "right", falling, "gains"), Synapse("falling", "left", -falling, "gains")]
        return found
