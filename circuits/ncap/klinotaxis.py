"""Following an odour by its change in time: an ON and OFF pair that steers NCAP."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..contract import Circuit, Neuron, Pins, State, Synapse, Wiring
from .ncap import NCAP

_DT = 0.03  # s, of the swimmers
_GAIN = 300.0  # of a logarithm that is sensed in units of 5
# Seconds over which the odour is smoothed, and compared; over which the steering is, and its fall.
_SECONDS = {"fast": 0.1, "slow": 0.6, "steer": 0.6, "falling": 1.0}


class Klinotaxis(Circuit):
    """An NCAP that is steered by an odour's change while its head swings, and by the odour's fall.

    With x the sensed logarithm of the odour, and each low-pass filter towards its input over a learned time:

        change = x over 0.1 s - x over 0.6 s;  ON = max(change, 0), OFF = max(-change, 0)
        steer: change times the head's side, over 0.6 s   (klinotaxis: what rises on one side is to that side)
        falling: max(-change over 1 s, 0)                 (klinokinesis: turn where the odour falls)
        turn = clip(gain steer + gain falling, -cap, cap);  right = max(turn, 0), left = max(-turn, 0)

    The head's side is +1 in the half period of NCAP's clock that begins `lag` periods after the dorsal one, else -1:
    the nose follows the clock late, and without the lag nothing is found. At a turn of 1 the head's B-neuron saturates
    and NCAP stands still, hence the cap. Learned weights: 4 times, 2 gains, cap and lag, beside NCAP's 6. The lag has
    no gradient.

    Args:
        n_joints: number of joints.
        period: of NCAP's clock, control steps of `dt_ref`.
        lag: in periods; by default that of swimmer6.
        klinotaxis: keep the first of both mechanisms.
        klinokinesis: keep the second.
        dt, dt_ref: as in `NCAP`; times are in seconds.
        rng: as in `NCAP`.

    Attributes:
        log_seconds: [4], logarithms of the filters' times, s.
        gains: [2], of steer and falling, in 300.
        cap: of the turn.
        lag: in periods.

    Raises:
        CircuitMismatch: both mechanisms are left out, or an option is out of range.

    Source: Izquierdo and Lockery 2010 (https://doi.org/10.1523/JNEUROSCI.2606-10.2010), whose ON and OFF cells excite
    both sides of the neck alike, while the oscillator opens one at a time; Iino and Yoshida 2009 for both mechanisms.
    """

    is_bounded = True
    memory = "recurrent"
    origin = "It steers NCAP, a model of the circuit with which *C. elegans* swims (Bhattasali et al. 2022)."

    def __init__(
        self,
        n_joints: int,
        *,
        period: int = 60,
        lag: float = 22 / 60,
        klinotaxis: bool = True,
        klinokinesis: bool = True,
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not klinotaxis and not klinokinesis:
            raise CircuitMismatch("klinotaxis and klinokinesis are both left out; keep one of them, or take ncap")
        if not math.isfinite(lag):
            raise CircuitMismatch(f"lag is {lag}; give a number of periods, such as 0.37")
        self.ncap = NCAP(n_joints, period=period, controls=True, dt=dt, dt_ref=dt_ref, rng=rng)
        self.n_motors, self.dt = n_joints, _DT if dt is None else dt
        self.senses = (("joint_pos", n_joints), ("odour", 1))
        self.klinotaxis, self.klinokinesis = klinotaxis, klinokinesis
        self.log_seconds = nn.Parameter(torch.tensor([math.log(seconds) for seconds in _SECONDS.values()]))
        self.gains = nn.Parameter(torch.tensor([1.0, 1.0]))
        self.cap, self.lag = nn.Parameter(torch.tensor(0.75)), nn.Parameter(torch.tensor(float(lag)))
        own = (
            Neuron("odour", "sensor", 0.0), Neuron("ON", "inter", 0.0), Neuron("OFF", "inter", 0.0),
            Neuron("steer", "inter", 0.0), Neuron("falling", "inter", 0.0),
        )  # fmt: skip
        n = len(self.ncap.neurons)
        self.neurons = (*self.ncap.neurons, *own)
        self.groups = {**self.ncap.groups, **{
            neuron.name: slice(n + place, n + place + 1) for place, neuron in enumerate(own)
        }}  # fmt: skip

    def initial_state(self, batch_size: int) -> State:
        """Return NCAP's counter and the four filters, [batch, 1] each; the first odour sets those of the odour."""
        zero = self.cap.new_zeros(batch_size, 1)
        return {**self.ncap.initial_state(batch_size), **{name: zero.clone() for name in _SECONDS}}

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return the value of every neuron: NCAP's in [0, 1], the others in their own unit."""
        odour = self.pinned(sensors[:, -1:], "odour", pins)
        step = state["step"]
        rates = 1.0 - torch.exp(-self.dt / self.log_seconds.exp())
        is_first = step == 0

        def toward(name: str, goal: Tensor, begins: bool = False) -> Tensor:
            moved = state[name] + rates[list(_SECONDS).index(name)] * (goal - state[name])
            return torch.where(is_first, goal, moved) if begins else moved

        fast, slow = toward("fast", odour, True), toward("slow", odour, True)
        change = fast - slow
        on = self.pinned(change.clamp(min=0.0), "ON", pins)
        off = self.pinned((-change).clamp(min=0.0), "OFF", pins)
        change = on - off
        steer, falling = toward("steer", change * self._head_side(step)), toward("falling", change)
        steering = self.pinned(steer * self.klinotaxis, "steer", pins)
        turning = self.pinned((-falling).clamp(min=0.0) * self.klinokinesis, "falling", pins)
        turns = torch.cat((steering, turning), 1)
        cap = self.cap.clamp(0.0, 1.0)
        turn = (_GAIN * (turns * self.gains).sum(1, keepdim=True)).clamp(-cap, cap)
        controls = torch.cat((turn.clamp(min=0.0), (-turn).clamp(min=0.0), torch.ones_like(turn)), 1)
        inputs = torch.cat((sensors[:, :-1], controls), 1)
        motor, clock, values = self.ncap.forward_with_activity(inputs, {"step": step}, pins)
        after = {**clock, "fast": fast, "slow": slow, "steer": steer, "falling": falling}
        return motor, after, torch.cat((values, odour, on, off, turns), 1)

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return NCAP's graph, and that from the odour to `right` and `left`.

        `steer` hears ON and OFF with the sign of the head's side, which the graph cannot show.
        """
        steer, falling = (_GAIN * self.gains).tolist()
        found = [Synapse("odour", "ON", 1.0), Synapse("odour", "OFF", -1.0)]
        if self.klinotaxis:
            found += [Synapse("ON", "steer", 1.0), Synapse("OFF", "steer", -1.0),
                      Synapse("steer", "right", steer, "gains"), Synapse("steer", "left", -steer, "gains")]  # fmt: skip
        if self.klinokinesis:
            found += [Synapse("OFF", "falling", 1.0), Synapse("falling", "right", falling, "gains")]
        return Wiring(self.neurons, (*self.ncap.wiring().synapses, *found))

    def _head_side(self, step: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
        """Return +1 where the head is on the dorsal side, else -1."""
        place = torch.remainder((self.ncap.middle(step) / self.ncap.period) - self.lag, 1.0)
        return torch.where(place < 0.5, 1.0, -1.0).to(step.dtype)
