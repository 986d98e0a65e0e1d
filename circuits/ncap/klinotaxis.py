"""Chemotaxis by an odour's change over time: a pair of ON and OFF cells steers NCAP."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..contract import Pins, State, Wiring
from ..odour import OdourCircuit
from .ncap import NCAP

_DT = 0.03  # s, of the swimmers
# Seconds over which the odour is smoothed, and compared; over which the steering is, and its fall.
_SECONDS = (0.1, 0.6, 0.6, 1.0)


class Klinotaxis(OdourCircuit):
    """An NCAP steered by klinotaxis and klinokinesis; see `OdourCircuit`.

    The head's side is +1 in the half period of NCAP's clock that starts `lag` periods after the dorsal half period,
    otherwise -1; the lag accounts for the delay from clock to nose, and without it steering fails. The turn is capped
    because a turn of 1 would saturate the head's B-neuron and stop the wave. Learned weights: 4 time constants, 2
    gains, cap and lag, beside NCAP's 6. The lag has no gradient.

    Args:
        n_joints: number of joints.
        period: period of NCAP's clock, in control steps of `dt_ref`.
        lag: delay from the clock to the nose, in periods; the default fits swimmer6.
        klinotaxis: whether to steer by the odour's change while the head swings.
        klinokinesis: whether to turn when the odour decreases.
        dt, dt_ref: as in `NCAP`; times are in seconds.
        rng: as in `NCAP`.

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
        self.ncap = NCAP(n_joints, period=period, controls=True, dt=dt, dt_ref=dt_ref, rng=rng)
        self.n_motors, self.dt = n_joints, _DT if dt is None else dt
        self.senses = (("joint_pos", n_joints), ("odour", 1))
        self._add_steering(_SECONDS, (1.0, 1.0), 0.75, lag, klinotaxis, klinokinesis)
        self._add_neurons(self.ncap)

    def initial_state(self, batch_size: int) -> State:
        """Return NCAP's counter and the four filters, [batch, 1] each; the odour filters are set by the first odour
        sensed."""
        return {**self.ncap.initial_state(batch_size), **self.filters_at_rest(batch_size)}

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return every neuron's value: NCAP's neurons are in [0, 1]."""
        step = state["step"]
        turn, filters, smelled = self.turned(sensors[:, -1:], self._head_side(step), state, step == 0, pins)
        controls = torch.cat((turn.clamp(min=0.0), (-turn).clamp(min=0.0), torch.ones_like(turn)), 1)
        inputs = torch.cat((sensors[:, :-1], controls), 1)
        motor, clock, values = self.ncap.forward_with_activity(inputs, {"step": step}, pins)
        return motor, {**clock, **filters}, torch.cat((values, smelled), 1)

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return NCAP's graph, and the graph from the odour to `right` and `left`."""
        return Wiring(self.neurons, (*self.ncap.wiring().synapses, *self.odour_synapses()))

    def _head_side(self, step: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
        """Return +1 where the head is on the dorsal side, else -1."""
        place = torch.remainder((self.ncap.middle(step) / self.ncap.period) - self.lag, 1.0)
        return torch.where(place < 0.5, 1.0, -1.0).to(step.dtype)
