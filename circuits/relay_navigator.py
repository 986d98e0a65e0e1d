"""A relay that is steered towards a target."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .contract import Circuit, Neuron, Pins, State, Wiring
from .relay import Relay, turn_synapses
from .steering import smoothed_direction

_DT, _SMOOTHED = 0.03, 0.5  # s: a control step of the swimmers, and about a period in water
_GAIN, _CAP = 0.2, 0.2  # joint limits


class RelayNavigator(Circuit):
    """A `Relay` that turns towards a target, by an offset on all sensed joint angles.

    With the target's bearing (rad, positive to the right) smoothed with a learned time constant,

        turn = clip(gain bearing, -cap, cap);  right = max(turn, 0), left = max(-turn, 0)

    `turn`, in units of the joint limit, is subtracted from all sensed joint angles. Each unit then switches later on
    one side and earlier on the other, and the path curves: for the worm in water, by 0.5 and 1.0 rad/s for turns of 0.1
    and 0.2, at 92 and 80 % of the speed. The turn is capped because at 0.4 the body curls up. The sense `to_target` is
    as in `Navigator`.

    Args:
        n_joints: number of joints.
        init, velocity, limit, dt, rng: as in `Relay`.

    Attributes:
        gain: gain of the turn, in joint limits per rad.
        cap: largest turn, in joint limits.
        log_seconds: logarithm of the smoothing time constant in seconds.

    Raises:
        CircuitMismatch: an option is out of range.
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
        dt: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.relay = Relay(n_joints, init=init, limit=limit, velocity=velocity, dt=dt, rng=rng)
        self.n_motors, self.dt = n_joints, _DT if dt is None else dt
        self.senses = (*self.relay.senses, ("to_target", 2))
        self.gain, self.cap = nn.Parameter(torch.tensor(_GAIN)), nn.Parameter(torch.tensor(_CAP))
        self.log_seconds = nn.Parameter(torch.tensor(math.log(_SMOOTHED)))
        n = len(self.relay.neurons)
        self.neurons = (*self.relay.neurons, Neuron("right", "inter", 0.0), Neuron("left", "inter", 0.0))
        self.groups = {**self.relay.groups, "right": slice(n, n + 1), "left": slice(n + 1, n + 2)}

    def initial_state(self, batch_size: int) -> State:
        """Return the relay's initial state and the smoothed direction to the target, [batch, 2], which starts at 0."""
        return {**self.relay.initial_state(batch_size), "direction": self.cap.new_zeros(batch_size, 2)}

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return every neuron's value; the turn is in units of the joint limit."""
        to_target = sensors[:, -2:]
        direction = smoothed_direction(to_target, state["direction"], self.dt / self.log_seconds.exp())
        turn = (self.gain * torch.atan2(*direction.split(1, -1))).clamp(-self.cap.abs(), self.cap.abs())
        right = self.pinned(turn.clamp(min=0.0), "right", pins)
        left = self.pinned((-turn).clamp(min=0.0), "left", pins)
        felt = torch.cat((sensors[:, : self.n_motors] - (right - left), sensors[:, self.n_motors : -2]), 1)
        own = {name: value for name, value in state.items() if name != "direction"}
        motor, after, values = self.relay.forward_with_activity(felt, own, pins)
        return motor, {**after, "direction": direction}, torch.cat((values, right, left), 1)

    def wiring(self, state: State | None = None) -> Wiring:
        """Return the relay's graph, with synapses from `right` and `left` onto every joint's stretch."""
        return Wiring(self.neurons, (*self.relay.wiring(state).synapses, *turn_synapses(self.n_motors)))
