"""Chemotaxis without a clock: a pair of ON and OFF cells steers the relay."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from .contract import Neuron, Pins, State, Wiring
from .odour import OdourCircuit
from .relay import Relay, turn_synapses

_DT = 0.03  # s, of the swimmers
# Seconds as of `Klinotaxis`; gains, cap and lag: from the better part of 150 random settings on swimmer6, rounded.
_SECONDS, _GAINS, _CAP, _LAG = (0.08, 0.6, 0.75, 2.0), (2.5, 1.5), 0.5, 0.35
_HALF, _SHORTEST, _LONGEST = 0.4, 0.1, 5.0  # s, of the half period, at first, at least and at most
_NEWEST = 0.3  # weight of the newest half period in that which is remembered


class RelayKlinotaxis(OdourCircuit):
    """A `Relay` steered by klinotaxis and klinokinesis; see `OdourCircuit`.

    As there is no clock, the head's side is that of the first joint's unit `lag` periods ago. The period is estimated
    from this unit's switches: half of it is a running average of the time between two, with a weight of 0.3 for the
    newest. The turn, in units of the joint limit, is subtracted from all sensed joint angles, as in `RelayNavigator`.
    Learned weights: 4 time constants, 2 gains, cap and lag, beside the relay's 10. The lag has no gradient.

    Args:
        n_joints: number of joints.
        init, velocity, limit, dt, rng: as in `Relay`.
        lag: delay from the first joint's unit to the nose, in periods.
        klinotaxis: whether to steer by the odour's change while the head swings.
        klinokinesis: whether to turn when the odour decreases.

    Raises:
        CircuitMismatch: both mechanisms are left out, or an option is out of range.
    """

    is_bounded = True
    memory = "recurrent"
    origin = Relay.origin

    def __init__(
        self,
        n_joints: int,
        *,
        init: Literal["swimmer", "worm"] = "swimmer",
        limit: float = 2 * math.pi,
        velocity: bool = False,
        lag: float = _LAG,
        klinotaxis: bool = True,
        klinokinesis: bool = True,
        dt: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.relay = Relay(n_joints, init=init, limit=limit, velocity=velocity, dt=dt, rng=rng)
        self.n_motors, self.dt = n_joints, _DT if dt is None else dt
        self.senses = (*self.relay.senses, ("odour", 1))
        self._add_steering(_SECONDS, _GAINS, _CAP, lag, klinotaxis, klinokinesis)
        self._add_neurons(self.relay, Neuron("right", "inter", 0.0), Neuron("left", "inter", 0.0))

    def initial_state(self, batch_size: int) -> State:
        """Return the relay's initial state, the filters, and the estimate of the head's rhythm.

        `side` is the side of the head's unit, `since` the seconds since it switched, `half` the half period in seconds,
        and `has_smelled` is 0 before the first odour, then 1; each is [batch, 1].
        """
        relay, zero = self.relay.initial_state(batch_size), self.cap.new_zeros(batch_size, 1)
        rhythm = {
            "side": relay["on"][:, :1].clone(),
            "since": zero.clone(),
            "half": zero + _HALF,
            "has_smelled": zero.clone(),
        }
        return {**relay, **self.filters_at_rest(batch_size), **rhythm}

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return every neuron's value; the turn is in units of the joint limit."""
        side, since, half = state["side"], state["since"], state["half"]
        then = torch.where(since < 2 * self.lag * half, -side, side)
        turn, filters, smelled = self.turned(sensors[:, -1:], then, state, state["has_smelled"] == 0, pins)
        right = self.pinned(turn.clamp(min=0.0), "right", pins)
        left = self.pinned((-turn).clamp(min=0.0), "left", pins)
        felt = torch.cat((sensors[:, : self.n_motors] - (right - left), sensors[:, self.n_motors : -1]), 1)
        own = {name: state[name] for name in self.relay.initial_state(1)}
        motor, after, values = self.relay.forward_with_activity(felt, own, pins)
        # Which way the unit is has no gradient here: it says when, and not how much.
        now = torch.where(after["on"][:, :1].detach() > 0, 1.0, -1.0).to(side.dtype)
        has_switched, since = now != side, since + self.dt
        rhythm = {
            "side": now,
            "since": torch.where(has_switched, 0.0, since).to(side.dtype),
            "half": torch.where(has_switched, torch.lerp(half, since.clamp(_SHORTEST, _LONGEST), _NEWEST), half),
            "has_smelled": torch.ones_like(side),
        }
        return motor, {**after, **filters, **rhythm}, torch.cat((values, right, left, smelled), 1)

    def wiring(self, state: State | None = None) -> Wiring:
        """Return the relay's graph, and the graph from the odour through `right` and `left` to every joint's
        stretch."""
        relay = self.relay.wiring(state).synapses
        return Wiring(self.neurons, (*relay, *self.odour_synapses(), *turn_synapses(self.n_motors)))
